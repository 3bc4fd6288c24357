"""``python -m bce_conformance`` is the ``bce-conformance`` command."""

from bce_conformance.cli import main

if __name__ == "__main__":
    main()

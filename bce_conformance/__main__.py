"""``python -m bce_conformance`` is the ``bce-conformance`` command."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C is heard from the start, while it is being imported, too."""
    try:
        from bce_conformance.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()

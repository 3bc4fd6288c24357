"""Print the table of the impostors, or write it into the documentation with ``--write``."""

import sys

from .table import DOCUMENT, document

if sys.argv[1:] not in ([], ["--write"]):
    sys.exit(f"arguments are {sys.argv[1:]}; accepted is --write")
if sys.argv[1:]:
    DOCUMENT.write_text(document(), "utf-8")
else:
    print(document(), end="")

"""``python -m tests.findings --write``: write docs/findings.md and README's table anew."""

import sys

from tests.findings.pages import DOCUMENTS

if sys.argv[1:] != ["--write"]:
    sys.exit("accepted is --write, which writes docs/findings.md and README's table")
for path, made in DOCUMENTS.items():
    path.write_text(made(path.read_text("utf-8") if path.exists() else ""), "utf-8")
    print(path)

"""The documents that are made from the known defects."""

import re
from collections.abc import Callable
from pathlib import Path

from bce_conformance.conformance.findings.reading import defects
from bce_conformance.conformance.ledger.reading import own
from bce_conformance.reports.defects import described, page, table

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- findings: python -m tests.findings --write -->\n", "<!-- end of findings -->"
ROWS = 8


def findings_page(_: str) -> str:
    """docs/findings.md, whatever it was."""
    return page(described(defects().values(), own()))


def readme(text: str) -> str:
    """README.md with its table of findings as it is now."""
    every = described(defects().values(), own())
    first = (
        f"[{len(every)} distinct defects](docs/findings.md), each once however many cells it costs,"
    )
    rule = "ranked by\n[harm](docs/findings.md#how-harm-is-ranked), a product of four grades."
    made = f"{first} {rule} The first of them:\n\n{table(every, ROWS, 'docs/findings.md')}"
    found = re.search(f"{re.escape(BEGIN)}.*?{re.escape(END)}", text, re.DOTALL)
    assert found, f"README.md has no {BEGIN.strip()} with {END}"
    return text.replace(found[0], f"{BEGIN}{made}{END}")


DOCUMENTS: dict[Path, Callable[[str], str]] = {
    ROOT / "docs" / "findings.md": findings_page,
    ROOT / "README.md": readme,
}

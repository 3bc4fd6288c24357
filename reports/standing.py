"""Standing: how a cell stands to the ledger of known deviations, in words.

Guarantees that the summary and the page say it alike, and that a cell has exactly one standing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bce_conformance.conformance.cells import Cell

AS_KNOWN = "as known"
WORSE = "worse"
STALE = "better: stale entry"


def standing(cell: Cell) -> str:
    """How a cell stands to the ledger: as known, worse, or better and in what the run differs."""
    if not cell.expected:
        return WORSE
    if not cell.better:
        return AS_KNOWN
    return STALE if cell.stale else f"better: another {' and '.join(cell.elsewhere)}"


def moved(cell: Cell) -> str:
    """What the ledger says of a cell and what was found."""
    return f"expected {cell.known}, found {cell.verdict}"


def counted(cells: Iterable[Cell]) -> list[str]:
    """One line for each way in which cells are not as known; none where all are."""
    counts = Counter(map(standing, cells))
    elsewhere = {
        name.removeprefix("better: another "): number
        for name, number in counts.items()
        if name.startswith("better: another ")
    }
    lines = []
    if counts[WORSE]:
        lines.append(f"worse than known: {counts[WORSE]}")
    if elsewhere:
        parts = ", ".join(f"{number} on another {name}" for name, number in elsewhere.items())
        lines.append(f"better than known: {sum(elsewhere.values())} ({parts})")
    if counts[STALE]:
        lines.append(
            f"better where the ledger was measured, so that its entry is stale: {counts[STALE]}"
        )
    return lines

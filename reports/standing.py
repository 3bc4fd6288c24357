"""Standing: how a cell stands to the ledger of known deviations, in words.

Guarantees that the summary and the page say it alike, and that a cell has exactly one standing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bce_conformance.results.cells import VERDICTS, Cell

AS_KNOWN = "as known"
WORSE = "worse"
BETTER = "better"
STALE = "better: stale entry"


def standing(cell: Cell) -> str:
    """How a cell stands to the ledger: as known, worse or better, and in what the run differs."""
    if cell.expected and not cell.better:
        return AS_KNOWN
    if cell.stale:
        return STALE
    where = f": another {' and '.join(cell.elsewhere)}" if cell.elsewhere else ""
    return (BETTER if cell.expected else WORSE) + where


def unexpected(cells: Iterable[Cell]) -> list[Cell]:
    """The cells that are worse than known: those of the worst verdict first, the rest in order.

    What is unsupported comes last: a format that is not taken is many cells, and hides the others.
    """
    worse = [cell for cell in cells if not cell.expected]
    return sorted(worse, key=lambda c: (c.verdict == "unsupported", -VERDICTS.index(c.verdict)))


def moved(cell: Cell) -> str:
    """What the ledger says of a cell and what was found."""
    return f"expected {cell.known}, found {cell.verdict}"


def counted(cells: Iterable[Cell]) -> list[str]:
    """One line for each way in which cells are not as known; none where all are."""
    counts = Counter(map(standing, cells))
    lines = [_line(word, counts) for word in (WORSE, BETTER)]
    if counts[STALE]:
        lines.append(
            f"better where the ledger was measured, so that its entry is stale: {counts[STALE]}"
        )
    return [line for line in lines if line]


def _line(word: str, counts: Counter[str]) -> str:
    """How many cells are worse or better than known, and how many of them elsewhere."""
    elsewhere = {
        name.removeprefix(f"{word}: another "): number
        for name, number in counts.items()
        if name.startswith(f"{word}: another ")
    }
    total = sum(elsewhere.values()) + (counts[word] if word == WORSE else 0)
    parts = ", ".join(f"{number} on another {name}" for name, number in elsewhere.items())
    return f"{word} than known: {total}{f' ({parts})' if parts else ''}" if total else ""

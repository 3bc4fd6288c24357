"""Findings: the mechanisms by which a backend falls short, each over all cells that it explains.

Guarantees that every cell that falls short is in exactly one finding of its backend, the worst
finding first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from bce_conformance.results.cells import VERDICTS, Cell
from bce_conformance.results.model import Results

from .grid import UNMEASURED

_DONE = {"crashed": "crashes", "timeout": "times out", "fails": "fails"}


@dataclass(frozen=True)
class Finding:
    """One mechanism.

    Attributes:
        text: the ledger's reason, or the requirement that is not met.
        cells: those that it explains, the worst first.
    """

    text: str
    cells: tuple[Cell, ...]

    @property
    def words(self) -> str:
        """How bad it is, in how many cells, and why."""
        worst = self.cells[0]
        number = f"{len(self.cells)} {'cell' if len(self.cells) == 1 else 'cells'}"
        alike = all(cell.verdict == worst.verdict for cell in self.cells)
        done = _DONE.get(worst.verdict, f"only {worst.verdict}")
        text = f"{done} in {number}" if alike else f"{number}, at worst {worst.verdict}"
        error = max(_error(cell) for cell in self.cells)
        if 0 < error < math.inf:
            text += f", up to {error:.3g} ULP"
        return f"{text}: {self.text}"


def findings(results: Results) -> dict[str, list[Finding]]:
    """The findings of each backend that has cells, the worst first.

    A finding is worse by its verdict, then by its number of cells, then by its largest error.
    """
    texts = {requirement.id: requirement.text for requirement in results.requirements}
    by_backend: dict[str, dict[str, list[Cell]]] = {}
    for cell in results.cells:
        groups = by_backend.setdefault(cell.backend, {})
        if cell.verdict != "AAA" and cell.verdict not in UNMEASURED:
            groups.setdefault(_first_sentence(_text(cell, texts)), []).append(cell)
    return {backend: _ranked(groups) for backend, groups in by_backend.items()}


def _text(cell: Cell, texts: Mapping[str, str]) -> str:
    return cell.reason or f"falls short of {cell.requirement}: {texts[cell.requirement]}"


def _ranked(groups: Mapping[str, list[Cell]]) -> list[Finding]:
    found = [
        Finding(text, tuple(sorted(cells, key=_badness, reverse=True)))
        for text, cells in groups.items()
    ]
    return sorted(found, key=_rank, reverse=True)


def _badness(cell: Cell) -> tuple[int, float]:
    return VERDICTS.index(cell.verdict), _error(cell)


def _rank(finding: Finding) -> tuple[int, int, float]:
    verdict, error = _badness(finding.cells[0])
    return verdict, len(finding.cells), error


def _error(cell: Cell) -> float:
    return cell.ulp.max if cell.ulp else 0.0


def _first_sentence(text: str) -> str:
    """A text up to the end of its first sentence: a full stop before a capital letter."""
    words = text.split()
    for place, (word, following) in enumerate(pairwise(words), start=1):
        if word.endswith(".") and following[:1].isupper():
            return " ".join(words[:place])
    return " ".join(words)

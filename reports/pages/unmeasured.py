"""What was not measured, and why: the cells without a level, by the reason that they share.

Guarantees that every cell that is unsupported or not measured is in exactly one group.
"""

from __future__ import annotations

from dataclasses import dataclass

from bce_conformance.reports.grid import UNMEASURED
from bce_conformance.results.cells import Cell
from bce_conformance.results.model import Results

UNSAID = "the run does not say why"


@dataclass(frozen=True)
class Gap:
    """Cells that were not measured for the same reason.

    Attributes:
        verdict: ``unsupported`` or ``not measured``.
        why: in words.
        cells: in the order of the run.
    """

    verdict: str
    why: str
    cells: tuple[Cell, ...]

    @property
    def backends(self) -> tuple[str, ...]:
        """Whose they are."""
        return tuple(dict.fromkeys(cell.backend for cell in self.cells))

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Their formats."""
        return tuple(dict.fromkeys(cell.dtype for cell in self.cells))

    @property
    def requirements(self) -> tuple[str, ...]:
        """Their requirements."""
        return tuple(dict.fromkeys(cell.requirement for cell in self.cells))


def gaps(results: Results) -> list[Gap]:
    """The cells that were not measured by verdict and reason, most cells first."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in results.cells:
        if cell.verdict in UNMEASURED:
            groups.setdefault((cell.verdict, lacks(cell)), []).append(cell)
    found = [Gap(verdict, why, tuple(cells)) for (verdict, why), cells in groups.items()]
    return sorted(found, key=lambda gap: -len(gap.cells))


def lacks(cell: Cell) -> str:
    """Why a cell was not measured: the first thing that it tells, else the ledger's reason."""
    told = cell.detail.split("; ")[0].rpartition("unsupported: ")[2]
    return told or cell.reason or UNSAID

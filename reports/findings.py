"""Findings: what a run shows of each backend's shortcomings, each with all cells that it explains.

Guarantees that every cell that falls short is in a finding of its backend, in exactly one but where
the ledger names several defects for it, and that what does most harm comes first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from bce_conformance.results.cells import VERDICTS, Cell
from bce_conformance.results.model import Defect, Results
from bce_conformance.results.rounding import up

from .grid import UNMEASURED
from .tasks import tasks

_DONE = {"crashed": "crashes", "timeout": "times out", "fails": "fails"}


@dataclass(frozen=True)
class Finding:
    """One defect of a backend, or one reason that is no known defect.

    Attributes:
        text: what is wrong: the defect's title, the ledger's reason, or the requirement that is not
            met.
        cells: those that it alone explains, the worst first.
        shared: those that it explains together with other defects, the worst first.
        defect: None where there is a reason only.
    """

    text: str
    cells: tuple[Cell, ...]
    shared: tuple[Cell, ...] = ()
    defect: Defect | None = None

    @property
    def worst(self) -> Cell:
        """The cell that shows it best."""
        return (self.cells or self.shared)[0]

    @property
    def evidence(self) -> str:
        """How bad it is, and in how many cells."""
        cells = self.cells or self.shared
        worst = self.worst
        number = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
        if not self.cells:
            return f"met with others in {number}"
        alike = all(cell.verdict == worst.verdict for cell in cells)
        done = _DONE.get(worst.verdict, f"only {worst.verdict}")
        text = f"{done} in {number}" if alike else f"{number}, at worst {worst.verdict}"
        error = max(_error(cell) for cell in cells)
        return f"{text}, up to {up(error, 3):.3g} ULP" if 0 < error < math.inf else text

    @property
    def worst_input(self) -> str:
        """Where it is worst, what came back and what is exact; empty where no error is judged."""
        return worst_input(self.worst)

    @property
    def words(self) -> str:
        """How bad it is, in how many cells, and why."""
        return f"{self.evidence}: {self.text}"


def worst_input(cell: Cell) -> str:
    """Where a cell is worst, what came back and what is exact; empty where no error is judged.

    Example: ``at x = 20, y = 1: returned 0, exact -2.06115369e-09``
    """
    found = cell.worst
    if found is None:
        return ""
    operands = {"x": found.logit, "y": found.target, "w": found.weight, "p": found.pos_weight}
    inputs = [f"{n} = {float.fromhex(v):.9g}" for n, v in operands.items() if v is not None]
    got, exact = (f"{float.fromhex(value):.9g}" for value in (found.got, found.exact))
    return f"at {', '.join(inputs)}: returned {got}, exact {exact}"


def findings(results: Results) -> dict[str, list[Finding]]:
    """The findings of each backend that has cells, the worst first.

    What is neither known nor expected comes first, for nobody has judged its harm yet: of these,
    what the first of the tasks rest on. Then a finding is worse by the harm of its defect, its
    verdict, its number of cells, its largest error.
    """
    texts = {requirement.id: requirement.text for requirement in results.requirements}
    known = {defect.id: defect for defect in results.defects}
    by_backend: dict[str, dict[str, list[Cell]]] = {}
    for cell in results.cells:
        groups = by_backend.setdefault(cell.backend, {})
        if cell.verdict != "AAA" and cell.verdict not in UNMEASURED:
            for name in cell.defects or (_first_sentence(_text(cell, texts)),):
                groups.setdefault(name, []).append(cell)
    return {backend: _ranked(groups, known) for backend, groups in by_backend.items()}


def distinct(results: Results) -> list[tuple[Finding, dict[str, Finding]]]:
    """Each defect or reason once, the worst first, with the finding of each backend that has it."""
    groups: dict[tuple[str, str], dict[str, Finding]] = {}
    for backend, found in findings(results).items():
        for finding in found:
            framework = backend.partition("@")[0].partition(":")[0]
            key = ("", finding.defect.id) if finding.defect else (framework, finding.text)
            groups.setdefault(key, {})[backend] = finding
    worst = [(max(group.values(), key=_rank), group) for group in groups.values()]
    return sorted(worst, key=lambda one: _rank(one[0]), reverse=True)


def _text(cell: Cell, texts: Mapping[str, str]) -> str:
    return cell.reason or f"falls short of {cell.requirement}: {texts[cell.requirement]}"


def _ranked(groups: Mapping[str, list[Cell]], known: Mapping[str, Defect]) -> list[Finding]:
    found = [_finding(name, cells, known.get(name)) for name, cells in groups.items()]
    return sorted(found, key=_rank, reverse=True)


def _finding(name: str, cells: list[Cell], defect: Defect | None) -> Finding:
    ordered = sorted(cells, key=_badness, reverse=True)
    shared = [cell for cell in ordered if len(cell.defects) > 1]
    own = [cell for cell in ordered if len(cell.defects) <= 1]
    return Finding(defect.title if defect else name, tuple(own), tuple(shared), defect)


def _badness(cell: Cell) -> tuple[int, float]:
    return VERDICTS.index(cell.verdict), _error(cell)


def _rank(finding: Finding) -> tuple[bool, int, int, int, int, float]:
    verdict, error = _badness(finding.worst)
    unknown = finding.defect is None and any(not cell.expected for cell in finding.cells)
    harm = finding.defect.harm.score if finding.defect else 0
    usual = max(map(_usualness, finding.cells)) if unknown else 0
    return unknown, harm, usual, verdict, len(finding.cells), error


def _usualness(cell: Cell) -> int:
    """How early a task comes that rests on a cell; 0 where none does."""
    resting = (
        len(tasks()) - number
        for number, task in enumerate(tasks())
        if cell.requirement in task.requirements and cell.dtype in task.dtypes
    )
    return next(resting, 0)


def _error(cell: Cell) -> float:
    return cell.ulp.max if cell.ulp else 0.0


def _first_sentence(text: str) -> str:
    """A text up to the end of its first sentence: a full stop before a capital letter."""
    words = text.split()
    for place, (word, following) in enumerate(pairwise(words), start=1):
        if word.endswith(".") and following[:1].isupper():
            return " ".join(words[:place])
    return " ".join(words)

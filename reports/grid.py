"""The grid: backend × family, the cells of each square counted by verdict.

Guarantees that every cell is counted in exactly one square and that a square is only as good as the
worst of what was measured in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bce_conformance.results.cells import VERDICTS, Cell
from bce_conformance.results.model import Results

UNMEASURED = ("unsupported", "not measured")
"""Verdicts that say nothing about quality: they never decide a square that has others."""

FAMILIES = {
    "VAL": "values",
    "INF": "special values",
    "GRAD": "derivatives",
    "LAT": "lattice",
    "BRD": "broadcasting",
    "RED": "reductions",
    "DTY": "types",
    "LAY": "layout",
    "MET": "metamorphic",
    "DET": "agreement",
    "ERR": "misuse",
    "API": "interface",
    "DEV": "devices",
    "ANY": "any call",
}
"""What the families of the specification are called; one that is not here goes by its id."""

MARKS = {verdict: verdict for verdict in VERDICTS} | {"unsupported": "n/a", "not measured": "–"}
"""What a verdict is called in a square of the grid."""


@dataclass(frozen=True)
class Square:
    """One square: how many cells have which verdict, and how many of them were not expected."""

    counts: Mapping[str, int]
    unexpected: int

    @property
    def worst(self) -> str:
        """The worst verdict among what was measured; ``not measured`` where there is no cell."""
        measured = [verdict for verdict in self.counts if verdict not in UNMEASURED]
        return max(measured or self.counts or ["not measured"], key=VERDICTS.index)

    @property
    def total(self) -> int:
        """The number of cells."""
        return sum(self.counts.values())


def families(results: Results) -> tuple[str, ...]:
    """The families of the run's requirements, in their order."""
    return tuple(dict.fromkeys(requirement.family for requirement in results.requirements))


def switches(results: Results) -> list[tuple[str, str, list[str]]]:
    """What the rows and cells of the grid can be narrowed to, beside the format.

    Only what leaves a choice is there: a run on one device has no switch of devices.

    Args:
        results: a run.

    Returns:
        A name, the same in words, and the values: ``device``; ``isa``, the instruction set; and
        ``version``, a framework with its version where the run has several of that framework.

    Example: ``[("version", "version", ["jax 0.5.3", "jax 0.10.2"])]``
    """
    measured = {cell.backend for cell in results.cells}
    entries = [entry for entry in results.backends if entry.id in measured]
    versions: dict[str, set[str]] = {}  # of a backend wherever it is
    for entry in entries:
        versions.setdefault(entry.id.partition("@")[0], set()).add(entry.version)
    several = {e.framework for e in entries if len(versions[e.id.partition("@")[0]]) > 1}
    choices = {
        ("device", "device"): [cell.device for cell in results.cells],
        ("isa", "instruction set"): [e.instruction_set for e in entries if e.instruction_set],
        ("version", "version"): [
            f"{e.framework} {e.version}" for e in entries if e.framework in several
        ],
    }
    distinct = {named: list(dict.fromkeys(values)) for named, values in choices.items()}
    return [(*named, values) for named, values in distinct.items() if len(values) > 1]


def grid(
    results: Results, *, device: str | None = None, dtype: str | None = None
) -> dict[tuple[str, str], Square]:
    """Count the cells of every backend × family.

    Args:
        results: a run.
        device: count the cells of this device only; None for all.
        dtype: count the cells of this dtype only; None for all.

    Returns:
        Backend id and family → square, for the squares that have a cell.
    """
    family = {requirement.id: requirement.family for requirement in results.requirements}
    squares: dict[tuple[str, str], list[Cell]] = {}
    for cell in results.cells:
        if device in (None, cell.device) and dtype in (None, cell.dtype):
            squares.setdefault((cell.backend, family[cell.requirement]), []).append(cell)
    return {key: square(cells) for key, cells in squares.items()}


def square(cells: Iterable[Cell]) -> Square:
    """Count cells by verdict, best verdict first."""
    cells = tuple(cells)
    counts: Counter[str] = Counter(cell.verdict for cell in cells)
    return Square(
        counts={verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]},
        unexpected=sum(not cell.expected for cell in cells),
    )

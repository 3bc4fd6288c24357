"""The table of the impostors: which requirement catches which, measured and written down.

An impostor is caught by a requirement where its verdict in a cell is worse than that of the right
implementation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

from bce_conformance.conformance.specification import requirements

from . import arrays, broadcasting, formulas, gradients, reductions, types_and_misuse
from .impostor import IMPOSTORS, NATIVE, Impostor
from .recording import Cells, Outcome, is_worse

KINDS = (formulas, gradients, reductions, broadcasting, arrays, types_and_misuse)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "impostors.md"

CellKey = tuple[str, str, str]  # impostor, requirement, dtype

_HEAD = """# Impostors

Deliberately wrong implementations, each with one real mistake and right otherwise, and the
requirements that catch them. The suite's own tests run all of them through the very tests of the
matrix and fail where one slips through, where a requirement catches none, and where this page is
not what was measured. `python -m tests.impostors --write` writes it.

"""


@cache
def cells() -> Cells:
    """The cells of this process, with their inputs."""
    return Cells()


@cache
def right_verdict(requirement: str, dtype: str) -> str:
    """The verdict of the right implementation in one cell."""
    return cells().run(NATIVE, requirements()[requirement], dtype).verdict


@cache
def outcomes() -> dict[CellKey, Outcome]:
    """What every impostor got in every cell of its formats."""
    return {key: outcome for impostor in IMPOSTORS.values() for key, outcome in _cells_of(impostor)}


def _cells_of(impostor: Impostor) -> Iterator[tuple[CellKey, Outcome]]:
    for requirement in requirements().values():
        for dtype in impostor.dtypes:
            if dtype in requirement.dtypes:
                outcome = cells().run(impostor.adapter(), requirement, dtype)
                yield (impostor.name, requirement.id, dtype), outcome


@cache
def catchers() -> dict[str, tuple[str, ...]]:
    """The requirements that catch each impostor."""
    found: dict[str, dict[str, None]] = {name: {} for name in IMPOSTORS}
    for (name, requirement, dtype), outcome in outcomes().items():
        if is_worse(outcome.verdict, right_verdict(requirement, dtype)):
            found[name][requirement] = None
    return {name: tuple(caught) for name, caught in found.items()}


def document() -> str:
    """The table as a page of the documentation."""
    caught = Counter(requirement for found in catchers().values() for requirement in found)
    lines = [_HEAD + f"{len(IMPOSTORS)} impostors, {len(caught)} requirements.\n"]
    for kind in KINDS:
        lines += [f"## {kind.__doc__.strip()}", ""]
        lines += ["| impostor | its mistake | formats | caught by |", "|---|---|---|---|"]
        of_kind = (i for i in IMPOSTORS.values() if i.kind == kind.__name__)
        lines += [*map(_row, of_kind), ""]
    lines += ["## Requirements, and what they catch", ""]
    lines += ["| requirement | catches | among them the one that the fewest others catch |"]
    lines += ["|---|---|---|"]
    for identifier, requirement in requirements().items():
        of_it = [name for name, found in catchers().items() if identifier in found]
        rarest = min(of_it, key=lambda name: len(catchers()[name]), default="")
        row = f"| {identifier} {requirement.title} | {len(of_it)} | {rarest.replace('_', ' ')} |"
        lines.append(row)
    return "\n".join(lines) + "\n"


def _row(impostor: Impostor) -> str:
    by, formats = _by_family(catchers()[impostor.name]), ", ".join(impostor.dtypes)
    mistake = impostor.mistake.replace("|", "\\|")
    return f"| {impostor.name.replace('_', ' ')} | {mistake} | {formats} | {by} |"


def _by_family(identifiers: tuple[str, ...]) -> str:
    """Requirement numbers in short, such as ``VAL 1, 2, 7 · INF 3``."""
    parts = []
    for family, members in groupby(identifiers, lambda identifier: identifier.split("-")[0]):
        parts.append(f"{family} {', '.join(m.split('-')[1] for m in members)}")
    return " · ".join(parts) or "none"

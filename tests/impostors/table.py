"""The table of the impostors: which requirement catches which, measured and written down.

An impostor is caught by a requirement where its verdict in a cell is worse than that of the right
implementation.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import groupby
from pathlib import Path

from bce_conformance.conformance.specification import requirements

from .impostor import IMPOSTORS, NATIVE, Impostor
from .kinds import (
    arrays,
    combinations,
    differentiation,
    edges,
    extremes,
    formulas,
    gradients,
    layouts,
    reductions,
    relations,
    special_values,
    types_and_misuse,
)
from .recording import Cells, LeftOut, Outcome, is_worse

KINDS = (
    formulas,
    edges,
    gradients,
    differentiation,
    reductions,
    arrays,
    layouts,
    relations,
    special_values,
    types_and_misuse,
    extremes,
    combinations,
)
ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "impostors.md"
_MOST_PROCESSES = 4  # each holds inputs
# Names the file through which the processes of one run of the tests share what was measured.
SHARED = "BCE_CONFORMANCE_IMPOSTORS"

# Requirements about drawn calls: tests/planted counts the impostors that they catch.
ASKED = {id_: one for id_, one in requirements().items() if one.family != "ANY"}

CellKey = tuple[str, str, str]  # impostor, requirement, dtype

_HEAD = """# Impostors

Deliberately wrong implementations, each with one real mistake and right otherwise, and the
requirements that catch them. The suite's own tests run all of them through the very tests of the
matrix and fail where one slips through, where a requirement catches none, and where this page is
not what was measured. `python -m tests.impostors --write` writes it.

The requirements of ANY, about drawn calls, are not here: `python -m tests.planted`, which
`make test-all` runs, plants impostors among those calls and counts the ones that are caught.

"""


@cache
def cells() -> Cells:
    """The cells of this process, with their inputs."""
    return Cells()


@cache
def right_verdict(requirement: str, dtype: str) -> str:
    """The verdict of the right implementation in one cell."""
    return cells().run(NATIVE, ASKED[requirement], dtype).verdict


@cache
def outcomes() -> dict[CellKey, Outcome]:
    """What every impostor got in every cell of its formats, measured once in a run of the tests.

    Raises:
        RuntimeError: a test of the matrix itself failed.
    """
    if SHARED not in os.environ:
        return _measured()
    path = Path(os.environ[SHARED])
    with open(path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_bytes(pickle.dumps(_measured()))
        found: dict[CellKey, Outcome] = pickle.loads(path.read_bytes())
        return found


def _measured() -> dict[CellKey, Outcome]:
    """What every impostor got, measured by several processes.

    Each has some of the requirements, so that inputs are drawn, and their truths computed, once.
    """
    asked, share = list(ASKED), min(os.cpu_count() or 1, _MOST_PROCESSES)
    command = [sys.executable, "-m", __package__, "--record"]
    processes = [
        subprocess.Popen([*command, *asked[first::share]], cwd=ROOT, stdout=subprocess.PIPE)
        for first in range(share)
    ]
    found: dict[CellKey, Outcome] = {}
    for process in processes:
        written, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"python -m {__package__} --record ended with {process.returncode}")
        found |= pickle.loads(written)
    return {key: found[key] for impostor in IMPOSTORS.values() for key in cells_of(impostor)}


def cells_of(impostor: Impostor) -> list[CellKey]:
    """The cells in which an impostor is tried."""
    return [
        (impostor.name, requirement.id, dtype)
        for requirement in ASKED.values()
        for dtype in impostor.dtypes
        if dtype in requirement.dtypes
    ]


def record(asked: list[str]) -> dict[CellKey, Outcome]:
    """What every impostor got where some requirements are asked, measured in this process."""
    keys = [key for one in IMPOSTORS.values() for key in cells_of(one) if key[1] in asked]
    return {key: outcome(key) for key in keys}


def outcome(key: CellKey, left_out: LeftOut | None = None) -> Outcome:
    """What an impostor gets in one cell where some check sites are left out."""
    name, requirement, dtype = key
    backend, asked = IMPOSTORS[name].adapter(), ASKED[requirement]
    return cells().run(backend, asked, dtype, left_out=left_out)


def is_caught(key: CellKey, got: Outcome) -> bool:
    """Whether what an impostor got in a cell is worse than what the right implementation gets."""
    _, requirement, dtype = key
    return is_worse(got.verdict, right_verdict(requirement, dtype))


@cache
def catchers() -> dict[str, tuple[str, ...]]:
    """The requirements that catch each impostor."""
    found: dict[str, dict[str, None]] = {name: {} for name in IMPOSTORS}
    for key, got in outcomes().items():
        if is_caught(key, got):
            found[key[0]][key[1]] = None
    return {name: tuple(caught) for name, caught in found.items()}


def document() -> str:
    """The table as a page of the documentation."""
    caught = Counter(requirement for found in catchers().values() for requirement in found)
    counted = f"{len(caught)} of the {len(requirements())} requirements"
    lines = [_HEAD + f"{len(IMPOSTORS)} impostors, {counted}.\n"]
    for kind in KINDS:
        lines += [f"## {kind.__doc__.strip()}", ""]
        lines += ["| impostor | its mistake | formats | caught by |", "|---|---|---|---|"]
        of_kind = (i for i in IMPOSTORS.values() if i.kind == kind.__name__)
        lines += [*map(_row, of_kind), ""]
    lines += ["## Requirements, and what they catch", ""]
    lines += ["| requirement | catches | among them the one that the fewest others catch |"]
    lines += ["|---|---|---|"]
    for identifier, requirement in ASKED.items():
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

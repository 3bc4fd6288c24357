"""Evidence: what the ledger knows of a defect, over all cells that it explains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bce_conformance.conformance.specification import requirements
from bce_conformance.results.cells import VERDICTS
from bce_conformance.results.model import Defect

from .model import Deviation, LedgerFile


@dataclass(frozen=True)
class Evidence:
    """Where a defect was measured, and what it costs.

    Attributes:
        versions: of the framework, ascending.
        instruction_sets: of the code for the CPU, where they were recorded.
        devices: their kinds.
        levels: requirement → the worst level that its cells reach; those that the defect alone
            explains, or where there are none, those that it explains together with others.
        alone: whether it alone explains them.
    """

    versions: tuple[str, ...]
    instruction_sets: tuple[str, ...]
    devices: tuple[str, ...]
    levels: dict[str, str]
    alone: bool


def evidence(defect: Defect, files: Sequence[LedgerFile]) -> Evidence:
    """What ledger files know of a defect.

    Args:
        defect: it.
        files: those of the suite, or others.
    """
    found = list(_deviations(defect, files))
    alone = [one for one in found if len(one.mechanism.defects) == 1]
    chosen = alone or found
    of_framework = [one for one in chosen if _framework(one.place.backend) == defect.framework]
    measured = [file.versions for file in files if file.backend == defect.framework]
    levels: dict[str, str] = {}
    for one in chosen:
        name = one.place.requirement
        levels[name] = max(one.level, levels.get(name, one.level), key=VERDICTS.index)
    return Evidence(
        tuple(sorted({v for one in of_framework for v in one.versions}.union(*measured))),
        tuple(sorted({name for one in chosen for name in one.instruction_sets})),
        tuple(sorted({one.place.device for one in chosen})),
        {name: levels[name] for name in requirements() if name in levels},
        bool(alone),
    )


def _framework(backend: str) -> str:
    return backend.partition(":")[0]


def _deviations(defect: Defect, files: Iterable[LedgerFile]) -> Iterator[Deviation]:
    for file in files:
        for one in file.deviations:
            place = one.place
            has = place.backend in defect.backends and place.dtype in defect.dtypes
            if has and defect.id in one.mechanism.defects:
                yield one

"""Settings: which cells a run has, and under which conditions it measures them.

Guarantees that settings which exist can be run: each name in them is known, and each ledger is
valid.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from bce_conformance.backends import (
    DTYPES,
    BackendSpec,
    builtin_backends,
    instruction_sets,
    resolve,
)
from bce_conformance.backends.isolation.process import TIME_LIMIT
from bce_conformance.backends.names import nearest, similar
from bce_conformance.conformance.ledger.claims import Claims
from bce_conformance.conformance.ledger.reading import read
from bce_conformance.conformance.ledger.standing import Ledger
from bce_conformance.results.cells import Cell

from .memory import default_bound
from .specification import Requirement, requirements
from .tiers import TIERS

ALL = "all"  # among the backends: those of every run that are installed, variants included; among
# the devices: every one that a backend has
EVERY = "every"  # likewise, and those that are measured on request only
COMPILING = 4
"""How many times as long as others a call may take that compiles. On a busy machine it takes
seconds many times over, and is no hang."""
LONGEST = 1e6
"""Seconds that a call may be given: 11 days, and their multiples are still times that can be
waited for."""
_PACKAGE = f"{__name__.partition('.')[0]}."  # before every adapter that is built in


def no_ledger(path: Path) -> str:
    """What is said of a ledger that is not there."""
    return (
        f"ledger {path} does not exist{similar(path)}; `bce-conformance ledger update --ledger "
        "FILE` makes one of what a run has found"
    )


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        backends: ids, ``ALL`` or ``EVERY``; none means those that the tier tries and that are
            installed.
        devices: kinds; none or ``ALL`` means every device that a backend has.
        dtypes: formats; none means all.
        requirements: numbers or families; none means all.
        tier: how much is tried.
        seed: of all random inputs.
        time_limit: seconds that one call may take; a call may have to compile first, for which
            backends that do have ``COMPILING`` times as long.
        ledgers: ledger files beside the suite's own.
        memory: bytes that the suite's own process may take; what of inputs and truths does not fit
            is computed again.
        instruction_set: that the code of all backends is held to; empty for all that the processor
            has.
        claims: what the author of a backend says of all its cells; None for nothing.
        strict: whether a cell is an error that is better than an entry of the ledger which was
            measured on the same version and instruction set.
        ledger: what is expected, by the suite's own ledger and by ``ledgers``.
        sources: by each file or module of a user's own that is judged, a digest of it as it was
            when the settings were made; empty where no file is found.

    Raises:
        ValueError: one of them is unknown or absent, or a ledger is not valid.
    """

    backends: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    tier: str = "default"
    seed: int = 0
    time_limit: float = TIME_LIMIT
    ledgers: tuple[Path, ...] = ()
    memory: int = field(default_factory=default_bound)
    instruction_set: str = ""
    strict: bool = False
    claims: Claims | None = None
    ledger: Ledger = field(init=False, repr=False, compare=False)
    sources: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if ALL in self.devices:
            object.__setattr__(self, "devices", ())
        known = {*requirements(), *(r.family for r in requirements().values())}
        for name, given, accepted in (
            ("dtype", self.dtypes, set(DTYPES)),
            ("requirement", self.requirements, known),
            ("tier", (self.tier,), set(TIERS)),
        ):
            unknown = sorted(set(given) - accepted)
            if unknown:
                raise ValueError(
                    f"{name} {unknown[0]!r} is unknown; {nearest(unknown[0], accepted)}"
                )
        if self.instruction_set:
            instruction_sets.check(self.instruction_set)
        self.specs()  # raises ValueError where a backend is unknown
        if not 0 < self.time_limit <= LONGEST:
            raise ValueError(
                f"time_limit is {self.time_limit}; it must be positive and at most {LONGEST:,.0f} "
                "seconds"
            )
        absent = [path for path in self.ledgers if not path.exists()]
        if absent:
            raise ValueError(no_ledger(absent[0]))
        if self.claims and not any(self.claims.is_about(spec.id) for spec in self.specs()):
            raise ValueError(
                "claims are about a backend of your own, and all that are measured are built in; "
                "name yours with --backend"
            )
        object.__setattr__(self, "ledger", read(self.ledgers, claims=self.claims))
        own = [spec for spec in self.specs() if judged(spec)]
        object.__setattr__(self, "sources", {judged(spec): digest(spec) for spec in own})

    def specs(self) -> list[BackendSpec]:
        """The backends to measure, each once.

        Raises:
            ValueError: one is unknown.
        """
        words = {ALL, EVERY}.intersection(self.backends)
        chosen = [resolve(backend) for backend in self.backends if backend not in words]
        if words or not chosen:
            variants = bool(words) or TIERS[self.tier].variants
            builtin = (
                spec
                for spec in builtin_backends()
                if (variants or not spec.variant) and (EVERY in words or not spec.on_request)
            )
            chosen = [*builtin, *chosen]
        held = (
            spec if spec.instruction_set else replace(spec, instruction_set=self.instruction_set)
            for spec in chosen
        )
        return list(dict.fromkeys(held))

    def source(self, spec: BackendSpec) -> str:
        """The digest of what a backend judges of a user's own; empty where there is none."""
        return self.sources.get(judged(spec), "")

    def names(self, requirement: Requirement) -> bool:
        """Whether a requirement is asked for by its number."""
        return requirement.id in self.requirements

    def tries(self, requirement: Requirement, spec: BackendSpec, dtype: str) -> bool:
        """Whether a requirement is tried with a backend in a format: as the tier does, or named."""
        asked = requirement.each_instruction_set and self.names(requirement)
        return asked or TIERS[self.tier].tries(requirement, spec, dtype)

    def accepts(self, cell: Cell) -> bool:
        """Whether a cell is no error: not worse than known, and where that is asked not stale."""
        return cell.expected and not (self.strict and cell.stale)

    def selects(self, requirement: Requirement) -> bool:
        """Whether a requirement is to be measured."""
        chosen = self.requirements
        return not chosen or requirement.id in chosen or requirement.family in chosen


def judged(spec: BackendSpec) -> str:
    """The file or module of a user's own that a backend judges, or is; empty for a built-in one."""
    if not spec.function and spec.factory.startswith(_PACKAGE):
        return ""
    return (spec.function or spec.factory).rpartition(":")[0]


def digest(spec: BackendSpec) -> str:
    """A digest of the file that ``judged`` names; empty where it is not found."""
    where = judged(spec)
    if spec.host and not where.endswith(".py"):
        return ""  # the module is on another machine
    with suppress(OSError, ValueError):  # of a module such as __main__
        file = Path(where) if where.endswith(".py") else _file_of(where)
        return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    return ""


def _file_of(module: str) -> Path:
    """The file that a module is imported from, or one that is not there; nothing is imported."""
    top, *rest = module.split(".")
    found = PathFinder.find_spec(top, [*sys.path, os.getcwd()]) or find_spec(top)
    if found is not None and not rest:
        return Path(found.origin or "")
    folders = found.submodule_search_locations if found is not None else None
    places = [Path(folder, *rest) for folder in folders or ()]
    files = [file for p in places for file in (p / "__init__.py", p.with_suffix(".py"))]
    return next((file for file in files if file.is_file()), Path())

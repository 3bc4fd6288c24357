"""The model of the ledger: what its files say, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

from bce_conformance.backends.registry import builtin_backends
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.results.cells import Place, Verdict, Witness

CPU = "cpu"
MADE_WITH = ("default", "thorough")  # tiers, the one that tries less first


@cache
def on_request() -> frozenset[str]:
    """The backends that are measured on request only."""
    return frozenset(spec.id for spec in builtin_backends() if spec.on_request)


class LedgerError(ValueError):
    """A ledger file that does not say what a ledger says; names file and entry."""


@dataclass(frozen=True)
class Mechanism:
    """Why cells fall short.

    Attributes:
        name: by which people and diffs know it.
        text: which formula, which cancellation; empty where nobody has written it down yet.
        link: the upstream issue, or the empty string.
        defects: ids of the defects that it is; of several, which of them a cell meets is not told
            apart.
    """

    name: str
    text: str
    link: str = ""
    defects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deviation:
    """The known deviation of one cell.

    Attributes:
        place: of the cell; its backend has a variant but no location, its device is a kind.
        level: the verdict that is reached instead of AAA.
        mechanism: why.
        versions: the public versions of the framework on which it was measured.
        tier: the smallest one that finds it.
        instruction_sets: those on which it was measured; empty where that was not recorded, and on
            other devices than the CPU.
    """

    place: Place
    level: Verdict
    mechanism: Mechanism
    versions: tuple[str, ...]
    tier: str = MADE_WITH[0]
    instruction_sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class LedgerFile:
    """One file of the ledger.

    Attributes:
        backend: the one that it is about, with its variants.
        mechanisms: in the order of the file.
        deviations: of all cells.
        witnesses: what shows them, where the draws of every run do not.
        versions: the public versions on which most deviations were measured.
        measured: the requirements measured on each instruction set on which the default tier has
            measured all cells, or the quick one those of a backend that is measured on request
            only. One that came later is not among them until it is measured there.
    """

    backend: str
    mechanisms: tuple[Mechanism, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    versions: tuple[str, ...] = ()
    measured: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def instruction_sets(self) -> tuple[str, ...]:
        """Those on which the file was measured."""
        return tuple(self.measured)

    @property
    def is_corpus(self) -> bool:
        """Whether it has nothing but witnesses: inputs to be tried, of which nothing is known."""
        known = self.deviations or self.versions or self.measured
        return bool(self.witnesses) and not known

    def sets_of(self, requirement: str, backend: str) -> tuple[str, ...]:
        """The instruction sets on which a requirement has been measured with a backend.

        One that is measured on request only may have been on fewer than the others of the file: on
        those that its deviations name, if it has any.
        """
        there = self._sets_by_backend.get(backend, frozenset(self.measured))
        known = (name for name, those in self.measured.items() if requirement in those)
        return tuple(name for name in known if name in there)

    @cached_property
    def _sets_by_backend(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for deviation in self.deviations:
            if deviation.place.backend in on_request():
                found.setdefault(deviation.place.backend, set()).update(deviation.instruction_sets)
        return {backend: frozenset(sets) for backend, sets in found.items() if sets}

    def is_about(self, backend: str) -> bool:
        """Whether a backend, wherever it lives, is this file's or a variant of it."""
        name = backend.partition("@")[0]
        variant = name.startswith(f"{self.backend}:") and not name.startswith(f"{self.backend}::")
        return name == self.backend or variant

    def usual_sets(self, tier: str) -> tuple[str, ...]:
        """The instruction sets of a deviation that names none: of the thorough tier not recorded.

        The file's own are those of the default tier.
        """
        return self.instruction_sets if tier == MADE_WITH[0] else ()


def known_as(place: Place) -> Place:
    """The place that an entry names: the backend wherever it lives, the kind of the device."""
    return place._replace(backend=place.backend.partition("@")[0], device=kind(place.device))


def kind(device: str) -> str:
    """The kind of a device: ``cuda`` of ``cuda:1``."""
    return device.partition(":")[0]


def public(version: str) -> str:
    """A version without its local part, which names a build: ``2.13.0`` of ``2.13.0+cpu``."""
    return version.partition("+")[0]


def tries_less(tier: str, other: str) -> bool:
    """Whether a tier tries less than another, and so may miss what that one finds."""
    order = list(TIERS)
    return order.index(tier) < order.index(other)

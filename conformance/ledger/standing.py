"""How a verdict stands to the ledger: as known, worse, better, or stale.

A cell that is worse than its entry is an error wherever it is measured. One that is better is
reported: as stale where the entry itself was measured, on the same version and instruction set,
else as better, with what differs. A tier that tries less than the one that an entry was measured
with may miss a deviation: there a better cell is as known.

What a backend computes depends on the instruction set that its code was made for, so that an entry
names those on which it was measured. On one that the requirement was measured on, what has no entry
for it is AAA. On any other, the worst is known of what was found on the nearest ones, of all makers
and of the same: some instructions give other bits on another maker's processors of the same level.
On another device than those with entries, the CPU's hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bce_conformance.backends.instruction_sets import LEVELS
from bce_conformance.conformance.findings.reading import defects
from bce_conformance.results.cells import VERDICTS, Place, Witness, is_better, is_worse

from .claims import Claims
from .model import CPU, MADE_WITH, Deviation, LedgerError, LedgerFile, known_as, public, tries_less

NOT_CLAIMED = "not claimed"
"""How the reason begins of a cell that the author of its backend does not claim."""

Difference = Literal["version", "instruction set", "device"]


@dataclass(frozen=True)
class Conditions:
    """What a verdict depends on beside its place.

    Attributes:
        version: the framework's version.
        instruction_set: that the backend's code was made for, such as ``x86-64-v3/intel``.
        tier: the run's.
    """

    version: str
    instruction_set: str
    tier: str


@dataclass(frozen=True)
class Standing:
    """How a verdict stands to what is known of its cell.

    Attributes:
        known: the verdict that is known; AAA where there is no entry.
        reason: why the cell falls short; empty where there is no entry.
        worse: whether the verdict is worse.
        better: whether it is better, where the run tried as much as the entry was measured with.
        elsewhere: in what the run differs from those in which what is known was measured.
        defects: ids of those that the entry names and the backend has in the format.
    """

    known: str
    reason: str
    worse: bool
    better: bool
    elsewhere: tuple[Difference, ...]
    defects: tuple[str, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether the entry is out of date: better where it was measured itself."""
        return self.better and not self.elsewhere

    def __str__(self) -> str:
        """One word, and in what the run differs where that may be why."""
        if not (self.worse or self.better):
            return "as known"
        where = f" on another {' and '.join(self.elsewhere)}" if self.elsewhere else ""
        return "worse" + where if self.worse else "better" + where if where else "stale"


class Ledger:
    """The known deviations of some backends, by cell.

    Args:
        files: of one backend and its variants each.
        claims: what is known of cells without an entry, of backends that are not built in.
        found: inputs that a hunt has found.

    Attributes:
        witnesses: inputs that every run tries.
        found: inputs that this run tries too. What they show is not known yet.

    Raises:
        LedgerError: a cell has two entries for one device and instruction set.
    """

    def __init__(
        self,
        files: Iterable[LedgerFile],
        claims: Claims | None = None,
        found: Iterable[Witness] = (),
    ) -> None:
        self._claims = claims
        self._files = {file.backend: file for file in files}
        self.witnesses = tuple(w for file in self._files.values() for w in file.witnesses)
        known = set(self.witnesses)
        self.found = tuple(witness for witness in found if witness not in known)
        self._cells: dict[Place, list[Deviation]] = {}  # on any device
        for file in self._files.values():
            for deviation in file.deviations:
                self._add(deviation)

    def _add(self, new: Deviation) -> None:
        entries = self._cells.setdefault(_anywhere(new.place), [])
        for old in entries:
            shared = set(old.instruction_sets or [""]) & set(new.instruction_sets or [""])
            if old.place == new.place and shared:
                where = " ".join(filter(None, [new.place.device, *sorted(shared)]))
                cell = f"{new.place.requirement} {new.place.backend} {new.place.dtype}"
                raise LedgerError(f"{cell} has two entries for {where}")
        entries.append(new)

    def __len__(self) -> int:
        return sum(map(len, self._cells.values()))

    def deviation(self, place: Place, instruction_set: str) -> Deviation | None:
        """The entry of a cell, or None; wherever the backend lives.

        Where its device has none, that of the CPU, or else of any device.
        """
        place = known_as(place)
        entries = _of_device(self._cells.get(_anywhere(place), []), place.device)
        if all(entry.place.device == CPU == place.device for entry in entries):
            file = self._file(place.backend)
            measured = file.sets_of(place.requirement, place.backend) if file else ()
            entries = of_instruction_set(entries, instruction_set, measured)
        return worst(entries)

    def standing(self, place: Place, verdict: str, conditions: Conditions) -> Standing:
        """How a verdict stands to what the ledger says.

        Without an entry a cell is known to be AAA, or not measured, which says nothing of the
        backend. What a backend does not support needs an entry: it could have been lost.

        Args:
            place: the cell's.
            verdict: what was found.
            conditions: under which it was found.
        """
        entry = self.deviation(place, conditions.instruction_set)
        if entry is None and self._claims and self._claims.is_about(place.backend):
            return claimed_standing(self._claims, place, verdict)
        elsewhere = tuple(self._differences(known_as(place), entry, conditions))
        if entry is None:
            worse = verdict not in ("AAA", "not measured")
            return Standing("AAA", "", worse, False, elsewhere)
        # What is not measured says nothing, as where there is no device to compare with.
        worse = verdict != "not measured" and is_worse(verdict, entry.level)
        better = is_better(verdict, entry.level) and not tries_less(conditions.tier, entry.tier)
        mechanism = entry.mechanism
        named = tuple(name for name in mechanism.defects if _has(name, known_as(place)))
        return Standing(entry.level, mechanism.text, worse, better, elsewhere, named)

    def _differences(
        self, place: Place, entry: Deviation | None, conditions: Conditions
    ) -> Iterator[Difference]:
        file = self._file(place.backend)
        measured = entry or file
        if measured is None:
            return
        if measured.versions and public(conditions.version) not in measured.versions:
            yield "version"
        sets = entry.instruction_sets if entry else ()
        if entry is None and file is not None:
            sets = file.sets_of(place.requirement, place.backend)
        if place.device != (entry.place.device if entry else CPU):
            yield "device"
        elif place.device == CPU and conditions.instruction_set not in sets:
            yield "instruction set"

    def _file(self, backend: str) -> LedgerFile | None:
        """The file that a backend or its variant is in; None for one that none is about."""
        return self._files.get(backend) or self._files.get(backend.rpartition(":")[0])


def _has(defect: str, place: Place) -> bool:
    """Whether a defect is one of a cell's backend and format: a mechanism may name others too."""
    found = defects()[defect]
    return place.backend in found.backends and place.dtype in found.dtypes


def claimed_standing(claims: Claims, place: Place, verdict: str) -> Standing:
    """How a verdict stands to what is claimed of its cell, if it is claimed."""
    left_out = claims.left_out(place)
    if left_out:
        return Standing("not measured", f"{NOT_CLAIMED}: {left_out}", False, False, ())
    known = claims.known(place)
    return Standing(known, "", verdict != "not measured" and is_worse(verdict, known), False, ())


def of_instruction_set(
    entries: Sequence[Deviation], instruction_set: str, measured: Iterable[str]
) -> list[Deviation]:
    """The entries of an instruction set; where it has none, those that may hold for it.

    Where the default tier has ``measured`` it, those are what larger tiers found elsewhere.

    Args:
        entries: of one cell on one device.
        instruction_set: empty where it is not known.
        measured: the instruction sets on which the default tier has measured all cells.
    """
    here = [entry for entry in entries if instruction_set in entry.instruction_sets]
    larger = [entry for entry in entries if entry.tier != MADE_WITH[0]]
    if here or instruction_set in measured:
        return here or larger
    named = {name for entry in entries for name in entry.instruction_sets}
    near = nearest(instruction_set, named.union(measured))
    chosen = [e for e in entries if not e.instruction_sets or near.intersection(e.instruction_sets)]
    return chosen or larger


def nearest(instruction_set: str, others: Iterable[str]) -> set[str]:
    """Those of other instruction sets that say most about one: all where none is of its kind.

    Of all others, and of those of the same maker, each time: the same level, else the next below
    and the next above.
    """
    names = set(others)
    level, _, maker = instruction_set.partition("/")
    if level not in LEVELS:
        return names
    of_maker = {name for name in names if name.partition("/")[2] == maker}
    return _nearest_levels(level, names) | _nearest_levels(level, of_maker) or names


def _nearest_levels(level: str, others: Iterable[str]) -> set[str]:
    """The instruction sets of a level, or else of the next below and of the next above."""
    steps = {
        name: LEVELS.index(other) - LEVELS.index(level)
        for name in others
        if (other := name.partition("/")[0]) in LEVELS
    }
    below = max((step for step in steps.values() if step <= 0), default=None)
    above = min((step for step in steps.values() if step >= 0), default=None)
    wanted = {0} if below == 0 else {below, above}
    return {name for name, step in steps.items() if step in wanted}


def worst(entries: Iterable[Deviation]) -> Deviation | None:
    """The entry with the worst verdict; of several, that of the first instruction sets."""

    def rank(entry: Deviation) -> tuple[int, tuple[str, ...]]:
        return -VERDICTS.index(entry.level), entry.instruction_sets

    return min(entries, key=rank, default=None)


def _of_device(entries: Sequence[Deviation], device: str) -> list[Deviation]:
    """The entries of a kind of device, or else of the CPU, or else of the first that there is."""
    kinds = [entry.place.device for entry in entries]
    chosen = next((one for one in (device, CPU, *kinds) if one in kinds), None)
    return [entry for entry in entries if entry.place.device == chosen]


def _anywhere(place: Place) -> Place:
    """A place whatever its device."""
    return place._replace(device="")

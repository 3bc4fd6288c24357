"""Brings ledger files up to date with a run, and keeps the mechanisms that people wrote down.

A new deviation gets the mechanism of the same requirement in another format if there is one, else
the mechanism ``unexplained``, which has no text: the ledger is not valid until somebody wrote down
why. Where that has a text by now, it is ``unexplained-2``, and so on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

from bce_conformance.backends import builtin_backends
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.results.cells import Place, Verdict, Witness, is_better
from bce_conformance.results.writing import write_text

from . import writing
from .model import (
    CPU,
    MADE_WITH,
    Deviation,
    LedgerError,
    LedgerFile,
    Mechanism,
    kind,
    known_as,
    on_request,
    public,
    tries_less,
)
from .reading import read_draft
from .standing import of_instruction_set, worst

UNEXPLAINED = "unexplained"


@dataclass(frozen=True)
class Found:
    """What a run found of one cell.

    Attributes:
        place: the cell's.
        verdict: what was found.
        version: the framework's.
        tier: the run's.
        instruction_set: that of the backend's code; empty where it is not known.
        witness: what showed the verdict, where the draws that every run has did not.
    """

    place: Place
    verdict: Verdict
    version: str
    tier: str
    instruction_set: str = ""
    witness: Witness | None = None

    @property
    def where(self) -> str:
        """The instruction set that the verdict is about; empty on other devices than the CPU."""
        return self.instruction_set if kind(self.place.device) == CPU else ""


@dataclass(frozen=True)
class Moved:
    """One cell whose entry changes.

    Attributes:
        place: the cell's.
        before: the verdict that was known, AAA without an entry.
        after: the verdict that is known now.
        mechanism: the name of the entry's.
        instruction_set: that which the entry is about.
    """

    place: Place
    before: str
    after: str
    mechanism: str
    instruction_set: str = ""


def update(
    folder: Path, files: Sequence[Path], cells: Iterable[Found]
) -> tuple[list[Path], list[Moved]]:
    """Rewrite the ledger files that the cells are about.

    Entries of cells that were not measured, and of backends that are not among the cells, stay; so
    do those that a tier that tries less than theirs has missed. The witnesses of deviations are
    added to those that there are.

    Args:
        folder: the suite's own ledger; it is left alone where ``files`` are given.
        files: ledgers of others; one that does not exist is for the only backend of the cells that
            is not built in.
        cells: what a run found.

    Returns:
        The files that changed, and the cells whose entry moved.

    Raises:
        LedgerError: a file is not valid, or does not say which backend it is about.
    """
    found = list(cells)
    changed: list[Path] = []
    moved: list[Moved] = []
    for path, before in _files(folder, files, found):
        after, moves = updated(before, found)
        moved += moves
        changed += [path] * _write(path, before, after)
    return changed, moved


def updated(file: LedgerFile, cells: Iterable[Found]) -> tuple[LedgerFile, list[Moved]]:
    """A ledger file brought up to date with the cells that it is about, and what moved in it."""
    known = _Known(file)
    found = [cell for cell in cells if file.is_about(cell.place.backend)]
    moves = [
        moved
        for cell in found
        if cell.verdict != "not measured" and (moved := known.enter(cell)) is not None
    ]
    return known.closed(found), moves


def _files(
    folder: Path, files: Sequence[Path], found: Sequence[Found]
) -> Iterator[tuple[Path, LedgerFile]]:
    """Each file with what it says; a new one says nothing."""
    frameworks = sorted({spec.id.partition(":")[0] for spec in builtin_backends()})
    own = [folder / f"{name}.toml" for name in frameworks]
    for path in files or own:
        if path.exists():
            yield path, read_draft(path)
        elif not files:
            yield path, LedgerFile(path.stem)
        else:
            yield path, LedgerFile(_only_other(path, frameworks, found))


def _only_other(path: Path, frameworks: Sequence[str], found: Sequence[Found]) -> str:
    """The backend that a new file is about: the only one of a run that is not built in."""
    ids = {cell.place.backend.partition("@")[0] for cell in found}
    others = sorted(n for n in ids if "::" in n or n.partition(":")[0] not in frameworks)
    if len(others) != 1:
        raise LedgerError(
            f"{path.name} does not exist, and the run has {len(others)} backends that are not "
            f'built in{": " if others else ""}{", ".join(others)}; write backend = "…" into it'
        )
    return others[0]


def _write(path: Path, before: LedgerFile, after: LedgerFile) -> bool:
    """Write a file where it changes; one that says nothing goes. Returns whether it changed."""
    exists = path.exists()
    text = writing.text(after, path.stem)
    if (exists and text == path.read_text("utf-8")) or not (exists or after.deviations):
        return False
    if after.deviations or after.backend != path.stem or after.instruction_sets:
        write_text(text, path)
    else:
        path.unlink()
    return True


class _Known:
    """The deviations of a file by cell and instruction set, while it is brought up to date.

    Args:
        file: what it says so far.
    """

    def __init__(self, file: LedgerFile) -> None:
        self._file = file
        self._unexplained = _unexplained(file)
        self._witnesses = dict.fromkeys(file.witnesses)
        # The instruction set is empty where it was not recorded, and on other devices.
        self._known: dict[Place, dict[str, Deviation]] = {}
        for deviation in file.deviations:
            for name in deviation.instruction_sets or ("",):
                sets = (name,) if name else ()
                self._of(deviation.place)[name] = replace(deviation, instruction_sets=sets)

    def enter(self, cell: Found) -> Moved | None:
        """Enter a cell that was measured; what moved, if the verdict is another."""
        known = self._of(known_as(cell.place))
        measured = self._file.sets_of(cell.place.requirement, known_as(cell.place).backend)
        taken_as = of_instruction_set(list(known.values()), cell.where, measured)
        old = known.get(cell.where) or worst(taken_as)
        if old and is_better(cell.verdict, old.level) and tries_less(cell.tier, old.tier):
            return None  # it may have missed what the entry's tier finds
        new = self._entry(cell, old)
        known.pop(cell.where, None)
        if new is not None:
            known[cell.where] = new
            if cell.witness:
                self._witnesses[cell.witness] = None
        before, after = (entry.level if entry else "AAA" for entry in (old, new))
        entry = new or old
        if entry is None or before == after:
            return None
        return Moved(cell.place, before, after, entry.mechanism.name, cell.where)

    def closed(self, found: Sequence[Found]) -> LedgerFile:
        """The file as it is now.

        Args:
            found: all cells of the run that it is about.
        """
        deviations = tuple(self._recorded())
        used = {deviation.mechanism for deviation in deviations}
        mechanisms = dict.fromkeys([*self._file.mechanisms, self._unexplained])
        versions = Counter(deviation.versions for deviation in deviations).most_common(1)
        return replace(
            self._file,
            mechanisms=tuple(one for one in mechanisms if one in used),
            deviations=deviations,
            witnesses=tuple(self._witnesses),
            versions=versions[0][0] if versions else (),
            measured=self._measured(found),
        )

    def _measured(self, found: Sequence[Found]) -> dict[str, tuple[str, ...]]:
        """By instruction set of the file the requirements that were ever measured on it."""
        measured = {
            name: set(self._file.measured.get(name, ()))
            for name in sorted({*self._file.instruction_sets, *self._measured_sets(found)})
        }
        for cell in found:
            if cell.where in measured and cell.verdict != "not measured":
                measured[cell.where].add(cell.place.requirement)
        return {
            name: tuple(one for one in requirements() if one in those)
            for name, those in measured.items()
        }

    def _of(self, place: Place) -> dict[str, Deviation]:
        return self._known.setdefault(place, {})

    def _entry(self, cell: Found, old: Deviation | None) -> Deviation | None:
        """The entry that a cell needs, with the mechanism of the old one if there is one."""
        if cell.verdict == "AAA":
            return None
        place, version, tier = known_as(cell.place), public(cell.version), _found_by(cell)
        sets = (cell.where,) if cell.where else ()
        if old is not None and old.level == cell.verdict:
            versions = tuple(sorted({*old.versions, version}))
            # A smaller tier that finds it without a witness need not find it again: the tier stays.
            tier = tier if cell.witness else old.tier
            return Deviation(place, old.level, old.mechanism, versions, tier, sets)
        mechanism = old.mechanism if old else self._mechanism_of_kin(place)
        return Deviation(place, cell.verdict, mechanism, (version,), tier, sets)

    def _mechanism_of_kin(self, place: Place) -> Mechanism:
        """The mechanism of the same requirement and backend, in whatever format it is known."""
        kin = (
            entry.mechanism
            for other, entries in self._known.items()
            if (other.requirement, other.backend) == (place.requirement, place.backend)
            for entry in entries.values()
        )
        return next(kin, self._unexplained)

    def _measured_sets(self, found: Sequence[Found]) -> set[str]:
        """The instruction sets on which a run has measured all that the default tier finds.

        Of a file about built-in backends, those that are measured on request need not be there.
        """
        needed = {
            place
            for place, entries in self._known.items()
            if place.device == CPU
            and any(entry.tier == MADE_WITH[0] for entry in entries.values())
            and _tries(MADE_WITH[0], place)
        }
        needed = {place for place in needed if place.backend not in on_request()} or needed
        measured: dict[str, set[Place]] = {}
        for cell in found:
            if cell.where and cell.verdict != "not measured":
                measured.setdefault(cell.where, set()).add(known_as(cell.place))
        return {where for where, places in measured.items() if needed <= places}

    def _recorded(self) -> Iterator[Deviation]:
        """The entries, less those of no known instruction set that add nothing to the others."""
        for place, entries in self._known.items():
            levels = {entry.level for name, entry in entries.items() if name}
            for name, entry in entries.items():
                if name or place.device != CPU or entry.level not in levels:
                    yield entry


def _unexplained(file: LedgerFile) -> Mechanism:
    """The mechanism of a file that waits for its text."""
    explained = {mechanism.name for mechanism in file.mechanisms if mechanism.text}
    names = chain([UNEXPLAINED], (f"{UNEXPLAINED}-{number}" for number in count(2)))
    return Mechanism(next(name for name in names if name not in explained), "")


def _found_by(cell: Found) -> str:
    """The tier that finds a cell's deviation again, of those that the ledger is made with.

    The default one if it has a witness, provided that it tries the cell at all, or if the quick
    tier has found it.
    """
    if cell.tier not in MADE_WITH:
        return MADE_WITH[0]
    if cell.witness is None:
        return cell.tier
    return MADE_WITH[0] if _tries(MADE_WITH[0], cell.place) else cell.tier


def _tries(tier: str, place: Place) -> bool:
    """Whether a tier tries a cell; of a backend that is not built in it tries all."""
    spec = next((spec for spec in builtin_backends() if spec.id == place.backend), None)
    requirement = requirements()[place.requirement]
    return spec is None or TIERS[tier].tries(requirement, spec, place.dtype)

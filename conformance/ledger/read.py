"""The ledger of known deviations: which cells are known to fall short, and why.

One TOML file a backend with its variants. A cell that is worse than its entry is an error wherever
it is measured. One that is better is reported: as stale where the entry itself was measured, on the
same version and instruction set, else as better, with what differs. A tier that tries less than the
one that an entry was measured with may miss a deviation: there a better cell is as known.

What a backend computes depends on the instruction set that its code was made for, so that an entry
names those on which it was measured. On one that the file as a whole was measured on, what has no
entry for it is AAA. On any other, the worst is known of what was found on the nearest ones: the
same level of another maker's processors, else the next below and above. On another device than
those with entries, the CPU's hold.

A file holds versions and instruction sets, the reasons, each once, and the deviations that point to
them::

    backend = "my_package.my_module:MyBackend"  # may be left out where it is the file's name
    measured = ["2.13.0"]
    instruction_sets = ["x86-64-v3/amd", "x86-64-v4/intel"]

    [reasons.cancellation]
    text = "computes (1 − y)·x + softplus(−x), which cancels at x ≪ 0, y = 0"
    link = "https://…"                   # where there is an upstream issue

    [[deviation]]
    requirement = "VAL-2"
    variant = "compile"                  # where it is not the default one
    device = "cuda"                      # where it is not the CPU
    tier = "thorough"                    # where the default one does not find it
    dtypes = ["float32", "float64"]
    level = "A"
    reason = "cancellation"
    measured = ["2.12.0", "2.13.0"]      # where they are not those of the file
    instruction_sets = ["x86-64-v4/intel"]  # likewise; empty where it was not written down

    [[witness]]                          # an element that shows a deviation, or a draw
    pool = "test_values.tiny_logits"
    dtype = "float64"
    logits = "-0x1.0p-54"
    targets = "0x1.8p-1"

What only the draws of some seeds show, or a search, is kept as a witness, which every run tries.
A version is compared without its local part: 2.13.0+cpu is 2.13.0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bce_conformance.backends.calls import DTYPES
from bce_conformance.backends.instruction_sets import LEVELS
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.results.cells import VERDICTS, Verdict, Witness, is_better
from bce_conformance.results.reading import witness as read_witness

LEDGER = Path(__file__).parent

CPU = "cpu"
MADE_WITH = ("default", "thorough")  # tiers

Difference = Literal["version", "instruction set", "device"]


class LedgerError(ValueError):
    """A ledger file that does not say what a ledger says; names file and entry."""


@dataclass(frozen=True)
class Deviation:
    """One entry of the ledger.

    Attributes:
        backend: backend id, variant included.
        requirement: its number.
        device: the kind of device on which it was measured.
        tier: the smallest one that finds it.
        dtypes: the formats that it is about.
        level: the verdict that is reached instead of AAA.
        reason: the mechanism, in words.
        link: the upstream issue, or the empty string.
        measured: the public versions of the framework on which it was measured.
        instruction_sets: those on which it was measured; empty where that was not written down, and
            on other devices than the CPU.
    """

    backend: str
    requirement: str
    device: str
    tier: str
    dtypes: tuple[str, ...]
    level: Verdict
    reason: str
    link: str
    measured: tuple[str, ...]
    instruction_sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conditions:
    """What a verdict depends on beside requirement, backend and format.

    Attributes:
        version: the framework's version.
        instruction_set: that the backend's code was made for, such as ``x86-64-v3/intel``.
        tier: the run's.
        device: the cell's device.
    """

    version: str
    instruction_set: str
    tier: str
    device: str = CPU


@dataclass(frozen=True)
class Standing:
    """How a verdict stands to what is known of its cell.

    Attributes:
        known: the verdict that is known; AAA where there is no entry.
        reason: why the cell falls short; empty where there is no entry.
        worse: whether the verdict is worse.
        better: whether it is better, where the run tried as much as the entry was measured with.
        elsewhere: in what the run differs from those in which what is known was measured.
    """

    known: str
    reason: str
    worse: bool
    better: bool
    elsewhere: tuple[Difference, ...]

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


@dataclass(frozen=True)
class LedgerFile:
    """One file of the ledger.

    Attributes:
        backend: the one that it is about, with its variants.
        deviations: its entries.
        witnesses: what shows them, where the draws of every run do not.
        measured: the public versions on which most entries were measured.
        instruction_sets: those on which all cells were measured, in the default tier at least.
    """

    backend: str
    deviations: tuple[Deviation, ...]
    witnesses: tuple[Witness, ...] = ()
    measured: tuple[str, ...] = ()
    instruction_sets: tuple[str, ...] = ()


class Ledger:
    """The known deviations of some backends, by cell.

    Args:
        files: of one backend and its variants each.

    Attributes:
        witnesses: inputs that every run tries.

    Raises:
        LedgerError: a cell has two entries for one device and instruction set.
    """

    def __init__(self, files: Iterable[LedgerFile]) -> None:
        self._files = {file.backend: file for file in files}
        self.witnesses = tuple(w for file in self._files.values() for w in file.witnesses)
        self._cells: dict[tuple[str, str, str], list[Deviation]] = {}
        for file in self._files.values():
            for deviation in file.deviations:
                for dtype in deviation.dtypes:
                    self._add((deviation.requirement, deviation.backend, dtype), deviation)

    def _add(self, key: tuple[str, str, str], new: Deviation) -> None:
        entries = self._cells.setdefault(key, [])
        for old in entries:
            shared = set(old.instruction_sets or [""]) & set(new.instruction_sets or [""])
            if old.device == new.device and shared:
                where = " ".join(filter(None, [new.device, *sorted(shared)]))
                raise LedgerError(f"{' '.join(key)} has two entries for {where}")
        entries.append(new)

    def __len__(self) -> int:
        return sum(map(len, self._cells.values()))

    def deviation(
        self, requirement: str, backend: str, dtype: str, device: str, instruction_set: str
    ) -> Deviation | None:
        """The entry of a cell, or None; wherever the backend lives.

        Where its device has none, that of the CPU, or else of any device.
        """
        name = backend.partition("@")[0]
        entries = self._cells.get((requirement, name, dtype), [])
        entries = _of_device(entries, _kind(device))
        if all(entry.device == CPU == _kind(device) for entry in entries):
            file = self._file(name)
            measured = file.instruction_sets if file else ()
            entries = _of_instruction_set(entries, instruction_set, measured)
        return max(entries, key=lambda entry: VERDICTS.index(entry.level), default=None)

    def standing(
        self, requirement: str, backend: str, dtype: str, verdict: str, conditions: Conditions
    ) -> Standing:
        """How a verdict stands to what the ledger says.

        Without an entry a cell is known to be AAA, or not measured, which says nothing of the
        backend. What a backend does not support needs an entry: it could have been lost.

        Args:
            requirement: the cell's requirement.
            backend: its backend id.
            dtype: its format.
            verdict: what was found.
            conditions: under which it was found.
        """
        entry = self.deviation(
            requirement, backend, dtype, conditions.device, conditions.instruction_set
        )
        elsewhere = tuple(self._differences(backend, entry, conditions))
        if entry is None:
            worse = verdict not in ("AAA", "not measured")
            return Standing("AAA", "", worse, False, elsewhere)
        worse = is_better(entry.level, verdict)
        better = is_better(verdict, entry.level) and not tries_less(conditions.tier, entry.tier)
        return Standing(entry.level, entry.reason, worse, better, elsewhere)

    def _differences(
        self, backend: str, entry: Deviation | None, conditions: Conditions
    ) -> Iterator[Difference]:
        measured = entry or self._file(backend.partition("@")[0])
        if measured is None:
            return
        if measured.measured and public(conditions.version) not in measured.measured:
            yield "version"
        device = _kind(conditions.device)
        if device != (entry.device if entry else CPU):
            yield "device"
        elif device == CPU and conditions.instruction_set not in measured.instruction_sets:
            yield "instruction set"

    def _file(self, backend: str) -> LedgerFile | None:
        """The file that a backend or its variant is in; None for one that none is about."""
        return self._files.get(backend) or self._files.get(backend.rpartition(":")[0])


def tries_less(tier: str, other: str) -> bool:
    """Whether a tier tries less than another, and so may miss what that one finds."""
    order = list(TIERS)
    return order.index(tier) < order.index(other)


def _of_device(entries: Sequence[Deviation], device: str) -> list[Deviation]:
    """The entries of a kind of device, or else of the CPU, or else of the first that there is."""
    kinds = [entry.device for entry in entries]
    chosen = next((kind for kind in (device, CPU, *kinds) if kind in kinds), None)
    return [entry for entry in entries if entry.device == chosen]


def _of_instruction_set(
    entries: Sequence[Deviation], instruction_set: str, measured: Sequence[str]
) -> list[Deviation]:
    """The entries of an instruction set; where it has none, those that may hold for it.

    Where the default tier has ``measured`` it, those are what larger tiers found elsewhere.
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

    The same level of another maker, else those of the next level below and of the next above.
    """
    levels = {name: name.partition("/")[0] for name in others}
    level = instruction_set.partition("/")[0]
    if level not in LEVELS:
        return set(levels)
    steps = {
        name: LEVELS.index(other) - LEVELS.index(level)
        for name, other in levels.items()
        if other in LEVELS
    }
    below = max((step for step in steps.values() if step <= 0), default=None)
    above = min((step for step in steps.values() if step >= 0), default=None)
    wanted = {0} if below == 0 else {below, above}
    return {name for name, step in steps.items() if step in wanted} or set(levels)


def _kind(device: str) -> str:
    return device.partition(":")[0]


def public(version: str) -> str:
    """A version without its local part: that names a build, not a release."""
    return version.partition("+")[0]


def read(files: Iterable[Path] = (), folder: Path = LEDGER) -> Ledger:
    """The suite's own ledger files and those of others, which win for the backends they name.

    One of ``files`` that does not exist yet is an empty ledger, to be filled by an update.

    Raises:
        LedgerError: a file is not valid, or two of ``files`` are about one backend.
    """
    theirs = [read_file(path) for path in files if path.exists()]
    names = [file.backend for file in theirs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LedgerError(f"two ledger files are about {', '.join(twice)}")
    ours = [read_file(path) for path in sorted(folder.glob("*.toml"))]
    return Ledger([*(file for file in ours if file.backend not in names), *theirs])


def read_file(path: Path) -> LedgerFile:
    """Read one ledger file.

    Raises:
        LedgerError: the file is not there or not valid; the message names the file and the entry.
    """
    document = load(path)
    known = {"backend", "measured", "instruction_sets", "reasons", "deviation", "witness"}
    unknown = set(document) - known
    if unknown:
        raise LedgerError(f"{path.name}: unknown fields {sorted(unknown)}")
    backend = document.get("backend", path.stem)
    reasons = document.get("reasons", {})
    entries = document.get("deviation", [])
    deviations = tuple(
        _deviation(f"{path.name}, deviation {number}", backend, entry, document)
        for number, entry in enumerate(entries, start=1)
    )
    unused = set(reasons) - {entry["reason"] for entry in entries}
    if unused:
        raise LedgerError(f"{path.name}: no deviation has the reasons {sorted(unused)}")
    return LedgerFile(
        backend,
        deviations,
        tuple(witnesses(document, path)),
        tuple(document.get("measured", ())),
        tuple(document.get("instruction_sets", ())),
    )


def witnesses(document: dict[str, Any], path: Path) -> Iterable[Witness]:
    """The witnesses of a file's document.

    Raises:
        LedgerError: one is not valid.
    """
    for number, fields in enumerate(document.get("witness", []), start=1):
        try:
            yield read_witness(fields)
        except ValueError as error:
            raise LedgerError(f"{path.name}, witness {number}: {error}") from error


def load(path: Path) -> dict[str, Any]:
    """The TOML document of a ledger file.

    Raises:
        LedgerError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LedgerError(f"{path.name}: {error}") from error


def _deviation(
    where: str, backend: str, entry: dict[str, Any], document: dict[str, Any]
) -> Deviation:
    fields = {"requirement", "dtypes", "variant", "device", "tier", "level", "reason", "measured"}
    unknown = set(entry) - fields - {"instruction_sets"}
    if unknown:
        raise LedgerError(f"{where}: unknown fields {sorted(unknown)}")
    missing = {"requirement", "dtypes", "level", "reason"} - set(entry)
    if missing:
        raise LedgerError(f"{where}: no field {sorted(missing)}")
    if entry["requirement"] not in requirements():
        raise LedgerError(f"{where}: requirement {entry['requirement']!r} is not in SPEC.md")
    if not entry["dtypes"] or set(entry["dtypes"]) - set(DTYPES):
        raise LedgerError(f"{where}: dtypes {entry['dtypes']!r}: accepted are {DTYPES}")
    levels = [verdict for verdict in VERDICTS if verdict not in ("AAA", "not measured")]
    if entry["level"] not in levels:
        raise LedgerError(f"{where}: level {entry['level']!r}: accepted are {levels}")
    reason = document.get("reasons", {}).get(entry["reason"])
    if not reason or not reason.get("text"):
        raise LedgerError(f"{where}: reason {entry['reason']!r} is not under [reasons]")
    tier = entry.get("tier", MADE_WITH[0])
    if tier not in MADE_WITH:
        raise LedgerError(f"{where}: tier {tier!r}: accepted are {list(MADE_WITH)}")
    measured = entry.get("measured", document.get("measured", []))
    if not measured or not all(isinstance(version, str) for version in measured):
        raise LedgerError(f"{where}: measured {measured!r}: name the versions, as strings")
    sets = entry.get("instruction_sets", document.get("instruction_sets", []))
    if not isinstance(sets, list) or not all(isinstance(name, str) for name in sets):
        raise LedgerError(f"{where}: instruction_sets {sets!r}: name them, as strings")
    device = entry.get("device", CPU)
    variant = entry.get("variant")
    return Deviation(
        f"{backend}:{variant}" if variant else backend,
        entry["requirement"],
        device,
        tier,
        tuple(entry["dtypes"]),
        entry["level"],
        reason["text"],
        reason.get("link", ""),
        tuple(measured),
        tuple(sets) if device == CPU else (),
    )

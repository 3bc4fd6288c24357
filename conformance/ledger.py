"""The ledger of known deviations: which cells are known to fall short, and why.

One TOML file a backend with its variants. On the versions that an entry was measured on, the ledger
is strict both ways: a cell that is worse than its entry fails, and so does one that is better,
since the entry is then stale. On any other version a worse cell still fails, and a better one is
news: it is as expected, and reported. So it is on any other device, where that has no entry of its
own. A tier that tries less than the one that an entry was measured with may miss a deviation: there
a better cell is as expected.

A file holds the versions, the reasons, each once, and the deviations that point to them::

    backend = "my_package.my_module:MyBackend"  # may be left out where it is the file's name
    measured = ["2.13.0"]

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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bce_conformance.backends.calls import DTYPES

from .cells import VERDICTS, Verdict, is_better
from .specification import requirements
from .tiers import TIERS
from .witness import Witness

LEDGER = Path(__file__).with_name("ledger")

CPU = "cpu"
MADE_WITH = ("default", "thorough")  # tiers

Standing = Literal["as expected", "worse", "better", "stale"]


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


class Ledger:
    """The known deviations of some backends, by cell.

    Attributes:
        witnesses: inputs that every run tries.
    """

    def __init__(self, deviations: Iterable[Deviation], witnesses: Iterable[Witness] = ()) -> None:
        self.witnesses = tuple(witnesses)
        self._cells: dict[tuple[str, str, str], dict[str, Deviation]] = {}
        for deviation in deviations:
            for dtype in deviation.dtypes:
                key = (deviation.requirement, deviation.backend, dtype)
                by_device = self._cells.setdefault(key, {})
                if deviation.device in by_device:
                    raise LedgerError(f"{' '.join(key)} has two entries for {deviation.device}")
                by_device[deviation.device] = deviation

    def __len__(self) -> int:
        return sum(map(len, self._cells.values()))

    def deviation(
        self, requirement: str, backend: str, dtype: str, device: str = CPU
    ) -> Deviation | None:
        """The entry of a cell, or None; wherever the backend lives.

        Where its device has none, that of the CPU, or else of any device.
        """
        entries = self._cells.get((requirement, backend.partition("@")[0], dtype), {})
        first = next(iter(entries.values()), None)
        return entries.get(_kind(device), entries.get(CPU, first))

    def standing(
        self,
        requirement: str,
        backend: str,
        dtype: str,
        verdict: str,
        *,
        version: str,
        tier: str,
        device: str = CPU,
    ) -> Standing:
        """How a verdict stands to what the ledger says: all but ``worse`` and ``stale`` are fine.

        Without an entry a cell is expected to be AAA, or not measured, which says nothing of the
        backend. What a backend does not support needs an entry: it could have been lost.

        Args:
            requirement: the cell's requirement.
            backend: its backend id.
            dtype: its format.
            verdict: what was found.
            version: the framework's version.
            tier: the run's.
            device: the cell's device.
        """
        entry = self.deviation(requirement, backend, dtype, device)
        if entry is None:
            return "as expected" if verdict in ("AAA", "not measured") else "worse"
        if verdict == entry.level:
            return "as expected"
        if is_better(entry.level, verdict):
            return "worse"
        if tries_less(tier, entry.tier):
            return "as expected"
        measured = entry.device == _kind(device) and public(version) in entry.measured
        return "stale" if measured else "better"


def tries_less(tier: str, other: str) -> bool:
    """Whether a tier tries less than another, and so may miss what that one finds."""
    order = list(TIERS)
    return order.index(tier) < order.index(other)


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
    chosen = [*theirs, *(file for file in ours if file.backend not in names)]
    return Ledger(
        (entry for file in chosen for entry in file.deviations),
        (witness for file in chosen for witness in file.witnesses),
    )


@dataclass(frozen=True)
class LedgerFile:
    """One file of the ledger: the backend that it is about, its deviations, what shows them."""

    backend: str
    deviations: tuple[Deviation, ...]
    witnesses: tuple[Witness, ...] = ()


def read_file(path: Path) -> LedgerFile:
    """Read one ledger file.

    Raises:
        LedgerError: the file is not there or not valid; the message names the file and the entry.
    """
    document = load(path)
    unknown = set(document) - {"backend", "measured", "reasons", "deviation", "witness"}
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
    return LedgerFile(backend, deviations, tuple(witnesses(document, path)))


def witnesses(document: dict[str, Any], path: Path) -> Iterable[Witness]:
    """The witnesses of a file's document.

    Raises:
        LedgerError: one is not valid.
    """
    for number, fields in enumerate(document.get("witness", []), start=1):
        try:
            yield Witness.from_json(fields)
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
    unknown = set(entry) - fields
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
    variant = entry.get("variant")
    return Deviation(
        f"{backend}:{variant}" if variant else backend,
        entry["requirement"],
        entry.get("device", CPU),
        tier,
        tuple(entry["dtypes"]),
        entry["level"],
        reason["text"],
        reason.get("link", ""),
        tuple(measured),
    )

"""The ledger of known deviations: which cells are known to fall short, and why.

One TOML file a backend. The ledger is strict both ways: a cell that is worse than its entry fails,
and so does one that is better, since the entry is then stale.

A file holds the reasons, each once, and the deviations that point to them::

    [reasons.cancellation]
    text = "computes (1 − y)·x + softplus(−x), which cancels at x ≪ 0, y = 0"
    link = "https://…"                   # where there is an upstream issue

    [[deviation]]
    requirement = "VAL-2"
    dtypes = ["float32", "float64"]
    level = "A"
    reason = "cancellation"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bce_conformance.backends.calls import DTYPES

from .cells import VERDICTS, Verdict
from .specification import requirements

LEDGER = Path(__file__).with_name("ledger")


class LedgerError(ValueError):
    """A ledger file that does not say what a ledger says; names file and entry."""


@dataclass(frozen=True)
class Deviation:
    """One entry of the ledger.

    Attributes:
        backend: backend id, variant included.
        requirement: its number.
        dtypes: the formats that it is about.
        level: the verdict that is reached instead of AAA.
        reason: the mechanism, in words.
        link: the upstream issue, or the empty string.
    """

    backend: str
    requirement: str
    dtypes: tuple[str, ...]
    level: Verdict
    reason: str
    link: str


class Ledger:
    """The known deviations of some backends, by cell."""

    def __init__(self, deviations: Iterable[Deviation]) -> None:
        self._cells: dict[tuple[str, str, str], Deviation] = {}
        for deviation in deviations:
            for dtype in deviation.dtypes:
                key = (deviation.requirement, deviation.backend, dtype)
                if key in self._cells:
                    raise LedgerError(f"{' '.join(key)} has two entries")
                self._cells[key] = deviation

    def __len__(self) -> int:
        return len(self._cells)

    def deviation(self, requirement: str, backend: str, dtype: str) -> Deviation | None:
        """The entry of a cell, or None."""
        return self._cells.get((requirement, backend, dtype))

    def expects(
        self, requirement: str, backend: str, dtype: str, verdict: str, *, strict: bool = True
    ) -> bool:
        """Whether a verdict is as the ledger says.

        Without an entry a cell is expected to be AAA, or not measured, which says nothing of the
        backend. What a backend does not support needs an entry: it could have been lost.

        Args:
            requirement: the cell's requirement.
            backend: its backend id.
            dtype: its format.
            verdict: what was found.
            strict: whether a level that is better than the entry's is unexpected too.
        """
        entry = self.deviation(requirement, backend, dtype)
        if entry is None:
            return verdict in ("AAA", "not measured")
        better = VERDICTS[: VERDICTS.index(entry.level)]
        return verdict == entry.level or (not strict and verdict in better)


def read(folder: Path = LEDGER) -> Ledger:
    """Read all ledger files of a folder.

    Raises:
        LedgerError: a file is not valid.
    """
    return Ledger(entry for path in sorted(folder.glob("*.toml")) for entry in read_file(path))


def read_file(path: Path) -> list[Deviation]:
    """Read one ledger file.

    Raises:
        LedgerError: the file is not valid; the message names the file and the entry.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise LedgerError(f"{path.name}: {error}") from error
    reasons = document.get("reasons", {})
    entries = document.get("deviation", [])
    deviations = [
        _deviation(f"{path.name}, deviation {number}", path.stem, entry, reasons)
        for number, entry in enumerate(entries, start=1)
    ]
    unused = set(reasons) - {entry["reason"] for entry in entries}
    if unused:
        raise LedgerError(f"{path.name}: no deviation has the reasons {sorted(unused)}")
    return deviations


def _deviation(
    where: str, framework: str, entry: dict[str, Any], reasons: dict[str, Any]
) -> Deviation:
    unknown = set(entry) - {"requirement", "dtypes", "variant", "level", "reason"}
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
    reason = reasons.get(entry["reason"])
    if not reason or not reason.get("text"):
        raise LedgerError(f"{where}: reason {entry['reason']!r} is not under [reasons]")
    variant = entry.get("variant")
    return Deviation(
        f"{framework}:{variant}" if variant else framework,
        entry["requirement"],
        tuple(entry["dtypes"]),
        entry["level"],
        reason["text"],
        reason.get("link", ""),
    )

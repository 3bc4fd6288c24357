"""The journal of a run: what was measured so far, on disk as soon as it is measured.

JSON lines, each with a checksum of its own: what identifies the run, then one record for each
session, probe and finished cell. Guarantees:

- A record is handed to the system in one write before its cell counts as measured: whatever ends
  the process, kill -9 and lack of memory included, only the cells under way are lost.
- Records reach the disk (fsync) at the first write that is a second after the last time, and at the
  end: a reboot or a power failure loses at most what the system had not written by itself.
- On a full disk what was written before stays whole, and the run ends.
- Two runs do not write one journal, where the file system can lock files.
- Reading ends at the first line that is torn or has another checksum; all lines before it count.

The journal lies beside results.json while something is left to measure. It is removed when the run
is complete, since results.json then holds all of it: that it is there tells that there is something
to resume.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from bce_conformance.conformance.judging.error_curves import Key, Points
from bce_conformance.results import reading, writing
from bce_conformance.results.cells import Cell
from bce_conformance.results.model import Flushes, Probed

NAME = "journal.jsonl"
FORMAT = 2
SOURCES = "sources"  # in an identity: by each file of a user's own that is judged, a digest of it
_SYNC_INTERVAL = 1.0  # seconds: an fsync takes 1 to 30 ms, and a quick cell not much more
_CHECKED = len('["00000000",')  # the record begins here


class JournalError(Exception):
    """A journal that cannot be read or written; names the file and says what to do."""


@dataclass
class Kept:
    """What a journal holds.

    Attributes:
        identity: what identifies the run: name → value.
        run_id: names the run.
        started: when its first session began.
        cells: in the order in which they were finished.
        curves: in the same order, the points that each cell added to the error curves.
        flushes: what the probes found.
        start_up: seconds that the backends took to start, all sessions together.
        measuring: seconds from then on until the last cell, all sessions together.
        size: bytes of the lines that count.
        length: bytes of the file.
    """

    identity: dict[str, Any]
    run_id: str
    started: str
    cells: list[Cell] = field(default_factory=list)
    curves: list[dict[Key, Points]] = field(default_factory=list)
    flushes: dict[Probed, Flushes] = field(default_factory=dict)
    start_up: float = 0.0
    measuring: float = 0.0
    size: int = 0
    length: int = 0

    @property
    def torn(self) -> bool:
        """Whether there are bytes behind the lines that count."""
        return self.size < self.length

    def take(self, record: Mapping[str, Any], before: float) -> None:
        """Take in a record other than the first; ``before``: seconds of earlier sessions."""
        if "start_up" in record:
            self.start_up += record["start_up"]
        if "flushes" in record:
            self.flushes[Probed(*record["probed"])] = Flushes(*record["flushes"])
        if "cell" in record:
            self.cells.append(reading.cell(record["cell"]))
            self.curves.append(
                {
                    tuple(key): {number: (x, float(error)) for number, x, error in points}
                    for key, points in record["curves"]
                }
            )
            self.measuring = before + record["measuring"]


class Journal:
    """A journal that is being written; several threads may, and no other run.

    Args:
        path: the file.
        kept: what was read of it, behind which it goes on; None to begin anew.
    """

    def __init__(self, path: Path, kept: Kept | None = None) -> None:
        self.path = path
        self._size = kept.size if kept else 0
        self._lock = Lock()
        self._begin = self._synced = time.monotonic()
        try:
            self._file = open_alone(path)
        except BlockingIOError:
            raise JournalError(
                f"{path} is being written by another run: wait until that has ended, or choose "
                "another --results FILE or --out FOLDER"
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            self._cut_off(kept)
        except BaseException:
            os.close(self._file)
            raise

    @classmethod
    def begin(
        cls, path: Path, identity: Mapping[str, Any], run_id: str, started: str, start_up: float
    ) -> Journal:
        """Begin the journal of a run, in place of any other.

        Raises:
            JournalError: it cannot be written.
        """
        journal = cls(path)
        journal._append(
            {"journal": FORMAT, "id": run_id, "started": started, "identity": dict(identity)}
        )
        journal._append({"start_up": start_up})
        return journal

    @classmethod
    def go_on(cls, path: Path, kept: Kept, start_up: float) -> Journal:
        """Go on behind what was read.

        Raises:
            JournalError: it cannot be written.
        """
        journal = cls(path, kept)
        journal._append({"start_up": start_up})
        return journal

    def _cut_off(self, kept: Kept | None) -> None:
        """Cut off what does not count.

        Raises:
            JournalError: it does not work, or the file is no longer the one that was read.
        """
        try:
            length = os.fstat(self._file).st_size
            if kept is None or length == kept.length:
                os.ftruncate(self._file, self._size)
                return
            if not length:  # it was gone, and has just been made
                self.path.unlink()
        except OSError as error:
            raise _unwritable(self.path, error) from error
        raise JournalError(f"{self.path} was written by another run meanwhile: repeat --resume")

    def measuring(self) -> float:
        """Seconds since this session began to measure."""
        return time.monotonic() - self._begin

    def flushes(self, probed: Probed, flushes: Flushes) -> None:
        """Write what a probe found.

        Raises:
            JournalError: it cannot be written.
        """
        self._append({"probed": list(probed), "flushes": list(vars(flushes).values())})

    def cell(self, cell: Cell, curves: Mapping[Key, Points]) -> None:
        """Write a finished cell, with the points that it added to the error curves.

        Raises:
            JournalError: it cannot be written.
        """
        added = [
            [key, [[number, x, writing.number(error)] for number, (x, error) in points.items()]]
            for key, points in curves.items()
        ]
        self._append(
            {"cell": writing.plain(cell), "curves": added, "measuring": round(self.measuring(), 3)}
        )

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Bring all to the disk, and close the file."""
        with self._lock, suppress(OSError):
            file, self._file = self._file, -1  # a check that is late must meet no other file
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def _append(self, record: Mapping[str, Any]) -> None:
        line = _line(record)
        with self._lock:
            try:
                self._write(line)
                if time.monotonic() - self._synced >= _SYNC_INTERVAL:
                    os.fsync(self._file)
                    self._synced = time.monotonic()
            except OSError as error:
                raise _unwritable(self.path, error) from error
            self._size += len(line)

    def _write(self, line: bytes) -> None:
        """Write a line behind what counts: of one that failed nothing stays."""
        written = os.pwrite(self._file, line, self._size)
        if written == len(line):
            return
        try:
            while written < len(line):  # says why there was no more
                written += os.pwrite(self._file, line[written:], self._size + written)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise


def read(path: Path) -> Kept:
    """Read a journal up to its end, or up to the first line that is not whole.

    Raises:
        JournalError: there is none, or it does not say which run it is of.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error
    records = _records(content)
    size, first = next(records, (0, {}))
    if first.get("journal") != FORMAT:
        raise JournalError(
            f"{path} does not begin as a journal of this version does: start anew with --overwrite"
        )
    known = first["identity"], first["id"], first["started"]
    kept = Kept(*known, size=size, length=len(content))
    before = 0.0
    for size, record in records:
        if "start_up" in record:
            before = kept.measuring
        kept.take(record, before)
        kept.size = size
    return kept


def open_alone(path: Path) -> int:
    """Open a file for writing that no other process has open in this way, made if it is not there.

    It may be removed before it is closed, and then not by the next who opens it.

    Raises:
        BlockingIOError: another one has it.
        OSError: it cannot be opened.
    """
    while True:
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            _lock(file)
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:
            pass  # whoever had it has removed it: the next is another file
        except OSError:
            os.close(file)
            raise
        os.close(file)


def _lock(file: int) -> None:
    """Lock an open file until it is closed, where the file system can.

    Raises:
        BlockingIOError: it is locked.
    """
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return


def _line(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record, allow_nan=False, separators=(",", ":")).encode()
    return b'["%08x",%b]\n' % (zlib.crc32(body), body)


def _records(content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records that are whole, each with the position of its end."""
    position = 0
    for line in content.splitlines(keepends=True):
        body = line[_CHECKED:-2]
        if line != b'["%08x",%b]\n' % (zlib.crc32(body), body):
            return
        position += len(line)
        yield position, json.loads(body)


def _unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"{path} cannot be written: {error.strerror}. What was measured before is in it: "
        "free some space, then go on with --resume"
    )


def require_same(kept: Kept, identity: dict[str, Any]) -> None:
    """Refuse to go on with a run of other settings or backends.

    Raises:
        JournalError: it is one.
    """
    for name, after in identity.items():
        before = kept.identity.get(name)
        if before != after and name == SOURCES:
            changed = [file for file in after if after[file] != (before or {}).get(file)]
            raise JournalError(
                f"{', '.join(changed)} has changed since the run was begun; start anew with "
                "--overwrite"
            )
        if before != after:
            raise JournalError(
                f"the run was begun with {name} {brief(before)}, this one has "
                f"{brief(after)}; ask for the same, or start anew with --overwrite"
            )


def brief(value: object) -> str:
    """A setting of a run in a message: the beginning of a long list."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return (text if len(text) < 80 else f"{text[:77]}…") or "none"

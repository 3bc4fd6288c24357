"""The journal of sweeps: finished pieces in an SQLite file, each on the disk before it counts.

Guarantees that a process which is killed at any moment, or a machine that loses its power, loses no
piece that was added, and that the file can still be read. Uses SQLite's rollback journal rather
than its write-ahead log, which needs shared memory that network file systems do not have.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from .plan import Piece

NAME = "sweeps.sqlite"
_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS sweeps (key TEXT PRIMARY KEY, identity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pieces (
    key TEXT NOT NULL, first_target INTEGER, last_target INTEGER, first INTEGER, last INTEGER,
    summary BLOB, failure TEXT NOT NULL,
    PRIMARY KEY (key, first_target, last_target, first, last)
) WITHOUT ROWID;
"""


class JournalError(Exception):
    """The journal cannot be used; the text says why, and what to do."""


@dataclass(frozen=True)
class Finished:
    """A piece that was evaluated: its summary as bytes, or why there is none."""

    summary: bytes | None
    failure: str = ""


@dataclass(frozen=True)
class Standing:
    """How far a sweep is: its identity, and the finished and failed pieces and points."""

    identity: dict[str, str]
    pieces: int
    points: int
    failed: int


def key_of(identity: Mapping[str, str]) -> str:
    """The key of a sweep: a digest of all that decides its results."""
    text = json.dumps(dict(sorted(identity.items())))
    return blake2b(text.encode(), digest_size=16).hexdigest()


class Journal:
    """The journal in a folder, which is made where there is none. Close it, or use ``with``.

    Args:
        folder: where it lies.

    Raises:
        JournalError: it cannot be read or written, or is another version's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Pieces are added by the thread that made it alone.
            self._base = sqlite3.connect(self._path, timeout=60.0)
            (found,) = self._base.execute("PRAGMA user_version").fetchone()
            if found not in (0, _VERSION):
                raise JournalError(
                    f"{self._path} is a journal of version {found}, not {_VERSION}: name another "
                    "folder with --out"
                )
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.executescript(_TABLES)
            self._base.execute(f"PRAGMA user_version = {_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def open(self, identity: Mapping[str, str]) -> str:
        """Enter a sweep, if it is new, and return its key."""
        key = key_of(identity)
        text = json.dumps(dict(sorted(identity.items())))
        try:
            with self._base:
                self._base.execute("INSERT OR IGNORE INTO sweeps VALUES (?, ?)", (key, text))
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return key

    def add(self, piece: Piece, finished: Mapping[str, Finished]) -> None:
        """Add what came of a piece, for several sweeps at once: all or none of it.

        Args:
            piece: the piece.
            finished: by key of the sweep. It replaces a failure, and what was there before.

        Raises:
            JournalError: it cannot be written.
        """
        where = (piece.first_target, piece.last_target, piece.first, piece.last)
        rows = [(key, *where, one.summary, one.failure) for key, one in finished.items()]
        try:
            with self._base:
                self._base.executemany(
                    "INSERT OR REPLACE INTO pieces VALUES (?, ?, ?, ?, ?, ?, ?)", rows
                )
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def finished(self, key: str) -> dict[Piece, Finished]:
        """What came of the pieces of a sweep, in order."""
        rows = self._base.execute("SELECT * FROM pieces WHERE key = ?", (key,))
        return {Piece(*row[1:5]): Finished(row[5], row[6]) for row in rows}

    def forget(self, key: str) -> None:
        """Delete the pieces of a sweep."""
        with self._base:
            self._base.execute("DELETE FROM pieces WHERE key = ?", (key,))

    def standing(self) -> list[Standing]:
        """How far each sweep is, in the order of their identities."""
        found = []
        for key, text in self._base.execute("SELECT * FROM sweeps ORDER BY identity").fetchall():
            pieces, points, failed = self._base.execute(
                "SELECT count(summary), coalesce(sum((last_target - first_target) * (last - first)"
                " * (summary IS NOT NULL)), 0), count(*) - count(summary)"
                " FROM pieces WHERE key = ?",
                (key,),
            ).fetchone()
            found.append(Standing(json.loads(text), pieces, points, failed))
        return found

    def _unusable(self, error: Exception) -> JournalError:
        return JournalError(
            f"{self._path} cannot be used: {error}. Free some space or name another folder with "
            "--out, then go on with --resume"
        )

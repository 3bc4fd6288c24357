"""The journal of sweeps."""

import sqlite3
from pathlib import Path

import pytest

from bce_conformance.conformance.sweeping.journal import NAME, Finished, Journal, JournalError
from bce_conformance.conformance.sweeping.plan import Piece

ONE, OTHER = Piece(0, 1, 0, 10), Piece(0, 2, 10, 15)


def test_pieces_are_there_after_opening_it_again(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        key = journal.open({"backend": "a"})
        journal.add(ONE, {key: Finished(b"summary")})
        journal.add(OTHER, {key: Finished(None, "crashed: SIGSEGV")})
    with Journal(tmp_path) as journal:
        assert journal.open({"backend": "a"}) == key != journal.open({"backend": "b"})
        assert journal.finished(key) == {
            ONE: Finished(b"summary"),
            OTHER: Finished(None, "crashed: SIGSEGV"),
        }
        (standing, nothing) = journal.standing()
        assert (standing.pieces, standing.points, standing.failed) == (1, 10, 1)
        assert (nothing.identity, nothing.points) == ({"backend": "b"}, 0)
        journal.add(OTHER, {key: Finished(b"more")})
        assert journal.finished(key)[OTHER] == Finished(b"more")
        journal.forget(key)
        assert journal.finished(key) == {}


def test_other_files_and_versions_are_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 100)
    with pytest.raises(JournalError, match="cannot be used: file is not a database"):
        Journal(tmp_path)
    (tmp_path / NAME).unlink()
    with sqlite3.connect(tmp_path / NAME) as base:
        base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(JournalError, match="version 99, not 1: name another folder with --out"):
        Journal(tmp_path)

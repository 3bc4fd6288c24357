"""The journal: what it holds is what was written, whatever became of its end."""

import fcntl
from dataclasses import replace
from errno import ENOLCK
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.running import journal
from bce_conformance.conformance.running.journal import Journal, JournalError
from bce_conformance.reference import FLOAT32
from bce_conformance.results.cells import Cell, UlpStatistics, Witness, Worst
from bce_conformance.results.model import Flushes, Probed

PROBED = Probed("some", "cpu", "float32")
KEY = ("some", "cpu", "float32", "loss", "0")
CELL = Cell(
    *("VAL-1", "some", "cpu", "float32", "A", True, "reason", 7, "searched"),
    UlpStatistics(float("inf"), 2.0, float("inf"), 0.5),
    Worst("0x1p+0", "0x0p+0", None, None, "inf", "nan"),
    "one line\r\nand another\u2028",
    "run",
    witness=Witness("pool", "float32", "0", 5),
    elsewhere=("version",),
)


def written(path: Path) -> Path:
    file = Journal.begin(path, {"seed": 0}, "id", "2026-01-01T00:00:00+00:00", 2.5)
    file.flushes(PROBED, Flushes(None, True))
    file.cell(CELL, {KEY: {4: (0.1, float("inf")), 5: (-0.3, 0.5)}})
    file.cell(replace(CELL, requirement="VAL-2", ulp=None, worst=None, witness=None), {})
    file.close()
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    kept = journal.read(written(tmp_path / "j"))
    assert (kept.identity, kept.run_id, kept.start_up) == ({"seed": 0}, "id", 2.5)
    assert kept.cells[0] == CELL
    assert kept.cells[1].worst is None
    assert kept.curves == [{KEY: {4: (0.1, float("inf")), 5: (-0.3, 0.5)}}, {}]
    assert kept.flushes == {PROBED: Flushes(None, True)}
    assert not kept.torn


@pytest.mark.parametrize("behind", [b"torn", b'["00000000",{"cell":{}}]\n', b"\xff\n", b"\n"])
def test_what_is_not_whole_ends_it_and_is_cut_off(tmp_path: Path, behind: bytes) -> None:
    path = written(tmp_path / "j")
    whole = path.read_bytes()
    path.write_bytes(whole + behind + whole.splitlines(keepends=True)[-1])
    kept = journal.read(path)
    assert kept.torn
    assert len(kept.cells) == 2
    Journal.go_on(path, kept, 1.5).close()
    kept = journal.read(path)
    assert not kept.torn
    assert kept.start_up == 4.0


def test_a_changed_digit_does_not_count(tmp_path: Path) -> None:
    path = written(tmp_path / "j")
    path.write_bytes(path.read_bytes().replace(b'"inputs":7', b'"inputs":8', 1))
    assert journal.read(path).cells == []


def test_seconds_of_all_sessions_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j"
    monkeypatch.setattr(Journal, "measuring", lambda self: 10.0)
    first = journal.read(written(path)).measuring
    again = Journal.go_on(path, journal.read(path), 1.0)
    again.cell(CELL, {})
    again.close()
    assert (first, journal.read(path).measuring) == (10.0, 20.0)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"not a journal"])
def test_what_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(JournalError, match="start anew with --overwrite"):
        journal.read(tmp_path / "j")


def test_a_late_cell_meets_no_other_file(tmp_path: Path) -> None:
    file = Journal.begin(tmp_path / "j", {}, "id", "now", 0.0)
    file.close()
    other = (tmp_path / "other").open("wb")  # gets the descriptor that was closed
    with other, pytest.raises(JournalError):
        file.cell(CELL, {})
    assert (tmp_path / "other").read_bytes() == b""


def test_points_of_one_cell_after_the_other_give_the_curves_of_all_errors_in_any_order() -> None:
    random = np.random.default_rng(0)
    whole, parts, reverse, cells = Curves(), Curves(), Curves(), []
    for _ in range(20):
        logits = random.normal(0, 3, 500).astype(np.float32)
        inputs = Inputs("x", FLOAT32, logits, np.zeros(500, np.float32))
        errors = random.integers(0, 4, 500).astype(np.float64)  # many are equal
        whole.add("some", "cpu", inputs, "loss", errors)
        cell = Curves()
        cell.add("some", "cpu", inputs, "loss", errors)
        cells.append(cell)
        parts.take(cell)
    assert parts.curves() == whole.curves() != Curves().curves()
    for cell in reversed(cells):
        reverse.take(cell)
    assert reverse.curves() == whole.curves()
    assert not any(map(whole.take, cells))  # nothing is larger


def test_two_runs_do_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    first = Journal.begin(path, {"seed": 0}, "first", "now", 0.0)
    first.cell(CELL, {})
    with pytest.raises(JournalError, match=r"j is being written by another run: wait .*--results"):
        Journal.begin(path, {"seed": 0}, "second", "now", 0.0)
    with pytest.raises(JournalError, match="is being written by another run"):
        Journal.go_on(path, journal.read(path), 0.0)
    first.close()
    kept = journal.read(path)
    assert (kept.run_id, kept.cells) == ("first", [CELL])
    Journal.go_on(path, kept, 0.0).close()
    Journal.begin(path, {"seed": 0}, "second", "now", 0.0).close()


def test_what_another_run_has_written_since_is_not_cut_off(tmp_path: Path) -> None:
    path = written(tmp_path / "j")
    before = journal.read(path)
    with Journal.go_on(path, before, 0.0) as other:
        other.cell(CELL, {})
    with pytest.raises(JournalError, match="was written by another run meanwhile"):
        Journal.go_on(path, before, 0.0)
    assert len(journal.read(path).cells) == 3
    path.unlink()  # the other run is complete
    with pytest.raises(JournalError, match="was written by another run meanwhile"):
        Journal.go_on(path, before, 0.0)
    assert not path.exists()


def test_a_journal_is_removed_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal.begin(path, {}, "first", "now", 0.0):
        path.unlink()
        with Journal.begin(path, {}, "second", "now", 0.0):  # another file
            assert journal.read(path).run_id == "second"
    assert path.exists()


def test_a_file_system_that_locks_nothing_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: int, how: int) -> None:
        raise OSError(ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert len(journal.read(written(tmp_path / "j")).cells) == 2


def test_a_judged_file_that_has_changed_is_named() -> None:
    kept = journal.Kept({"tier": "quick", "sources": {"./a.py": "1", "./b.py": "2"}}, "id", "now")
    journal.require_same(kept, {"tier": "quick", "sources": {"./a.py": "1", "./b.py": "2"}})
    with pytest.raises(
        JournalError, match=r"^\./b\.py has changed since the run was begun; .*--overwrite$"
    ):
        journal.require_same(kept, {"sources": {"./a.py": "1", "./b.py": "3"}})

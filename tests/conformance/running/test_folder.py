"""The folder of a run is held by one run at a time, also while others end."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.conformance.running import journal
from bce_conformance.conformance.running.folder import (
    FolderError,
    held,
    require_none_left_out,
    require_nothing_lost,
)
from bce_conformance.conformance.settings import Settings
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.host import now
from bce_conformance.results.model import BackendEntry, Host, Requirement, Results, Run
from bce_conformance.results.writing import write


def test_a_folder_is_held_once_and_nothing_stays_in_it(tmp_path: Path) -> None:
    with held(tmp_path):
        with pytest.raises(FolderError, match="is being written by another run"), held(tmp_path):
            pass
        with pytest.raises(FolderError), held(tmp_path):  # the refused one let go of nothing
            pass
    assert not list(tmp_path.iterdir())
    with held(tmp_path):
        pass


def test_a_run_that_ends_does_not_let_two_others_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run takes the lock at the first moment that it can, then a third one comes."""
    unlink, others = Path.unlink, []

    def late(path: Path, missing_ok: bool = False) -> None:
        monkeypatch.setattr(Path, "unlink", unlink)
        others.append(entered(tmp_path))
        path.unlink(missing_ok)

    monkeypatch.setattr(Path, "unlink", late)
    with held(tmp_path):
        pass
    others.append(entered(tmp_path))
    others.append(entered(tmp_path))
    assert sum(one is not None for one in others) == 1


def entered(folder: Path) -> object:
    """A run that has entered a folder; None where another one holds it."""
    run = held(folder)
    try:
        run.__enter__()
    except FolderError:
        return None
    return run


def test_a_lock_that_is_removed_before_it_is_taken_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, path = journal._lock, tmp_path / "lock"

    def late(file: int) -> None:
        monkeypatch.setattr(journal, "_lock", lock)
        path.unlink()
        lock(file)

    monkeypatch.setattr(journal, "_lock", late)
    file = journal.open_alone(path)
    assert os.path.samestat(os.fstat(file), path.stat())
    with pytest.raises(BlockingIOError):
        journal.open_alone(path)
    os.close(file)


def test_a_lock_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / ".run.lock").mkdir()
    with pytest.raises(FolderError, match="choose another --out FOLDER"), held(tmp_path):
        pass


def written(folder: Path, *places: Place, tier: str = "quick") -> Path:
    """A results.json with a cell at each place."""
    host = Host("", 1, 0, "", "")
    run = Run("a", now(), now(), tier, (), "", host, False, 0, 0, (), None)
    ids = dict.fromkeys(place.requirement for place in places)
    names = dict.fromkeys(place.backend for place in places)
    entries = (BackendEntry(name, name, "1", "", (), (), (), "ok") for name in names)
    more: Any = ("AAA", True, "", 1, "searched", None, None, "", "")
    found = Results(
        run,
        tuple(entries),
        tuple(Requirement(name, name.partition("-")[0], "It is right.", "Why.") for name in ids),
        tuple(Cell(*place, *more) for place in places),
        (),
    )
    write(found, folder / "results.json")
    return folder / "results.json"


class Machine:
    """Stands for a matrix on a machine with a processor alone."""

    def is_measurable(self, place: Place) -> bool:
        return place.device == "cpu"


def test_cells_of_a_device_that_is_not_there_are_not_lost(tmp_path: Path) -> None:
    cpu = Place("VAL-1", "native", "cpu", "float32")
    cuda = cpu._replace(device="cuda")
    matrix: Any = Machine()
    path = written(tmp_path, cpu, cuda)
    for places in ([cpu], [cpu, cuda]):
        with pytest.raises(FolderError, match=r"1 cells .* such as VAL-1/native/cuda/float32"):
            require_none_left_out(path, matrix, places)
    require_none_left_out(written(tmp_path, cpu), matrix, [cpu])
    require_none_left_out(tmp_path / "none.json", matrix, [cpu])


def test_a_requirement_that_is_measured_where_it_is_named_may_be_written_over(
    tmp_path: Path,
) -> None:
    written(tmp_path, Place("DET-6", "native", "cpu", "float32"))
    settings = Settings(("native",), requirements=("DET-6",), tier="quick")
    require_nothing_lost(tmp_path, settings)
    with pytest.raises(FolderError, match="such as DET-6/native/cpu/float32"):
        require_nothing_lost(tmp_path, replace(settings, requirements=()))


def test_a_tier_that_nobody_knows_is_said(tmp_path: Path) -> None:
    written(tmp_path, Place("VAL-1", "native", "cpu", "float32"), tier="nightly")
    with pytest.raises(FolderError, match="tier 'nightly', which is none of quick, default, tho"):
        require_nothing_lost(tmp_path, Settings(("native",), tier="quick"))

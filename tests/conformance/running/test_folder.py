"""The folder of a run is held by one run at a time, also while others end."""

import os
from pathlib import Path

import pytest

from bce_conformance.conformance.running import journal
from bce_conformance.conformance.running.folder import FolderError, held


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

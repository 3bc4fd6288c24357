"""What takes long is told while it lasts."""

import time
from pathlib import Path

import pytest

from bce_conformance.backends import environments, resolve
from bce_conformance.terminal.waiting import announce, told_after


def test_an_environment_that_is_made_now_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(environments.VARIABLE, str(tmp_path))
    announce([resolve("native"), resolve("jax@pip=0.5.3")])
    told = capsys.readouterr().err
    folder = environments.folder_of("jax", "0.5.3")
    assert f"installing jax 0.5.3 in an environment of its own: {folder}\n" in told
    assert "gigabytes" in told
    folder.mkdir(parents=True)
    (folder / "complete").touch()
    announce([resolve("jax@pip=0.5.3")])
    assert capsys.readouterr().err == ""


def test_what_ends_soon_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with told_after(30, "late"):
        pass
    with told_after(0, "waiting"):
        end = time.monotonic() + 30
        told = ""
        while not told and time.monotonic() < end:
            time.sleep(0.01)
            told = capsys.readouterr().err
    assert told == "waiting\n"

"""``@pip=``: another version of a framework, in an environment that is made when it starts."""

import os
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    Failure,
    LossCall,
    LossResult,
    environments,
    installed,
    resolve,
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(environments.VARIABLE, str(tmp_path))
    return tmp_path


def test_a_version_is_part_of_the_id_and_has_an_interpreter_of_its_own(cache: Path) -> None:
    spec = resolve("autograd@pip=1.7.0")
    assert (spec.id, spec.release) == ("autograd@pip=1.7.0", "1.7.0")
    assert Path(spec.python).is_relative_to(cache)
    assert "autograd-1.7.0-python-" in spec.python
    assert installed(spec)
    assert not Path(spec.python).exists()  # it is made when it starts


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("native@pip=1.0", "has none of its own"),
        ("native:torch@pip=2.10.0", "has none of its own"),
        ("torch@pip=latest", "names no version"),
        ("torch@pip=", "pip=VERSION"),
        ("torch@pip=2.10.0@python=/usr/bin/python3", "accepted is one of them"),
    ],
)
def test_what_pip_cannot_make_is_refused_at_once(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        resolve(name)


def test_a_version_that_there_is_not_says_so_and_leaves_nothing_complete(cache: Path) -> None:
    with BackendProcess(resolve("autograd@pip=0.0.99")) as process:
        failure = process.info()
    assert isinstance(failure, Failure)
    assert "autograd==0.0.99" in failure.detail
    assert not list(cache.rglob("complete"))


def test_two_versions_side_by_side(cache: Path) -> None:
    x = np.array([0.5, -3.0])
    for version in ("1.7.0", "1.8.0"):
        with BackendProcess(resolve(f"autograd@pip={version}")) as process:
            info = process.info()
            if isinstance(info, Failure) and "CI" not in os.environ:
                pytest.skip(f"pip: {info.detail}")
            assert isinstance(info, BackendInfo), info
            assert (info.id, info.version) == (f"autograd@pip={version}", version)
            outcome = process.evaluate(LossCall(x, np.ones(2), reduction="none"))
        assert isinstance(outcome, LossResult)
        assert outcome.values["loss"] == pytest.approx(np.logaddexp(0, -x))
    made = environments.make("autograd", "1.7.0")
    stamp = made.lstat().st_mtime_ns
    assert environments.make("autograd", "1.7.0").lstat().st_mtime_ns == stamp
    (made.parents[1] / "complete").unlink()  # an installation that was cut off is made again
    (made.parents[1] / "rest").touch()
    environments.make("autograd", "1.7.0")
    assert not (made.parents[1] / "rest").exists()

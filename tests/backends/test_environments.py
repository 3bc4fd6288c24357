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
    assert "autograd" in failure.detail
    assert "0.0.99" in failure.detail
    assert not list(cache.rglob("complete"))


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ([], "it finds none at all"),
        (["1.0", "1.1"], "it has 1.0, 1.1"),
        ([f"1.{n}" for n in range(20)], "20, 1.0 to 1.19, and the nearest are 1.7, 1.8, 1.9, 1.10"),
    ],
)
def test_pip_says_which_versions_there_are_instead(there: list[str], told: str) -> None:
    said = (
        "ERROR: Could not find a version that satisfies the requirement toy==1.9.5 "
        f"(from versions: {', '.join(there) or 'none'})\nERROR: No matching distribution found"
    )
    reason = environments._reason(["pip"], said)
    assert reason.startswith("pip has no toy 1.9.5 for Python 3.")
    assert told in reason


def test_an_environment_that_is_removed_is_not_there(cache: Path) -> None:
    folder = environments.folder_of("toy", "1.0")
    folder.mkdir(parents=True)
    (folder / "complete").touch()
    assert environments.is_made("toy", "1.0")
    environments.remove("toy", "1.0")
    environments.remove("toy", "1.0")
    assert not environments.is_made("toy", "1.0")
    assert not folder.exists()

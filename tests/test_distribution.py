"""The wheel has all that is run, and the sdist all that is kept; neither has anything else."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import setuptools.build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"
NOT_DATA = {"README.md"}  # of a folder, for those who read the code; not everywhere in the wheel


def tracked() -> set[str]:
    """The files of the repository, as git has them."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The names in the wheel, and those in the sdist."""
    folder = tmp_path_factory.mktemp("built")
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    done = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive, tarfile.open(sdist) as packed:
        names = {member.name.partition("/")[2] for member in packed if member.isfile()}
        return set(archive.namelist()), names


def test_the_wheel_has_every_file_of_each_package(built: tuple[set[str], set[str]]) -> None:
    wheel, _ = built
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {folder: name.replace(".", "/") for name, folder in setup["package-dir"].items()}
    expected = set()
    for name in tracked():
        at = next((one for one in map(str, Path(name).parents) if one in folders), None)
        if at is not None and Path(name).name not in NOT_DATA:
            expected.add(f"{folders[at]}{name.removeprefix(at)}")
    assert len(expected) > 300
    assert expected - wheel == set()
    assert {name for name in wheel if ".dist-info/" not in name and name not in expected} <= {
        f"{package}/README.md" for package in folders.values()
    }


def test_the_sdist_has_the_repository(built: tuple[set[str], set[str]]) -> None:
    _, sdist = built
    made = {"PKG-INFO", "setup.cfg"}
    assert tracked() - sdist == set()
    extra = {name for name in sdist - tracked() - made if ".egg-info/" not in name}
    assert extra == set()

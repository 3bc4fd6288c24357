"""The wheelhouse has what the other machine needs, by the markers of that machine."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


def wheel(folder: Path, name: str, *needs: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-1.0.dist-info/METADATA", "\n".join(lines) + "\n\nText.\n")
    return path


def test_extras_are_not_required(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    own = wheel(tmp_path, "own", "first>=1", "second; extra == 'more'", "third; os_name == 'nt'")
    assert script("wheelhouse").requirements(own) == ["first>=1", "third; os_name == 'nt'"]


@pytest.mark.parametrize(
    ("python", "lacking"), [("3.12", ["backport>=2", "deep"]), ("3.13", ["deep"])]
)
def test_what_is_lacking_is_by_the_markers_of_the_other_machine(
    script: Callable[[str], ModuleType], tmp_path: Path, python: str, lacking: list[str]
) -> None:
    wheel(tmp_path, "first", "backport>=2; python_version < '3.13'", "Under_Score", "first")
    wheel(tmp_path, "under_score", "deep", "windows; sys_platform == 'win32'")
    wanted = ["first>=1", "arm; platform_machine == 'aarch64'"]
    assert script("wheelhouse").unmet(tmp_path, wanted, python, "x86_64") == lacking
    assert "arm" in script("wheelhouse").unmet(tmp_path, wanted, python, "aarch64")


def test_what_is_left_at_home_is_required(script: Callable[[str], ModuleType]) -> None:
    """A requirement that was renamed or dropped would be left out in vain."""
    import tomllib

    from packaging.requirements import Requirement

    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    names = {Requirement(line).name for line in project["dependencies"]}
    assert names >= set(script("wheelhouse").AT_HOME)
    assert "numba" in names

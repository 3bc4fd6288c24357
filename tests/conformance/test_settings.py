"""Settings are made once, by the command line or of pytest's options, and hold the ledger."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.conformance import plugin, settings
from bce_conformance.conformance.ledger.claims import Claims
from bce_conformance.conformance.ledger.standing import Ledger
from bce_conformance.conformance.running.outcome import identity_of_settings
from bce_conformance.conformance.running.progress import Progress
from bce_conformance.conformance.settings import Settings


class Session:
    """A session of pytest to which nobody gave an option."""

    def __init__(self) -> None:
        self.stash = pytest.Stash()

    def addinivalue_line(self, name: str, line: str) -> None:
        pass


def test_a_session_measures_what_it_is_handed_and_the_ledger_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[tuple[Path, ...]] = []

    def read(files: tuple[Path, ...], claims: Claims | None) -> Ledger:
        reads.append(files)
        return Ledger([], claims)

    monkeypatch.setattr(settings, "read", read)
    options = plugin.RunOptions(Settings(), None, resume=False, progress=Progress())
    session: Any = Session()
    session.stash[plugin.OPTIONS] = options
    plugin.pytest_configure(session)
    matrix = plugin.matrix_of(session)
    matrix.processes.close()
    assert matrix.settings is options.settings
    assert matrix.progress is options.progress
    assert reads == [()]


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("", {}),
        ("--backend=native --backend=torch", {"backends": ("native", "torch")}),
        ("--device=cpu --dtype=float16", {"devices": ("cpu",), "dtypes": ("float16",)}),
        ("--device=cpu --device=all", {}),
        ("--requirement=VAL-1 --requirement=RED", {"requirements": ("VAL-1", "RED")}),
        ("--tier=quick --seed=7", {"tier": "quick", "seed": 7}),
        ("--time-limit=2.5 --memory=2GiB", {"time_limit": 2.5, "memory": 2 << 30}),
        ("--isa=x86-64-v2 --strict-ledger", {"instruction_set": "x86-64-v2", "strict": True}),
    ],
)
def test_options_of_pytest_are_settings(line: str, given: dict[str, Any]) -> None:
    parser = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    options = plugin.read_options(parser.parse(shlex.split(line)))
    assert options.settings == Settings(**given)
    assert (options.results, options.resume) == (None, False)


def test_resuming_needs_results() -> None:
    parser = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    with pytest.raises(pytest.UsageError, match="--resume needs --results"):
        plugin.read_options(parser.parse(["--resume"]))
    options = plugin.read_options(parser.parse(["--resume", "--results=out/results.json"]))
    assert (options.results, options.resume) == (Path("out/results.json"), True)


@pytest.mark.parametrize("limit", [0, -1.0, float("inf"), float("nan"), 1_000_001.0])
def test_a_time_limit_that_cannot_be_waited_for_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match=r"time_limit is .*positive and at most 1,000,000 seconds"):
        Settings(time_limit=limit)
    assert Settings(time_limit=1_000_000).time_limit == 1_000_000


def test_a_file_of_a_users_own_is_known_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ids = ("torch::./kernel.py:loss", "numpy::pack.age.losses:a", "pack.age:Adapter", "native")
    files = [Path("kernel.py"), Path("pack/age/losses.py"), Path("pack/age/__init__.py")]
    Path("pack/age").mkdir(parents=True)
    names = ["./kernel.py", "pack.age.losses", "pack.age"]
    for file in files:
        file.write_text("raise AssertionError('imported')")
    first = Settings(ids)
    assert list(first.sources) == names
    assert all(first.sources.values())
    assert Settings(ids).sources == first.sources
    for file, name in zip(files, names, strict=True):
        before = Settings(ids).sources
        file.write_text(f"# {file}")
        after = Settings(ids).sources
        assert {one for one in names if before[one] != after[one]} == {name}
    files[1].unlink()
    assert Settings(ids).sources["pack.age.losses"] == ""


def test_built_in_backends_and_modules_elsewhere_have_no_source() -> None:
    assert Settings().sources == {}
    assert "sources" not in identity_of_settings(Settings())
    assert Settings(("torch::os:name@ssh=there",)).sources == {"os": ""}
    found = Settings(("torch::json.decoder:x", "torch::sys:x"))
    assert [bool(digest) for digest in found.sources.values()] == [True, False]
    assert identity_of_settings(found)["sources"] == found.sources

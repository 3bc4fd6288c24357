"""Settings are made once, by the command line or of pytest's options, and hold the ledger."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.conformance import plugin, settings
from bce_conformance.conformance.ledger.claims import Claims
from bce_conformance.conformance.ledger.standing import Ledger
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

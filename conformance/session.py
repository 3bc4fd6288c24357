"""One run of the matrix by way of pytest, for the command line.

Guarantees that what ``bce-conformance run`` measures is what ``pytest conformance`` measures.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import pytest

from . import plugin
from .matrix import Earlier, Settings
from .progress import Progress

FOLDER = Path(__file__).parent


class Exit(IntEnum):
    """Exit codes of the command line."""

    AS_EXPECTED = 0
    UNEXPECTED = 1
    MISUSE = 2
    SUITE_FAILED = 3
    INTERRUPTED = 130


class _Watcher:
    """Hands progress and earlier cells to the session, and keeps the suite's own failures."""

    def __init__(self, progress: Progress, earlier: Earlier) -> None:
        self.suite_failures: list[str] = []
        self._progress = progress
        self._earlier = earlier

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[plugin.EARLIER] = self._earlier
        config.stash[plugin.PROGRESS] = self._progress

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
        report = yield
        error = call.excinfo.value if call.excinfo else None
        if report.failed and not isinstance(error, plugin.Unexpected):
            self.suite_failures.append(f"{report.nodeid}\n{report.longreprtext}")
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.suite_failures.append(f"{report.nodeid}\n{report.longreprtext}")

    def pytest_internalerror(self, excrepr: object) -> None:
        self.suite_failures.append(str(excrepr))


def run(
    settings: Settings,
    results: Path | None,
    progress: Progress,
    on_failure: Callable[[str], None],
    *,
    earlier: Earlier | None = None,
) -> Exit:
    """Measure the matrix.

    Args:
        settings: what is measured.
        results: where results.json goes; None where nothing is to be written.
        progress: is told how far the run is.
        on_failure: is given the text of each failure of the suite itself.
        earlier: what an interrupted run of the same settings has measured; kept, not repeated.
    """
    earlier = earlier or Earlier()
    watcher = _Watcher(progress, earlier)
    arguments = [str(FOLDER), f"--rootdir={FOLDER}", "--override-ini=addopts=", "-c", os.devnull]
    arguments += ["-p", "no:terminal", "-p", "no:cacheprovider", "--import-mode=importlib"]
    arguments += ["--capture=no"]  # progress is shown while tests wait for their cells
    arguments += [f"--results={results}"] if results is not None else []
    arguments += [f"--tier={settings.tier}", f"--seed={settings.seed}"]
    arguments += [f"--time-limit={settings.time_limit}"]
    for option in ("backend", "device", "dtype", "requirement"):
        arguments += [f"--{option}={value}" for value in getattr(settings, f"{option}s")]
    arguments += [f"--ledger={path.resolve()}" for path in settings.ledgers]
    arguments += [f"--isa={settings.instruction_set}"]
    arguments += ["--strict-ledger"] * settings.strict
    code = pytest.main(arguments, plugins=[watcher])
    for text in watcher.suite_failures:
        on_failure(text)
    if code == pytest.ExitCode.INTERRUPTED:
        return Exit.INTERRUPTED
    if watcher.suite_failures or code in (
        pytest.ExitCode.INTERNAL_ERROR,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    ):
        return Exit.SUITE_FAILED
    if code == pytest.ExitCode.USAGE_ERROR:
        return Exit.MISUSE
    as_expected = code == pytest.ExitCode.OK and all(map(settings.accepts, earlier.cells))
    return Exit.AS_EXPECTED if as_expected else Exit.UNEXPECTED

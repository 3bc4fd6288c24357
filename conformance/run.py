"""One run of the matrix by way of pytest, for the command line.

Guarantees that what ``bce-conformance run`` measures is what ``pytest conformance`` measures.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import NoReturn

import pytest

from bce_conformance.conformance.running.progress import Progress
from bce_conformance.conformance.running.scheduler import Engine
from bce_conformance.results.model import Results

from . import plugin
from .settings import Settings

FOLDER = Path(__file__).parent


class Exit(IntEnum):
    """Exit codes of the command line."""

    AS_EXPECTED = 0
    UNEXPECTED = 1
    MISUSE = 2
    SUITE_FAILED = 3
    INTERRUPTED = 130


class _Watcher:
    """Hands a session its options, and keeps the suite's own failures."""

    def __init__(self, options: plugin.RunOptions) -> None:
        self.suite_failures: list[str] = []
        self.stopped = ""  # why the suite itself ended the run
        self.as_expected = True
        self._options = options

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[plugin.OPTIONS] = self._options

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

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.exit.Exception):
            self.stopped = str(excinfo.value)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if plugin.MATRIX in session.config.stash:
            matrix = session.config.stash[plugin.MATRIX]
            self.as_expected = all(map(matrix.settings.accepts, matrix.cells.values()))


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does; only the main thread may say so."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run(
    settings: Settings,
    results: Path | None,
    progress: Progress,
    on_failure: Callable[[str], None],
    on_stop: Callable[[str], None],
    *,
    resume: bool = False,
    so_far: Callable[[Results], None] | None = None,
    engine: Engine | None = None,
    keep: bool = False,
) -> Exit:
    """Measure the matrix; where it writes ``results``, a journal lies beside them meanwhile.

    Args:
        settings: what is measured.
        results: where results.json goes; None where nothing is to be written.
        progress: is told how far the run is.
        on_failure: is given the text of each failure of the suite itself.
        on_stop: is told in one line why the suite could not go on, such as for a full disk.
        resume: whether to go on from the journal of an interrupted run of the same settings.
        so_far: is given what was measured so far, from time to time, in a thread of its own.
        engine: where the checks run; None for this process.
        keep: whether a run is refused that would lose cells of the results.json that is there.
    """
    begun = engine or Engine()
    options = plugin.RunOptions(settings, results, resume, progress, so_far, begun, keep)
    watcher = _Watcher(options)
    arguments = [str(FOLDER), f"--rootdir={FOLDER}", "--override-ini=addopts=", "-c", os.devnull]
    arguments += ["-p", "no:terminal", "-p", "no:cacheprovider", "--import-mode=importlib"]
    # It collects garbage five times at the end, which takes seconds after many calls.
    arguments += ["-p", "no:unraisableexception"]
    arguments += ["--capture=no"]  # progress is shown while tests wait for their cells
    with _terminated_as_interrupted():
        code = pytest.main(arguments, plugins=[watcher])
    for text in watcher.suite_failures:
        on_failure(text)
    if watcher.stopped:
        on_stop(watcher.stopped)
    if code == pytest.ExitCode.INTERRUPTED:
        return Exit.INTERRUPTED
    if watcher.suite_failures or code in (
        pytest.ExitCode.INTERNAL_ERROR,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    ):
        return Exit.SUITE_FAILED
    if code == pytest.ExitCode.USAGE_ERROR:
        return Exit.MISUSE
    as_expected = code == pytest.ExitCode.OK and watcher.as_expected
    return Exit.AS_EXPECTED if as_expected else Exit.UNEXPECTED

"""The scheduler: runs the checks ahead of pytest, a backend's in order, several backends at once.

How many backends have their turn at a time is a question of memory.

pytest runs one test at a time; a backend computes or compiles in a process of its own, so that most
of that time would be spent waiting. Guarantees that a backend's process is used by one thread only,
and that no check is still running when ``close`` has returned.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib import import_module

from bce_conformance.backends.heap import keep_freed_memory
from bce_conformance.backends.idle_threads import sleep_when_idle
from bce_conformance.reference import has_fast_path
from bce_conformance.results.cells import Cell, Place

from .matrix import Matrix
from .progress import Spent
from .subject import CallFailed, Subject

# Seconds after which a thread hands Python over. A check is back from its backend for moments only,
# and would wait for the usual 5 ms whenever others judge.
_SWITCH_INTERVAL = 0.0005
END_LIMIT = 3.0
"""Seconds for checks to notice that their backends are gone."""


@dataclass(frozen=True)
class Check:
    """One cell to be: the check of its requirement at its place."""

    place: Place
    function: Callable[[Subject], None]


def measured(matrix: Matrix, check: Check) -> tuple[Cell, Spent]:
    """Measure a cell, in this thread; the cell and the time that it took.

    Raises:
        Stopped: the matrix was told to end.
        Exception: whatever the check itself raised: a failure of the suite.
    """
    backend, held = check.place.backend, matrix.slots.held
    before, own = held[backend], time.thread_time()
    try:
        cell = matrix.absent(check.place) or _tried(matrix, check)
    finally:
        matrix.processes.relieve(backend)
    return cell, Spent(held[backend] - before, time.thread_time() - own)


def _tried(matrix: Matrix, check: Check) -> Cell:
    """The cell of a place where something can be tried."""
    matrix.processes.turns.take(check.place.backend)
    subject = matrix.subject(check.place)
    failure = None
    try:
        check.function(subject)
    except CallFailed as failed:
        failure = failed.failure
    return matrix.close_cell(subject, check.place, failure)


class Cells(ABC):
    """The cells of a session, which come one after another.

    Attributes:
        coming: the cell of each place, in the order of the checks.
    """

    coming: Mapping[Place, Future[Cell]]

    def cell(self, place: Place) -> Cell:
        """Wait for the cell of a check.

        Raises:
            Exception: whatever the check itself raised: a failure of the suite.
        """
        return self.coming[place].result()

    def is_complete(self) -> bool:
        """Whether all checks came to their cells."""
        return all(
            f.done() and not f.cancelled() and not f.exception() for f in self.coming.values()
        )

    @abstractmethod
    def close(self) -> None:
        """Stop, and end all that was started."""


class Engine:
    """Where the checks of a session run: this one is this process."""

    def prepare(self, matrix: Matrix) -> None:
        """Tell a matrix what it needs to know before it is asked which cells there are."""

    def begin(self, matrix: Matrix, checks: Sequence[Check]) -> Cells:
        """Begin with all checks."""
        return Scheduler(matrix, checks)


class Scheduler(Cells):
    """Runs checks in threads of their own, one a backend.

    Args:
        matrix: keeps the cells.
        checks: all that are to be run.
    """

    def __init__(self, matrix: Matrix, checks: Sequence[Check]) -> None:
        sleep_when_idle()
        # Checks come to import it, and under pytest's rewriting of assertions CPython 3.11 fails at
        # times to parse a module in one of several threads (AST constructor recursion depth).
        if has_fast_path():
            import_module("bce_conformance.reference.fast.fast_path")
        keep_freed_memory()
        self._before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._matrix = matrix
        self._threads: dict[str, ThreadPoolExecutor] = {}
        for check in checks:
            matrix.slots.left[check.place.backend] += 1
        matrix.processes.turns.await_all(matrix.slots.left)
        self.coming = {
            check.place: self._thread(check.place.backend).submit(self._run, check)
            for check in checks
        }

    def close(self) -> None:
        """Stop, and end all processes."""
        sys.setswitchinterval(self._before)
        self._matrix.slots.stop()
        self._matrix.processes.turns.stop()
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        self._matrix.processes.close()
        running: list[Future[Cell]] = [f for f in self.coming.values() if not f.cancelled()]
        wait(running, timeout=END_LIMIT)
        self._matrix.processes.close()  # also what a check started anew meanwhile

    def _thread(self, backend: str) -> ThreadPoolExecutor:
        if backend not in self._threads:
            self._threads[backend] = ThreadPoolExecutor(1, f"checks-{backend}")
        return self._threads[backend]

    def _run(self, check: Check) -> Cell:
        slots, backend = self._matrix.slots, check.place.backend
        try:
            cell, spent = measured(self._matrix, check)
        finally:
            slots.filled(backend)
            if not slots.left[backend]:
                self._matrix.processes.release(backend)
        self._matrix.progress.finished(cell, spent)
        return cell

"""Sharing chunks out to threads. Results never depend on how many there are.

Kernels release the interpreter's lock, so plain threads are enough: safe to call from several
threads at once and after a fork, and without a runtime of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence

_count: int | None = None

# How many times a thread is handed chunks: few enough to hide the handing over.
_MOST_SHARES = 8


def num_threads() -> int:
    """How many threads a call uses at most: what was set, else the processors allowed to us."""
    if _count is not None:
        return _count
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(count: int | None) -> None:
    """Use at most ``count`` threads from now on; None goes back to the default.

    Raises:
        ValueError: ``count`` is less than 1.
    """
    global _count
    if count is not None and count < 1:
        raise ValueError(f"count is {count}; accepted are integers from 1, and None")
    _count = count


class _Worker:
    """A thread that waits for work. Two locks hand it over sooner than a queue of futures."""

    def __init__(self) -> None:
        self._given, self._done = threading.Lock(), threading.Lock()
        self._given.acquire()
        self._done.acquire()
        self._work: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self._retired = False
        threading.Thread(target=self._run, name="bce-native", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._given.acquire()
            if self._retired:
                return
            assert self._work is not None
            try:
                self._work()
            except BaseException as error:  # the caller's to raise
                self._error = error
            self._work = None  # nor are its arrays kept alive
            self._done.release()

    def begin(self, work: Callable[[], None]) -> None:
        """Start ``work``; nothing else may be begun before ``end``."""
        self._work = work
        self._given.release()

    def end(self) -> BaseException | None:
        """Wait for it; what it raised."""
        self._done.acquire()
        error, self._error = self._error, None
        return error

    def retire(self) -> None:
        """Wait for the work, whatever became of its locks, and end the thread."""
        while self._work is not None:
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(1e-3)
        self._retired = True
        self._given.release()


# Workers that nobody uses. Taking one and putting it back are single operations of the list.
_idle: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a fork does not inherit threads


def _worker() -> _Worker:
    try:
        return _idle.pop()
    except IndexError:
        return _Worker()


def share(work: Callable[[int, int], None], chunks: int) -> None:
    """Call ``work(first, last)`` over all of ``range(chunks)``, on as many threads as help."""
    threads = min(num_threads(), chunks)
    if threads <= 1:
        work(0, chunks)
        return
    size = -(-chunks // min(chunks, threads * _MOST_SHARES))
    starts = itertools.count(0, size)

    def take() -> None:
        for first in starts:
            if first >= chunks:
                return
            work(first, min(chunks, first + size))

    workers = [_worker() for _ in range(threads - 1)]
    for worker in workers:
        worker.begin(take)
    try:
        take()
    finally:
        errors = _ended(workers)
    for error in errors:
        if error is not None:
            raise error


def _ended(workers: Sequence[_Worker]) -> list[BaseException | None]:
    """Wait for all; what they raised. An interrupt waits too: they write to the caller's arrays."""
    try:
        errors = [worker.end() for worker in workers]
    except KeyboardInterrupt:
        for worker in workers:
            worker.retire()
        raise
    _idle.extend(workers)
    return errors

"""Sharing chunks out to threads. Results never depend on how many there are.

Kernels release the interpreter's lock, so plain threads are enough: safe to call from several
threads at once and after a fork, and without a runtime of its own.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_lock = threading.Lock()
_count: int | None = None
_pool: tuple[int, int, ThreadPoolExecutor] | None = None

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


def _workers(count: int) -> ThreadPoolExecutor:
    """A pool of ``count`` threads of this very process (a fork does not inherit them)."""
    global _pool
    with _lock:
        if _pool is None or _pool[:2] != (os.getpid(), count):
            if _pool is not None and _pool[0] == os.getpid():
                _pool[2].shutdown(wait=False)
            _pool = (os.getpid(), count, ThreadPoolExecutor(count, "bce-native"))
        return _pool[2]


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

    pool = _workers(threads - 1)
    helpers = [pool.submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        for helper in helpers:
            helper.result()

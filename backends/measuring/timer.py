"""Timing of one backend, in its own process: seconds a call of the thunks that are judged too.

Guarantees that nothing but the thunk is within the time: arrays, transfers and compilation come
before, and the garbage collector waits. A thunk synchronises with its device before it returns, so
that a clock around it needs no events of the device's.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

from bce_conformance.backends.adapter_state import thread_count
from bce_conformance.backends.calls import Backend, UnsupportedCall

from .real_time import real_time
from .workload import BEYOND_CACHES, Workload

WARM_UP_CALLS = 3
WARM_UP_SECONDS = 2.0  # of a slow call, the first has warmed up enough
_SHORTEST = 5e-7  # seconds that any call takes, whatever the clock says
_SAMPLE = 5e-4  # seconds of calls between two looks at the clock: its own cost vanishes
_HELD = 200 << 20  # bytes of operands in thunks that are kept for the next round

Thunk = Callable[[], Any]


class Timer:
    """Times workloads on one backend; the latest stay bound, so that rounds can take turns.

    Args:
        backend: its adapter.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._bound: dict[Workload, Thunk] = {}
        self._evicting: dict[str, Thunk] = {}

    def measure(self, workload: Workload, seconds: float, *, ahead: bool = False) -> list[float]:
        """Return seconds a call, one for each sample.

        A sample is one call, or as many as take half a millisecond. What the adapter or its
        framework raises goes to the caller.

        Args:
            workload: what is called.
            seconds: how long to measure; a call that takes longer is measured once.
            ahead: with real-time priority.

        Raises:
            UnsupportedCall: the backend has no such operation, device or choice of threads.
            PermissionError: real-time priority is not for this process.
        """
        with _threads(self._backend, workload.threads):
            thunk = self._thunk(workload)
            evict = self._evict(workload.device) if workload.cache == "cold" else None
            with real_time() if ahead else contextlib.nullcontext(), _no_garbage_collection():
                samples = _samples(thunk, evict, seconds)
        return samples

    def _thunk(self, workload: Workload) -> Thunk:
        thunk = self._bound.pop(workload, None)
        if thunk is None:
            needed = workload.traffic()
            while self._bound and needed + sum(w.traffic() for w in self._bound) > _HELD:
                del self._bound[next(iter(self._bound))]
            thunk = self._backend.bind(workload.call())
            start = time.perf_counter()
            for _ in range(WARM_UP_CALLS):
                thunk()
                if time.perf_counter() - start > WARM_UP_SECONDS:
                    break
        self._bound[workload] = thunk
        return thunk

    def _evict(self, device: str) -> Thunk:
        """A call with so large operands that nothing of another's stays in the caches."""
        if device not in self._evicting:
            beyond = Workload(BEYOND_CACHES, device=device)
            self._evicting[device] = self._backend.bind(beyond.call())
        return self._evicting[device]


def _samples(thunk: Thunk, evict: Thunk | None, seconds: float) -> list[float]:
    """Seconds a call, one for each sample; the first only tells how long a call is if it is short.

    It also finds out whatever another process left behind: a pool of OpenMP's that still spins, and
    caches full of others' operands.
    """

    def sample(number: int) -> float:
        if evict:
            evict()
        start = time.perf_counter()
        for _ in range(number):
            thunk()
        return (time.perf_counter() - start) / number

    deadline = time.perf_counter() + seconds
    first = sample(1)
    number = 1 if evict else max(1, round(_SAMPLE / max(first, _SHORTEST)))
    samples = [first] if first >= seconds else []
    while not samples or time.perf_counter() < deadline:
        samples.append(sample(number))
    return samples


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _threads(backend: Backend, count: int) -> Iterator[None]:
    """Hold the backend to ``count`` threads; 0 leaves it as it is.

    Raises:
        UnsupportedCall: its adapter cannot.
    """
    if not count:
        yield
        return
    if "threads" not in getattr(backend, "extensions", ()):
        raise UnsupportedCall("its adapter cannot set the number of threads")
    with thread_count(backend, count):
        yield

"""Timing of one backend, in its own process: seconds a call of the thunks that are judged too.

Guarantees that nothing but the thunk is within the time: arrays, transfers and compilation come
before, and the garbage collector waits.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

from bce_conformance.backends import worker
from bce_conformance.backends.calls import Backend, UnsupportedCall
from bce_conformance.backends.workload import Workload

WARM_UP_CALLS = 3
WARM_UP_SECONDS = 2.0  # of a slow call, the first has warmed up enough
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

    def measure(self, workload: Workload, seconds: float) -> list[float]:
        """Return seconds a call, one for each sample.

        A sample is one call, or as many as take half a millisecond. What the adapter or its
        framework raises goes to the caller.

        Args:
            workload: what is called.
            seconds: how long to measure; a call that takes longer is measured once.

        Raises:
            UnsupportedCall: the backend has no such operation, device or choice of threads.
        """
        with _threads(self._backend, workload.threads):
            thunk = self._thunk(workload)
            number = _calls_a_sample(thunk)
            samples: list[float] = []
            enabled = gc.isenabled()
            gc.disable()
            try:
                deadline = time.perf_counter() + seconds
                while not samples or time.perf_counter() < deadline:
                    samples.append(_sample(thunk, number))
            finally:
                if enabled:
                    gc.enable()
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


def _calls_a_sample(thunk: Thunk) -> int:
    took = _sample(thunk, 1)
    return max(1, round(_SAMPLE / took)) if took > 0 else 1000


def _sample(thunk: Thunk, number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        thunk()
    return (time.perf_counter() - start) / number


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
    with worker.threads(backend, count):
        yield

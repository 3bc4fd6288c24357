"""Time of a call: by size, format, input regime, broadcasting, reduction, device; on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bce_conformance.backends.measuring.workload import BEYOND_CACHES, Workload

from .common import BACKENDS, FASTEST, LARGE, MIDDLE, PASSES, SMALL, bound


class _LeastTime:
    """A clock for asv that shows no time but the least that calls took, and stands still else."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def advance(self, call: Callable[[], Any], number: int = 1) -> None:
        """Go forward by the least processor time of ``number`` calls, over a fifth of a second."""
        least = float("inf")
        end = time.perf_counter() + 0.2
        while time.perf_counter() < end:
            start = time.process_time()
            for _ in range(number):
                call()
            least = min(least, time.process_time() - start)
        self._now += least


CLOCK = _LeastTime()


class _Calls:
    """A bound call, timed one by one.

    asv runs ``setup`` before each sample and takes ten to a hundred of them, for half a second, in
    each of two rounds; only the first ``setup`` of a process binds.
    """

    repeat = (10, 100, 0.5)
    rounds = 2
    warmup_time = 0.1
    timeout = 600
    call: Callable[[], Any]


class Sizes(_Calls):
    """float32, mean, moderate logits, hard targets."""

    params = (BACKENDS, PASSES, (1_000, 100_000, MIDDLE, LARGE))
    param_names = ("backend", "pass", "size")

    def setup(self, backend: str, what: str, size: int) -> None:
        """Bind."""
        self.call = bound(backend, Workload(size, what=what))

    def time_call(self, *_: Any) -> None:
        """One call."""
        self.call()


class Latency(_Calls):
    """32 elements: what a call costs before it computes."""

    params = (BACKENDS, PASSES)
    param_names = ("backend", "pass")
    repeat = (5, 50, 0.5)

    def setup(self, backend: str, what: str) -> None:
        """Bind."""
        self.call = bound(backend, Workload(SMALL, what=what))

    def time_thousand_calls(self, *_: Any) -> None:
        """A thousand calls, since one is too short for a clock."""
        call = self.call
        for _i in range(1000):
            call()


class Formats(_Calls):
    """10⁶ elements in the other formats."""

    params = (FASTEST, PASSES, ("float16", "bfloat16", "float64"))
    param_names = ("backend", "pass", "dtype")

    def setup(self, backend: str, what: str, dtype: str) -> None:
        """Bind."""
        self.call = bound(backend, Workload(MIDDLE, dtype, what))

    def time_call(self, *_: Any) -> None:
        """One call."""
        self.call()


class Regimes(_Calls):
    """10⁶ elements of each kind of input: no input should be slow."""

    params = (FASTEST, PASSES, ("saturated", "subnormal", "special", "soft"))
    param_names = ("backend", "pass", "regime")

    def setup(self, backend: str, what: str, regime: str) -> None:
        """Bind."""
        self.call = bound(backend, Workload(MIDDLE, what=what, regime=regime))

    def time_call(self, *_: Any) -> None:
        """One call."""
        self.call()


class Broadcasting(_Calls):
    """10⁶ elements with weight [N, 1] and pos_weight [C]."""

    params = (FASTEST, PASSES, ("weight", "pos_weight", "both"))
    param_names = ("backend", "pass", "broadcasting")

    def setup(self, backend: str, what: str, broadcasting: str) -> None:
        """Bind."""
        self.call = bound(backend, Workload(MIDDLE, what=what, broadcasting=broadcasting))

    def time_call(self, *_: Any) -> None:
        """One call."""
        self.call()


class AllGradients(_Calls):
    """10⁶ elements, the gradients in all four operands."""

    params = (FASTEST,)
    param_names = ("backend",)

    def setup(self, backend: str) -> None:
        """Bind."""
        workload = Workload(MIDDLE, what="all gradients", broadcasting="both", regime="soft")
        self.call = bound(backend, workload)

    def time_call(self, *_: Any) -> None:
        """One call."""
        self.call()


class Reductions(_Calls):
    """10⁶ elements; the mean is in ``Sizes``."""

    params = (FASTEST, PASSES, ("none", "sum"))
    param_names = ("backend", "pass", "reduction")

    def setup(self, backend: str, what: str, reduction: str) -> None:
        """Bind."""
        self.call = bound(backend, Workload(MIDDLE, what=what, reduction=reduction))

    def time_call(self, *_: Any) -> None:
        """One call."""
        self.call()


class Threads(_Calls):
    """10⁶ elements on one processor and on all: what a second one is worth."""

    params = (FASTEST, PASSES, ("one", "all"))
    param_names = ("backend", "pass", "threads")

    def setup(self, backend: str, what: str, threads: str) -> None:
        """Bind, for one in a process that may use one processor."""
        self.call = bound(backend, Workload(MIDDLE, what=what, threads=int(threads == "one")))

    def time_call(self, *_: Any) -> None:
        """One call."""
        self.call()


class _Steady:
    """Processor time on one processor, the least of many calls: work, whoever else is busy.

    What others do to a call on a shared machine only ever lengthens it. So a sample is the least
    time within a fifth of a second, and six rounds have five of them each.
    """

    repeat = 5
    rounds = 6
    number = 1
    warmup_time = 0.0
    timeout = 600
    timer = CLOCK


class Processor(_Steady):
    """10⁵ elements, which fit into a processor's own cache."""

    params = (FASTEST, PASSES, ("float16", "bfloat16", "float32", "float64"))
    param_names = ("backend", "pass", "dtype")

    def setup(self, backend: str, what: str, dtype: str) -> None:
        """Bind in a process that may use one processor."""
        self.call = bound(backend, Workload(100_000, dtype, what, threads=1))

    def time_call(self, *_: Any) -> None:
        """One call."""
        CLOCK.advance(self.call)


class ProcessorLatency(_Steady):
    """32 elements."""

    params = (FASTEST, PASSES)
    param_names = ("backend", "pass")

    def setup(self, backend: str, what: str) -> None:
        """Bind in a process that may use one processor."""
        self.call = bound(backend, Workload(SMALL, what=what, threads=1))

    def time_thousand_calls(self, *_: Any) -> None:
        """A thousand calls, since one is too short for a clock."""
        CLOCK.advance(self.call, 1000)


class Devices(_Calls):
    """10⁶ elements on each device, with the operands in its caches and without.

    Thunks synchronise, so that a call's time is the device's. Untested on GPU. One call a sample:
    what comes before each sample empties the cache for its first call only.
    """

    params = (FASTEST, PASSES, ("cpu", "cuda"), ("cold", "warm"))
    param_names = ("backend", "pass", "device", "cache")
    repeat = (10, 50, 0.5)
    number = 1

    def setup(self, backend: str, what: str, device: str, state: str) -> None:
        """Bind, and for a cold cache drive the operands out of it."""
        self.call = bound(backend, Workload(MIDDLE, what=what, device=device))
        if state == "cold":
            bound(backend, Workload(BEYOND_CACHES, device=device))()

    def time_call(self, *_: Any) -> None:
        """One call."""
        self.call()

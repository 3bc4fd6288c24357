"""Memory: the peak of a call, and how far its time is from that of plain memory passes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bce_conformance.backends.measuring.workload import Workload

from .common import BACKENDS, FASTEST, LARGE, MIDDLE, PASSES, WARM_UP, bind, bound, require


class Peak:
    """Largest resident memory of the process during one call of 1.6·10⁷ elements, float32.

    The operands take 128 MB, the gradient 64 MB; the rest is the framework, and temporaries.
    """

    params = (BACKENDS, PASSES)
    param_names = ("backend", "pass")
    timeout = 600

    def setup(self, backend: str, what: str) -> None:
        """Bind, then forget what that took."""
        self.call = bound(backend, Workload(LARGE, what=what))
        peak = Path("/proc/self/clear_refs")
        if not peak.exists():
            raise NotImplementedError("only Linux can forget an earlier peak")
        peak.write_text("5")

    def peakmem_call(self, *_: Any) -> None:
        """One call."""
        self.call()


class Limit:
    """Time of a call over that of the memory limit, turn by turn in one process."""

    params = (FASTEST, PASSES, (MIDDLE, LARGE))
    param_names = ("backend", "pass", "size")
    timeout = 600
    unit = "× limit"

    def setup(self, backend: str, what: str, size: int) -> None:
        """Bind both."""
        require(backend)
        from bce_conformance.backends.measuring.memory_limit import MemoryLimit

        workload = Workload(size, what=what)
        self.call = bound(backend, workload)
        self.limit = bind(MemoryLimit(), workload)

    def track_ratio_to_limit(self, *_: Any) -> float:
        """Ratio of the medians."""
        for _i in range(WARM_UP):
            self.limit()
        times: dict[Callable[[], Any], list[float]] = {self.call: [], self.limit: []}
        deadline = time.perf_counter() + 2.0
        while time.perf_counter() < deadline or len(times[self.call]) < 5:
            for thunk, taken in times.items():
                start = time.perf_counter()
                thunk()
                taken.append(time.perf_counter() - start)
        return statistics.median(times[self.call]) / statistics.median(times[self.limit])

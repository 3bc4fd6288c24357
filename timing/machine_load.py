"""How busy others keep the machine while something is measured: what makes timings noisy."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_ALL = Path("/proc/stat")
_IDLE = slice(3, 5)  # idle, and idle while it waits for a disk


class Others:
    """Processor time that went neither to the worker that was measured nor to idling."""

    def __init__(self) -> None:
        self._taken = 0.0
        self._elapsed = 0.0

    @property
    def processors(self) -> float | None:
        """Processors that others kept busy, on average; None where the system does not tell."""
        return max(self._taken / self._elapsed, 0.0) if self._elapsed else None

    @contextlib.contextmanager
    def watch(self, pid: int | None) -> Iterator[None]:
        """Count what others take meanwhile.

        Args:
            pid: the worker; nothing is counted without one.
        """
        before, start = _others(pid), time.perf_counter()
        yield
        after = _others(pid)
        if before is not None and after is not None:
            self._taken += after - before
            self._elapsed += time.perf_counter() - start


def _others(pid: int | None) -> float | None:
    """Processor seconds since the machine was started that did not go to process ``pid``."""
    try:
        whole = [int(ticks) for ticks in _ALL.read_text().split("\n", 1)[0].split()[1:9]]
        own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return None
    ticks = sum(whole) - sum(whole[_IDLE]) - sum(map(int, own))
    return float(ticks / os.sysconf("SC_CLK_TCK"))

"""Real-time priority of this process, for as long as something is timed.

Guarantees that the priority is given back. Threads that the framework starts meanwhile have it too.

Why: a barrier of OpenMP's waits for a thread that another process displaced, which makes calls of
milliseconds take ten times as long, and a woken thread may share a processor with the one that woke
it. On two processors with a load of about 10 from others, medians of 1.6·10⁷ elements in two
processes of a backend were up to 72 % apart (torch:compile; native 19 %); with this, 2 %. It does
not keep out the neighbours of a virtual machine: while the plain passes over memory varied by half
from one minute to the next, it was up to 14 %.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_LOWEST = 1  # of the real-time priorities: ahead of every process that has none
_TASKS = Path("/proc/self/task")


@contextlib.contextmanager
def real_time() -> Iterator[None]:
    """Hold the processors against everybody without such a priority.

    Linux leaves those at least a twentieth of the time, however long it takes.

    Raises:
        OSError: not permitted (it needs CAP_SYS_NICE), or not Linux.
    """
    _schedule("SCHED_RR", _LOWEST)
    try:
        yield
    finally:
        _schedule("SCHED_OTHER", 0)


def permitted() -> bool:
    """Whether ``real_time`` is for this process."""
    try:
        with real_time():
            return True
    except OSError:
        return False


def _schedule(policy: str, priority: int) -> None:
    for task in _TASKS.iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that ended meanwhile
            os.sched_setscheduler(int(task.name), getattr(os, policy), os.sched_param(priority))

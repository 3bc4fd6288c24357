"""A worker's share of the processors of this machine, which Dask loads before all else in a worker.

Guarantees that the workers of a local cluster do not move onto each other's processors: threads of
a worker started later, and the processes that it starts, keep to its share.
"""

from __future__ import annotations

import os
from typing import Any

WORKERS = "BCE_CONFORMANCE_LOCAL_WORKERS"
"""The environment variable that says how many workers share this machine."""


def share_of(number: int, workers: int, processors: list[int]) -> set[int]:
    """The processors of one worker; all of them where there are fewer than workers.

    Args:
        number: of the worker, from 0.
        workers: how many there are.
        processors: by number, in order.

    >>> share_of(1, 2, [0, 1, 2, 3])
    {2, 3}
    """
    each = len(processors) // workers
    first = number % workers * each
    return set(processors[first : first + each]) or set(processors)


def dask_setup(worker: Any) -> None:
    """Keep a worker to its share, where the system lets processes be kept so.

    Args:
        worker: of dask.distributed, whose name is its number.
    """
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, share_of(int(worker.name), int(os.environ[WORKERS]), processors))

"""Threads that wait for work: asleep, where OpenMP by default lets them be busy for a while.

Processes that share processors take them from one another by that. Two that compute exact results
side by side on two processors take 2.5 times as long as with threads that sleep.
"""

from __future__ import annotations

import os

ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Environment of a process whose threads sleep while they wait."""


def sleep_when_idle() -> None:
    """Have the threads of this process sleep while they wait, unless its environment says how.

    OpenMP reads that once, when it is loaded: with the first parallel loop that Numba compiles or
    finds compiled. Processes that this one starts inherit it.

    Example:
        >>> sleep_when_idle()
        >>> "OMP_WAIT_POLICY" in os.environ
        True
    """
    for name, value in ASLEEP.items():
        os.environ.setdefault(name, value)

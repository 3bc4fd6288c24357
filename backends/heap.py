"""The heap: whether memory that is freed is kept for the next array, or given back at once.

glibc gives a freed array back to the kernel from 128 KiB on, and gets the next one page by page:
of a run's processor time a tenth went into that. Later it comes to keep arrays of up to 32 MiB, so
that a process may hold much that it does not use.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# The number of each option of mallopt(3), its environment variable, and its value: up to so many
# bytes stay at the end of an arena; an array up to the largest size that may come from one does;
# and few arenas, for each keeps its own.
_KEPT = {
    -1: ("MALLOC_TRIM_THRESHOLD_", 64 << 20),
    -3: ("MALLOC_MMAP_THRESHOLD_", 32 << 20),
    -8: ("MALLOC_ARENA_MAX", 3),
}
KEEPING = {name: str(value) for name, value in _KEPT.values()}
"""Environment of a process that keeps what it frees: it takes up to 200 MiB more."""
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 20)}
"""Environment of a process that gives back what it frees."""


def keep_freed_memory() -> bool:
    """Have this process keep what it frees, unless its environment says how much it is to keep.

    Returns:
        Whether the C library took it.

    Example:
        >>> keep_freed_memory() in (True, False)
        True
    """
    if sys.platform != "linux" or any(name in os.environ for name in KEEPING):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(number, value) == 1 for number, (_, value) in _KEPT.items())


def give_back_freed_memory() -> bool:
    """Give what this process has freed, and keeps for later, back to the system.

    Returns:
        Whether there was anything to give back, as far as the C library tells.

    Example:
        >>> give_back_freed_memory() in (True, False)
        True
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    return trim is not None and trim(0) == 1


def resident(pid: int | None = None) -> int:
    """Bytes of memory that a process takes now; 0 where there is none, or no way to tell.

    Args:
        pid: its id; this process without one.

    Example:
        >>> resident() >= 0
        True
    """
    try:
        statm = Path(f"/proc/{'self' if pid is None else pid}/statm").read_text("ascii")
        return int(statm.split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError):
        return 0

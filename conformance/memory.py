"""Memory: how much of it this process may use, and how amounts of it are written.

Guarantees that the least limit that the system tells of counts: physical memory, every cgroup that
the process is in (version 2 and 1), and the limit of its address space.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bce_conformance.results.host import physical_memory

SHARE = 4  # by default the suite's own process takes at most one part in so many
WORKER = 448 << 20
"""Bytes that a framework takes in its process, its usual calls included. Beside the share of the
suite's own process, the thirteen backends of every run fit into 8 GiB."""
_UNKNOWN = 2 << 30  # bytes to take where the system tells nothing
# Of the largest operand: kept here, under way, and in temporaries of frameworks whose turn it is.
# At 32, logits of 400 MB needed more than 24 GiB with two turns.
_COPIES = 96
_UNITS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_AMOUNT = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})")


def usable(root: Path = Path("/")) -> int:
    """Bytes that this process may use; 0 where the system does not tell.

    Args:
        root: where ``proc`` and ``sys`` are.
    """
    limits = [physical_memory(), _address_space(), *_cgroup_limits(root)]
    return min((limit for limit in limits if limit > 0), default=0)


def default_bound() -> int:
    """Bytes that the suite's own process takes unless it is told otherwise."""
    return usable() // SHARE or _UNKNOWN


def most_workers(memory: int, own: int) -> int:
    """How many workers of backends may be alive at once.

    Args:
        memory: bytes that there are; 0 where the system does not tell, which is no bound.
        own: of those, the bytes that the suite's own process takes.
    """
    return max(1, (memory - own) // WORKER) if memory else sys.maxsize


def parse(text: str) -> int:
    """Bytes of an amount with its unit, such as ``2GiB`` or ``512 MiB``.

    Raises:
        ValueError: it is no such amount.
    """
    found = _AMOUNT.fullmatch(text.strip())
    amount = int(float(found[1]) * 2 ** _UNITS[found[2]]) if found else 0
    if not amount:
        raise ValueError(
            f"memory is {text!r}; accepted is a positive number with one of the units "
            f"{', '.join(_UNITS)}, such as 2GiB"
        )
    return amount


def _address_space() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return 0 if soft == resource.RLIM_INFINITY else soft


def _cgroup_limits(root: Path) -> Iterator[int]:
    """The limits of all cgroups from the process's own up to the root of what it sees."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        own = mount / path.lstrip("/")
        # A container may see its own cgroup as the root, under a path that holds only outside.
        for folder in (own, *(parent for parent in own.parents if parent.is_relative_to(mount))):
            yield _limit(folder / name)


def _limit(file: Path) -> int:
    """The limit in a file; 0 where there is none: no file, or the word ``max``."""
    try:
        text = file.read_text("utf-8").strip()
    except OSError:
        return 0
    return int(text) if text.isdecimal() else 0


def most_elements(itemsize: int) -> int:
    """How many elements of so many bytes an operand may have beside all that a call takes."""
    return (usable() or _UNKNOWN) // (_COPIES * itemsize)

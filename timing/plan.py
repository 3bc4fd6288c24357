"""What a session measures: groups of measurements that are to be compared with each other.

Everything in a group is measured in turns, round by round, so that a ratio within it is one of
neighbours in time; no ratio is ever taken across groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bce_conformance.backends import DTYPES
from bce_conformance.backends.measuring.workload import CACHES, REGIMES, Workload

NATIVE = "native"
LIMIT = "limit"
"""The plain passes of ``backends/memory_limit.py``."""

AGAIN = " again"
"""Suffix of a second process of the same backend: A/A, what differs where nothing does."""

SMALL, MIDDLE, LARGE = 32, 1_000_000, 16_000_000
SIZES = (SMALL, MIDDLE, LARGE)
PASSES = ("forward", "gradient")
OTHER_FORMATS = ("float64", "float16", "bfloat16")


@dataclass(frozen=True)
class Group:
    """Measurements that are taken in turns.

    Attributes:
        name: what the group is about.
        entries: series (a backend, ``limit``, or a backend's second process) and workload.
    """

    name: str
    entries: tuple[tuple[str, Workload], ...]


def groups(
    backends: Sequence[str], sizes: Sequence[int] = SIZES, device: str = "cpu"
) -> tuple[Group, ...]:
    """The default set, of these backends and sizes.

    Args:
        backends: ids; the first of them that can be there is measured a second time as A/A.
        sizes: numbers of elements. The other formats, and what the native implementation is
            measured against itself for, are of 10⁶ elements and left out without that size.
        device: where. Elsewhere than on the CPU there is neither the memory limit nor a goal, and
            large workloads are measured with a cold cache too.

    Raises:
        ValueError: a size is not one that a workload can have.
    """
    on_cpu = device == "cpu"
    # Elsewhere the native implementation is there only if Numba compiles for the device.
    again = next((one for one in backends if on_cpu or one != NATIVE), backends[0]) + AGAIN
    limit = (LIMIT,) if on_cpu else ()
    found = []
    for size in sizes:
        large = size >= MIDDLE
        series = (*backends, again, *(limit if large else ()))
        for cache in ("warm",) if on_cpu or not large else CACHES:
            for what in PASSES:
                workload = Workload(size, what=what, device=device, cache=cache)
                found.append(_side_by_side("sizes", series, workload))
    if MIDDLE not in sizes:
        return tuple(found)
    for dtype in OTHER_FORMATS:
        for what in PASSES:
            workload = Workload(MIDDLE, dtype, what, device=device)
            found.append(_side_by_side("formats", (*backends, *limit), workload))
    if NATIVE in backends and on_cpu:
        found += [group for what in PASSES for group in _native(what)]
    return tuple(found)


def has_goals(plan: Sequence[Group]) -> bool:
    """Whether the native implementation is measured where it has goals."""
    return any((name, w.device) == (NATIVE, "cpu") for group in plan for name, w in group.entries)


def _side_by_side(name: str, series: Sequence[str], workload: Workload) -> Group:
    return Group(name, tuple((one, workload) for one in series))


def _native(what: str) -> Iterator[Group]:
    """What the native implementation is measured against itself for."""
    plain = Workload(MIDDLE, what=what)
    for dtype in DTYPES:
        inputs = [Workload(MIDDLE, dtype, what, regime) for regime in REGIMES]
        inputs += [replace(plain, broadcasting="both")] if dtype == plain.dtype else []
        yield Group("inputs", tuple((NATIVE, workload) for workload in inputs))
    threads = (plain, replace(plain, threads=1))
    yield Group("threads", tuple((NATIVE, workload) for workload in threads))


def title(workload: Workload) -> str:
    """A workload in a few words: what differs from the plain call only where it does."""
    parts = [workload.what, workload.dtype, count(workload.size)]
    parts += [workload.regime] if workload.regime != "moderate" else []
    parts += [f"weights: {workload.broadcasting}"] if workload.broadcasting != "none" else []
    parts += [workload.reduction] if workload.reduction != "mean" else []
    parts += ["one thread"] if workload.threads == 1 else []
    parts += [workload.device] if workload.device != "cpu" else []
    parts += ["cold cache"] if workload.cache == "cold" else []
    return " · ".join(parts)


def count(size: int) -> str:
    """A number of elements as powers of ten where it is large: 32, 10⁶, 1.6·10⁷."""
    exponent = int(math.log10(size))
    if exponent < 4:
        return str(size)
    power = "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(figure)] for figure in str(exponent))
    factor = f"{size / 10**exponent:g}"
    return power if factor == "1" else f"{factor}·{power}"

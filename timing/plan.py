"""What a session measures: groups of measurements that are to be compared with each other.

Everything in a group is measured in turns, round by round, so that a ratio within it is one of
neighbours in time; no ratio is ever taken across groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bce_conformance.backends import DTYPES
from bce_conformance.backends.workload import REGIMES, Workload

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


def groups(backends: Sequence[str], sizes: Sequence[int] = SIZES) -> tuple[Group, ...]:
    """The default set, of these backends and sizes.

    Args:
        backends: ids; the first of them is measured a second time as A/A.
        sizes: numbers of elements. The other formats, and what the native implementation is
            measured against itself for, are of 10⁶ elements and left out without that size.

    Raises:
        ValueError: a size is not one that a workload can have.
    """
    again = f"{backends[0]}{AGAIN}"
    found = []
    for size in sizes:
        for what in PASSES:
            workload = Workload(size, what=what)
            limits = [LIMIT] if size >= MIDDLE else []
            series = (*backends, again, *limits)
            found.append(Group("sizes", tuple((name, workload) for name in series)))
    if MIDDLE not in sizes:
        return tuple(found)
    for dtype in OTHER_FORMATS:
        for what in PASSES:
            workload = Workload(MIDDLE, dtype, what)
            found.append(Group("formats", tuple((name, workload) for name in (*backends, LIMIT))))
    if NATIVE in backends:
        found += [group for what in PASSES for group in _native(what)]
    return tuple(found)


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
    return " · ".join(parts)


def count(size: int) -> str:
    """A number of elements as powers of ten where it is large: 32, 10⁶, 1.6·10⁷."""
    exponent = int(math.log10(size))
    if exponent < 4:
        return str(size)
    power = "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(figure)] for figure in str(exponent))
    factor = f"{size / 10**exponent:g}"
    return power if factor == "1" else f"{factor}·{power}"

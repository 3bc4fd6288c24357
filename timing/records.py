"""What a session measured, as results.json has it.

Guarantees that a record is a figure or says why there is none, and that every ratio is of two
figures of the same group and workload.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from bce_conformance.backends import Failure
from bce_conformance.backends.workload import Workload

from .plan import AGAIN, LIMIT, NATIVE, Group

Taken = Mapping[tuple[str, Workload], Sequence[float] | Failure]


@dataclass(frozen=True)
class Timing:
    """One measurement.

    Attributes:
        group: what it was measured in turns with.
        series: a backend, its second process (``native again``), or ``limit``.
        device, dtype, what, size, regime, broadcasting, reduction, threads, cache: the workload.
        rounds: how many rounds there were.
        seconds: median over the rounds of each round's median time of a call; None where there is
            none.
        low, high: the smallest and the largest median of a round.
        ns_per_element: nanoseconds.
        gb_per_s: 10⁹ bytes of operands read and gradients written a second.
        to_fastest: over the time of the fastest framework on the same workload.
        to_limit: over the time of the memory limit on the same workload.
        status: ``ok``, or why there is no figure.
    """

    group: str
    series: str
    device: str
    dtype: str
    what: str
    size: int
    regime: str
    broadcasting: str
    reduction: str
    threads: int
    rounds: int
    seconds: float | None
    low: float | None
    high: float | None
    ns_per_element: float | None
    gb_per_s: float | None
    to_fastest: float | None
    to_limit: float | None
    status: str
    cache: str = "warm"

    @property
    def workload(self) -> Workload:
        """What was called."""
        return Workload(**{field.name: getattr(self, field.name) for field in fields(Workload)})

    @property
    def spread(self) -> float:
        """How far apart the rounds were, over the median; NaN without a figure."""
        if self.seconds is None or self.low is None or self.high is None:
            return float("nan")
        return (self.high - self.low) / self.seconds

    def as_json(self) -> dict[str, Any]:
        """The record as results.json has it."""
        return asdict(self)


def records(group: Group, taken: Taken) -> tuple[Timing, ...]:
    """The records of a group, in its order; what was not reached is left out.

    Args:
        group: what was measured in turns.
        taken: for each entry the median of each round, or why there is none.
    """
    medians = {
        entry: statistics.median(rounds)
        for entry, rounds in taken.items()
        if not isinstance(rounds, Failure)
    }
    return tuple(
        _record(group.name, entry, taken[entry], medians)
        for entry in group.entries
        if entry in taken
    )


def fastest(medians: Mapping[tuple[str, Workload], float], workload: Workload) -> float | None:
    """The time of the fastest framework on a workload; None where none was measured."""
    times = [
        seconds
        for (series, which), seconds in medians.items()
        if which == workload and is_framework(series)
    ]
    return min(times, default=None)


def is_framework(series: str) -> bool:
    """Whether a series is the first process of a backend other than the native one."""
    return series not in (NATIVE, LIMIT) and not series.endswith(AGAIN)


def _record(
    group: str,
    entry: tuple[str, Workload],
    rounds: Sequence[float] | Failure,
    medians: Mapping[tuple[str, Workload], float],
) -> Timing:
    series, workload = entry
    fields = asdict(workload)
    seconds = medians.get(entry)
    measured = [] if isinstance(rounds, Failure) else rounds

    def over(other: float | None) -> float | None:
        return None if seconds is None or other is None else seconds / other

    return Timing(
        group=group,
        series=series,
        **fields,
        rounds=len(measured),
        seconds=seconds,
        low=min(measured, default=None),
        high=max(measured, default=None),
        ns_per_element=over(workload.size * 1e-9),
        gb_per_s=None if seconds is None else workload.traffic() / seconds / 1e9,
        to_fastest=over(fastest(medians, workload)),
        to_limit=over(medians.get((LIMIT, workload))),
        status=str(rounds) if isinstance(rounds, Failure) else "ok",
    )

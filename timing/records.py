"""What a session measured, as results.json has it.

Guarantees that a record is a figure or says why there is none, and that every ratio is of two
figures of the same group and workload.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields

from bce_conformance.backends import Failure
from bce_conformance.backends.measuring.workload import Workload
from bce_conformance.results.model import Timing

from .plan import AGAIN, LIMIT, NATIVE, Group

Taken = Mapping[tuple[str, Workload], Sequence[float] | Failure]


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


def workload_of(timing: Timing) -> Workload:
    """What was called for a record."""
    return Workload(**{field.name: getattr(timing, field.name) for field in fields(Workload)})


def fastest(medians: Mapping[tuple[str, Workload], float], workload: Workload) -> float | None:
    """The time of the fastest framework on a workload; None where none was measured."""
    times = [
        seconds
        for (series, which), seconds in medians.items()
        if which == workload and is_framework(series)
    ]
    return min(times, default=None)


def is_framework(series: str) -> bool:
    """Whether a series is the first process of a backend that is not native in any form."""
    is_native = series.partition(":")[0] == NATIVE
    return not is_native and series != LIMIT and not series.endswith(AGAIN)


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

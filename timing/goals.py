"""The speed goals of the native implementation, whether a session met them, and their file.

Guarantees that a goal is judged by figures of one group, and that one whose figures are missing is
``not measured``, never met.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bce_conformance.backends import DTYPES
from bce_conformance.backends.measuring.workload import REGIMES, Workload
from bce_conformance.results.model import Timing, Timings
from bce_conformance.results.writing import plain, write_text

from .plan import LARGE, LIMIT, MIDDLE, NATIVE, PASSES, SMALL, title
from .records import fastest, workload_of
from .unpaired_goals import ERRORS, START, TEMPORARY

NAME = "goals.json"
"""The file of a session's goals, beside results.json, which holds its timings."""

Against = Literal["limit", "fastest framework", "plain call", "one thread", "clock"]

UNPAIRED: dict[str, float] = {
    **dict(zip(ERRORS, (0.5, 0.5, 0.55, 1.0, 1.0), strict=True)),
    TEMPORARY: 1.0,
    START: 1.5,
}
"""The goals that no group measures, and the most that their figures may be. 0.5 ULP is what correct
rounding leaves."""


@dataclass(frozen=True)
class Goal:
    """One goal of the native implementation.

    Attributes:
        workload: of the native implementation.
        against: what its time is compared with. ``limit``, ``plain call`` (moderate inputs, no
            weights) and ``clock`` (in microseconds) bound it from above; ``fastest framework`` and
            ``one thread`` say how many times as long these have to take at least.
        bound: the ratio, or the microseconds.
    """

    workload: Workload
    against: Against
    bound: float

    @property
    def at_most(self) -> bool:
        """Whether the figure has to stay below the bound, not above it."""
        return self.against in ("limit", "plain call", "clock")

    @property
    def name(self) -> str:
        """The goal in words."""
        figure = {
            "limit": "× limit",
            "fastest framework": "× faster than the fastest framework",
            "plain call": "× the plain call",
            "one thread": "× faster than on one thread",
            "clock": "µs a call",
        }
        return f"{title(self.workload)}: {figure[self.against]}"


@dataclass(frozen=True)
class JudgedGoal:
    """A goal of the native implementation, and whether it was met.

    Attributes:
        goal: it in words.
        bound: what the figure is compared with.
        at_most: whether the figure has to stay below the bound, not above it.
        figure: what was measured; None where nothing was.
    """

    goal: str
    bound: float
    at_most: bool
    figure: float | None

    @property
    def verdict(self) -> str:
        """``met``, ``missed`` or ``not measured``."""
        if self.figure is None:
            return "not measured"
        met = self.figure <= self.bound if self.at_most else self.figure >= self.bound
        return "met" if met else "missed"


def goals() -> tuple[Goal, ...]:
    """All goals that groups measure."""
    found = [
        Goal(Workload(LARGE, what="gradient"), "limit", 1.3),
        Goal(Workload(LARGE, what="gradient"), "fastest framework", 5.0),
        Goal(Workload(LARGE), "limit", 2.0),
        Goal(Workload(LARGE), "fastest framework", 3.0),
    ]
    for dtype, faster in (("float32", 3.0), ("float64", 2.5), ("float16", 5.0), ("bfloat16", 5.0)):
        for what in PASSES:
            found.append(Goal(Workload(MIDDLE, dtype, what), "fastest framework", faster))
    for what in PASSES:
        for dtype in DTYPES:
            plain = Workload(MIDDLE, dtype, what)
            for regime in REGIMES[1:]:
                found.append(Goal(replace(plain, regime=regime), "plain call", 1.2))
        plain = Workload(MIDDLE, what=what)
        found.append(Goal(replace(plain, broadcasting="both"), "plain call", 1.3))
        found.append(Goal(plain, "one thread", 1.7))
        found.append(Goal(Workload(SMALL, what=what), "clock", 5.0))
    return tuple(found)


def judge(timings: Sequence[Timing], unpaired: Mapping[str, float]) -> tuple[JudgedGoal, ...]:
    """Every goal against what was measured.

    Args:
        timings: of a session.
        unpaired: what it measured without taking turns, by the names of ``UNPAIRED``.
    """
    rows = [
        JudgedGoal(goal.name, goal.bound, goal.at_most, figure(goal, timings)) for goal in goals()
    ]
    rows += [JudgedGoal(name, bound, True, unpaired.get(name)) for name, bound in UNPAIRED.items()]
    return tuple(rows)


def as_json(judged: Sequence[JudgedGoal]) -> list[dict[str, Any]]:
    """Judged goals as JSON has them, each with its verdict."""
    return [plain(goal) | {"verdict": goal.verdict} for goal in judged]


def write(judged: Sequence[JudgedGoal], timed: Timings, path: Path) -> None:
    """Write the goals of a session with its moment, commit and machine.

    Raises:
        OSError: the file cannot be written; what was there before is there still.
    """
    document = {
        "started": timed.started,
        "finished": timed.finished,
        "interrupted": timed.interrupted,
        "commit": timed.commit,
        "host": plain(timed.host),
        "goals": as_json(judged),
    }
    write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False), path)


def figure(goal: Goal, timings: Sequence[Timing]) -> float | None:
    """What was measured for a goal, from the first group that has it all."""
    for group in dict.fromkeys(timing.group for timing in timings):
        medians = {
            (timing.series, workload_of(timing)): timing.seconds
            for timing in timings
            if timing.group == group and timing.seconds is not None
        }
        own = medians.get((NATIVE, goal.workload))
        if own is None:
            continue
        if goal.against == "clock":
            return own * 1e6
        other = _other(goal, medians)
        if other is not None:
            return own / other if goal.at_most else other / own
    return None


def _other(goal: Goal, medians: dict[tuple[str, Workload], float]) -> float | None:
    workload = goal.workload
    if goal.against == "limit":
        return medians.get((LIMIT, workload))
    if goal.against == "fastest framework":
        return fastest(medians, workload)
    if goal.against == "one thread":
        return medians.get((NATIVE, replace(workload, threads=1)))
    return medians.get((NATIVE, replace(workload, regime="moderate", broadcasting="none")))

"""How far a hunt is, on stderr: a line every few seconds with the largest errors so far."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from bce_conformance.conformance.hunting.hunt import Hunt

from .pace import clock

EVERY = 5.0
"""Seconds between two lines."""


def in_words(hunt: Hunt, seconds: float, budget: float) -> str:
    """How far a hunt is: time, elements tried, and the worst of each quantity."""
    tried = sum(climb.tried for climb in hunt.climbs)
    best = []
    for climb in hunt.climbs:
        first = climb.best[:1]
        where = ", ".join(f"{name} {value}" for name, value in first[0].element) if first else ""
        best.append(f"{climb.quantity} {climb.max:.6g} ulp" + (f" at {where}" if where else ""))
    return f"{clock(seconds)} of {clock(budget)}, {tried:,} elements: {'; '.join(best)}"


def watch(
    console: Console,
    hunt: Hunt,
    budget: float,
    *,
    quiet: bool,
    now: Callable[[], float] = time.monotonic,
) -> Callable[[], bool]:
    """A function that says whether there is time left, and now and then how far the hunt is.

    Args:
        console: where it is said.
        hunt: the hunt.
        budget: seconds that it may take.
        quiet: whether nothing is said.
        now: the clock.
    """
    begin = latest = now()

    def go_on() -> bool:
        nonlocal latest
        moment = now()
        if not quiet and moment - latest >= EVERY:
            latest = moment
            text = in_words(hunt, moment - begin, budget)
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        return moment - begin < budget

    return go_on

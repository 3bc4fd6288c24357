"""Mechanisms: the levels of factors that are to blame for what drawn calls showed.

One mechanism may be behind thousands of calls. Guarantees that each call below the best level is
counted once: under the first mechanism that it has, or as left over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bce_conformance.backends.calls import Failure, LossCall
from bce_conformance.conformance.judging.calls import expectations, judge_call
from bce_conformance.conformance.space.factors import Combination
from bce_conformance.conformance.space.shrinking import (
    Mechanism,
    in_words,
    is_part_of,
    shrink,
    shrink_call,
)
from bce_conformance.results.cells import Level

from .survey import Surveyed, Surveyor, cause_of

_QUICK = 1_000  # elements


@dataclass(frozen=True)
class Finding:
    """Calls that came out below the best level for one cause.

    Attributes:
        cause: the levels that are to blame.
        level: the least level of the calls.
        calls: how many there are.
        smallest: the smallest call that shows it.
    """

    cause: Mechanism
    level: Level
    calls: int
    smallest: LossCall

    def __str__(self) -> str:
        return f"{in_words(self.cause)} ({self.level.verdict} in {self.calls})"


class Investigation:
    """Finds what is to blame for the levels of one quantity.

    Args:
        surveyor: evaluates further calls.
        quantity: the quantity.
        most: how many causes are looked for; each takes some sixty calls.
    """

    def __init__(self, surveyor: Surveyor, quantity: str, most: int) -> None:
        self._surveyor = surveyor
        self._quantity = quantity
        self._most = most

    def findings(self, calls: Sequence[Surveyed]) -> tuple[list[Finding], int]:
        """The causes, worst first, and how many calls are left over.

        Args:
            calls: those that came out below the best level.
        """
        found: list[Finding] = []
        left = 0
        for call in sorted(calls, key=self._rank):
            level = call.judgement.level(self._quantity)
            known = next((i for i, f in enumerate(found) if is_part_of(f.cause, call.levels)), None)
            if known is not None:
                old = found[known]
                found[known] = Finding(old.cause, old.level, old.calls + 1, old.smallest)
            elif len(found) < self._most and call.expected.call.logits.size <= _QUICK:
                found.append(self._investigated(call, level))
            else:
                left += 1
        return found, left

    def _rank(self, call: Surveyed) -> tuple[bool, Level, int]:
        """Calls that are quickly made again come first, of those the worst, then the smallest."""
        size = call.expected.call.logits.size
        return size > _QUICK, call.judgement.level(self._quantity), size

    def _investigated(self, call: Surveyed, level: Level) -> Finding:
        def shows(levels: Combination) -> bool:
            drawn = (self._surveyor.store.get(levels, number) for number in (0, 1))
            return any(self._is_as_bad(expected.call, level) for expected in drawn)

        plainest = shrink(call.levels, shows)
        cause = cause_of(plainest, shows)
        drawn = [self._surveyor.store.get(plainest, number).call for number in (0, 1)]
        start = next((c for c in drawn if self._is_as_bad(c, level)), call.expected.call)
        smallest = shrink_call(start, lambda smaller: self._is_as_bad(smaller, level))
        return Finding(cause, level, 1, smallest)

    def _is_as_bad(self, call: LossCall, level: Level) -> bool:
        if self._quantity not in call.quantities:
            return False
        try:
            expected = expectations(call, cached=False)
        except ValueError:  # a product that float64 cannot hold, of values made plainer
            return False
        outcome = self._surveyor.evaluate(expected)
        if isinstance(outcome, Failure):
            return False
        return judge_call(expected, outcome).level(self._quantity) <= level

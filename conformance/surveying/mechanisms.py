"""Mechanisms: the levels of factors that are to blame for what drawn calls showed.

One mechanism may be behind thousands of calls. Guarantees that each call below the best level is
counted once: under the first mechanism that it has, or as left over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bce_conformance.backends.calls import LossCall
from bce_conformance.conformance.space.factors import Combination
from bce_conformance.conformance.space.shrinking import (
    Mechanism,
    in_words,
    is_part_of,
    shrink,
    shrink_call,
)
from bce_conformance.results.cells import Level

from .calls import CallStore
from .refusals import cause_of
from .survey import Surveyed

_MOST = 20_000  # elements of a call that is looked into


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
    """Finds what is to blame for drawn calls that came out below the best level.

    Args:
        store: draws calls.
        level: the level that a call reaches, drawn for a combination; None where it has none.
        most: how many causes are looked for; each takes some thirty calls.
    """

    def __init__(
        self,
        store: CallStore,
        level: Callable[[Combination, LossCall], Level | None],
        most: int,
    ) -> None:
        self._store = store
        self._level = level
        self._most = most

    def findings(self, calls: Iterable[tuple[Surveyed, Level]]) -> tuple[list[Finding], int]:
        """The causes, worst first, and how many calls are left over.

        Args:
            calls: those below the best level, with theirs.
        """
        found: list[Finding] = []
        looked, left = 0, 0
        for call, level in sorted(calls, key=_rank):
            known = next((i for i, f in enumerate(found) if is_part_of(f.cause, call.levels)), None)
            shown = self._again(call) if known is None and looked < self._most else None
            if shown is not None:
                looked += 1
                one = self._investigated(call.levels, shown, level)
                known = next((i for i, f in enumerate(found) if f.cause == one.cause), None)
                if known is None:
                    found.append(one)
                    continue
            if known is None:
                left += 1
            else:
                one = found[known]
                found[known] = replace(one, calls=one.calls + 1, level=min(one.level, level))
        return sorted(found, key=lambda one: one.level), left

    def _again(self, surveyed: Surveyed) -> LossCall | None:
        """The call, drawn anew if it was not kept; None where it is too large to look into."""
        if surveyed.call is not None or surveyed.number is None or surveyed.size > _MOST:
            return surveyed.call
        return self._store.call(surveyed.levels, surveyed.number)

    def _investigated(self, found: Combination, call: LossCall, level: Level) -> Finding:
        shown: dict[tuple[str, ...], LossCall] = {tuple(found.values()): call}

        def shows(levels: Combination) -> bool:
            for number in (0, 1):
                drawn = self._store.call(levels, number)
                if self._is_as_bad(levels, drawn, level):
                    shown[tuple(levels.values())] = drawn
                    return True
            return False

        plainest = shrink(found, shows)
        cause = cause_of(plainest, shows)
        smallest = shrink_call(
            shown[tuple(plainest.values())], lambda c: self._is_as_bad(plainest, c, level)
        )
        return Finding(cause, level, 1, smallest)

    def _is_as_bad(self, levels: Combination, call: LossCall, level: Level) -> bool:
        try:
            reached = self._level(levels, call)
        except ValueError:  # a product that float64 cannot hold, of values made plainer
            return False
        return reached is not None and reached <= level


def _rank(found: tuple[Surveyed, Level]) -> tuple[bool, Level, int]:
    """Calls that are quickly made again come first, of those the worst, then the smallest."""
    call, level = found
    return call.call is None, level, call.size

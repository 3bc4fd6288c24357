"""Refusals: levels of factors, or levels together, with which a backend gives no result.

Guarantees that each is found out once, and that a call which has one is made with plainer levels
instead, so that what is refused does not hide the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from bce_conformance.backends.calls import Failure, LossCall, LossResult
from bce_conformance.conformance.space.factors import Combination
from bce_conformance.conformance.space.rules import repaired, without
from bce_conformance.conformance.space.shrinking import (
    NOT_GIVEN,
    Mechanism,
    is_part_of,
    mechanism,
    shrink,
)

from .calls import CallStore

AGAIN, OFTEN = 30, 3
"""How often a call that failed among others is made again, and how often it must fail then.

What is rarer differs from run to run: it is told, and is no verdict.
"""
_STEPS = 24  # how often one combination is made plainer before it is left


@dataclass(frozen=True)
class Refusal:
    """Levels with which a backend gives no result.

    Attributes:
        cause: the levels.
        failure: what it says instead.
        smallest: the combination of the smallest such call that was found.
        call: draws that call, which may have many elements.
    """

    cause: Mechanism
    failure: Failure
    smallest: Combination
    call: Callable[[], LossCall]


class Refusals:
    """What one backend refuses in one format.

    Args:
        store: draws calls.
        evaluate: evaluates a call with the backend.
        elsewhere: what the backend is known to refuse in other formats: likely here, too.

    Attributes:
        known: what was found so far.
        by_chance: what calls among others gave instead of a result, if they seldom do.
    """

    def __init__(
        self,
        store: CallStore,
        evaluate: Callable[[LossCall], LossResult | Failure],
        elsewhere: Iterable[Refusal] = (),
    ) -> None:
        self.known: list[Refusal] = []
        self.by_chance: list[str] = []
        self._elsewhere = tuple(elsewhere)
        self._store = store
        self._evaluate = evaluate
        self._tried: dict[tuple[str, ...], tuple[Failure | None, int]] = {}

    def around(self, levels: Combination, number: int) -> Combination | None:
        """The combination without what is known to be refused; None where nothing is left of it.

        Args:
            levels: the combination.
            number: chooses the level that gives way, of those that are refused together.
        """
        for step in range(_STEPS):
            cause = next((r.cause for r in self.known if is_part_of(r.cause, levels)), None)
            if cause is None:
                return levels
            plainer = without(levels, cause, number + step)
            if plainer is None:
                return None
            levels = plainer
        return None

    def find(self, levels: Combination, number: int, failure: Failure) -> None:
        """Find the levels that are to blame for a failure, and remember them.

        Args:
            levels: the combination that failed.
            number: tells its call apart from others of the same levels.
            failure: what the backend gave instead of a result.
        """
        self._tried[tuple(levels.values())] = failure, number

        def shows(plainer: Combination) -> bool:
            return self._failure(plainer, number) is not None

        if self._needs_others(levels, shows):
            if self._fails_again(levels, number):
                met = frozenset({("repetition", levels["repetition"])})
                self._remember(met, levels, failure)
            else:
                self.by_chance.append(str(failure))
            return
        cause, smallest = self._as_elsewhere(levels, shows) or (None, levels)
        if cause is None:
            smallest = shrink(levels, shows, part=True)
            cause = cause_of(smallest, shows)
        if not is_part_of(cause, levels):  # the shape of a weight matters
            cause, smallest = mechanism(levels), levels
        self._remember(cause, smallest, failure)

    def _remember(self, cause: Mechanism, smallest: Combination, failure: Failure) -> None:
        seen, drawn = self._tried[tuple(smallest.values())]
        call = partial(self._store.call, smallest, drawn)
        self.known.append(Refusal(cause, seen or failure, smallest, call))

    def _needs_others(self, levels: Combination, shows: Callable[[Combination], bool]) -> bool:
        """Whether a call that fails among others gives a result by itself.

        Calls that meet in time fail by chance, so that nothing else can be left out of such a one.
        """
        alone = {**levels, "repetition": "once"}
        return levels["repetition"] not in ("once", "twice") and not shows(alone)

    def _fails_again(self, levels: Combination, number: int) -> bool:
        call = self._store.call(levels, number)
        return is_often(lambda: isinstance(self._evaluate(call), Failure))

    def _as_elsewhere(
        self, levels: Combination, shows: Callable[[Combination], bool]
    ) -> tuple[Mechanism, Combination] | None:
        """What is refused in another format, if it is a part of the combination and refused here.

        The smallest combination that shows it there shows it here, too.
        """
        for refusal in self._elsewhere:
            if is_part_of(refusal.cause, levels):
                smallest = repaired({**refusal.smallest, "dtype": levels["dtype"]}, keep="dtype")
                if smallest and is_part_of(refusal.cause, smallest) and shows(smallest):
                    return refusal.cause, smallest
        return None

    def _failure(self, levels: Combination, number: int) -> Failure | None:
        """What the backend gives instead of a result of a combination; each is tried once."""
        key = tuple(levels.values())
        if key not in self._tried:
            outcome = self._evaluate(self._store.call(levels, number))
            self._tried[key] = outcome if isinstance(outcome, Failure) else None, number
        return self._tried[key][0]


def is_often(shows: Callable[[], bool]) -> bool:
    """Whether what happened once in a call among others happens ``OFTEN`` when it is made again."""
    seen = 0
    for _ in range(AGAIN):
        seen += shows()
        if seen == OFTEN:
            return True
    return False


def cause_of(found: Combination, shows: Callable[[Combination], bool]) -> Mechanism:
    """The mechanism of the smallest combination: a weight's shape is part of it if it matters."""
    any_shape = []
    for name in ("weight shape", "pos_weight shape"):
        if found[name] not in NOT_GIVEN:
            other = repaired({**found, name: "full" if found[name] == "0-d" else "0-d"}, keep=name)
            if other is not None and shows(other):
                any_shape.append(name)
    return mechanism(found, any_shape=any_shape)

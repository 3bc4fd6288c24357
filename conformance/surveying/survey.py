"""The survey of a place: drawn calls, evaluated and judged once for all requirements about them.

A level, or levels together, with which a backend gives no result at all are found out once: calls
that have them are made with plainer ones instead, so that they do not hide the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from bce_conformance.backends.calls import Failure, LossCall, LossResult
from bce_conformance.conformance.judging.agreement import agreement, same_bits
from bce_conformance.conformance.judging.calls import (
    CallJudgement,
    ExpectedCall,
    Fault,
    judge_call,
)
from bce_conformance.conformance.judging.judge import Judgement
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

_DETOURS = 6  # how often the levels of one call are made plainer before it is left


class Evaluator(Protocol):
    """What a survey needs of a backend's process."""

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        """Evaluate one call."""


@dataclass(frozen=True)
class Surveyed:
    """One call and what came back.

    Attributes:
        levels: the combination that it was drawn for.
        expected: the call and its exact results.
        judgement: of every array that came back.
        repeated: in what the same call gave other bits at once after it; empty where it did not.
        alone: for one of several quantities that were asked for together: how it agrees with what
            the call gives when it is asked for that alone.
    """

    levels: Combination
    expected: ExpectedCall
    judgement: CallJudgement
    repeated: str = ""
    alone: tuple[str, Judgement] | None = None


@dataclass(frozen=True)
class Refusal:
    """Levels with which a backend gives no result.

    Attributes:
        cause: the levels.
        failure: what it says instead.
        expected: the smallest such call that was found.
    """

    cause: Mechanism
    failure: Failure
    expected: ExpectedCall


@dataclass
class Survey:
    """What drawn calls of one format showed of a backend on a device."""

    calls: list[Surveyed] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    left: int = 0  # calls that were left out, since no plainer one gave a result either

    def judged(self, quantity: str) -> Iterator[tuple[Surveyed, Judgement | Fault]]:
        """The calls that asked for a quantity, with what came of it."""
        for call in self.calls:
            if quantity in call.judgement.results:
                yield call, call.judgement.results[quantity]


class Surveyor:
    """Makes the survey of a place.

    Args:
        process: evaluates calls.
        device: such as ``cpu``.
        store: draws calls.
        plan: gives the combinations that are drawn.
        causes: how many causes are looked for of what a quantity shows.
    """

    def __init__(
        self,
        process: Evaluator,
        device: str,
        store: CallStore,
        plan: Callable[[], Iterable[Combination]],
        causes: int = 0,
    ) -> None:
        self.causes = causes
        self._plan = plan
        self._survey: Survey | None = None
        self.store = store
        self._process = process
        self._device = device
        self._random = np.random.default_rng(store.seed)

    def made(self) -> Survey:
        """The survey, made at the first request."""
        if self._survey is None:
            self._survey = self._made(self._plan())
        return self._survey

    def _made(self, combinations: Iterable[Combination]) -> Survey:
        survey = Survey()
        for number, levels in enumerate(combinations):
            found = self._admitted(levels, number, survey)
            if found is None:
                survey.left += 1
            else:
                survey.calls.append(found)
        return survey

    def evaluate(self, expected: ExpectedCall) -> LossResult | Failure:
        """Evaluate a call on the device."""
        return self._process.evaluate(self._placed(expected).call)

    def _placed(self, expected: ExpectedCall) -> ExpectedCall:
        """What is expected of the same call on the device."""
        return replace(expected, call=replace(expected.call, device=self._device))

    def _admitted(self, levels: Combination, number: int, survey: Survey) -> Surveyed | None:
        """The call of a combination, or of the nearest one with which there is a result."""
        for _ in range(_DETOURS):
            plainer = self._around(levels, survey.refusals, number)
            if plainer is None:
                return None
            levels = plainer
            expected = self.store.get(levels, number)
            outcome = self.evaluate(expected)
            if isinstance(outcome, LossResult):
                return self._surveyed(levels, expected, outcome)
            survey.refusals.append(self._refusal(levels, number, outcome))
        return None

    @staticmethod
    def _around(
        levels: Combination, refusals: Iterable[Refusal], number: int
    ) -> Combination | None:
        """The combination without what is refused; None where nothing is left of it."""
        for refusal in refusals:
            if is_part_of(refusal.cause, levels):
                plainer = without(levels, refusal.cause, number)
                if plainer is None:
                    return None
                levels = plainer
        return levels

    def _refusal(self, levels: Combination, number: int, failure: Failure) -> Refusal:
        """The levels that are to blame, and the smallest call that shows it."""
        seen = {"failure": failure, "expected": self.store.get(levels, number)}

        def shows(plainer: Combination) -> bool:
            expected = self.store.get(plainer, number)
            outcome = self.evaluate(expected)
            if isinstance(outcome, Failure):
                seen.update(failure=outcome, expected=expected)
            return isinstance(outcome, Failure)

        found = shrink(levels, shows)
        return Refusal(cause_of(found, shows), **seen)  # type: ignore[arg-type]

    def _surveyed(
        self, levels: Combination, expected: ExpectedCall, outcome: LossResult
    ) -> Surveyed:
        judgement = judge_call(self._placed(expected), outcome)
        repeated = ""
        if levels["repetition"] == "twice":
            repeated = difference(outcome, self.evaluate(expected))
        return Surveyed(levels, expected, judgement, repeated, self._alone(expected, outcome))

    def _alone(self, expected: ExpectedCall, outcome: LossResult) -> tuple[str, Judgement] | None:
        """How one of several quantities agrees with what the call gives for it alone."""
        together = [q for q in expected.call.quantities if q in outcome.values]
        if len(expected.call.quantities) < 2 or not together:
            return None
        quantity = together[int(self._random.integers(len(together)))]
        call = replace(self._placed(expected).call, quantities=(quantity,))
        other = self._process.evaluate(call)
        if isinstance(other, Failure) or quantity not in other.values:
            return None
        got, alone = outcome.values[quantity], other.values[quantity]
        wanted = expected.results[quantity]
        if got.shape != alone.shape or got.dtype != alone.dtype or not got.size:
            return None
        if got.dtype != wanted.truth.nearest.dtype or got.shape != wanted.truth.nearest.shape:
            return None
        return quantity, agreement(got, alone, wanted.truth.format, wanted.bounds)


def difference(first: LossResult, second: LossResult | Failure) -> str:
    """In what a repeated call differs from the first, in words; empty where in nothing."""
    if isinstance(second, Failure):
        return f"the second call {second}"
    for quantity, got in first.values.items():
        other = second.values.get(quantity)
        if other is None or other.shape != got.shape or other.dtype != got.dtype:
            return f"the second call gives another shape or format of {quantity}"
        differing = int(np.count_nonzero(~same_bits(got, other)))
        if differing:
            return f"{differing} of {got.size} elements of {quantity} differ in the second call"
    return ""


def cause_of(found: Combination, shows: Callable[[Combination], bool]) -> Mechanism:
    """The mechanism of the smallest combination: a weight's shape is part of it if it matters."""
    any_shape = []
    for name in ("weight shape", "pos_weight shape"):
        if found[name] not in NOT_GIVEN:
            other = repaired({**found, name: "full" if found[name] == "0-d" else "0-d"}, keep=name)
            if other is not None and shows(other):
                any_shape.append(name)
    return mechanism(found, any_shape=any_shape)

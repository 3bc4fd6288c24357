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
    expectations,
    judge_call,
)
from bce_conformance.conformance.judging.judge import Judgement
from bce_conformance.conformance.space.factors import Combination
from bce_conformance.results.cells import Level

from .calls import SMALL, CallStore
from .refusals import Refusal, Refusals, is_often

_DETOURS = 6  # how often the levels of one call are made plainer before it is left
_ALONE_UP_TO = 10_000  # elements


class Evaluator(Protocol):
    """What a survey needs of a backend's process."""

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        """Evaluate one call."""


@dataclass(frozen=True)
class Surveyed:
    """One call and what came back, without arrays of many elements.

    Attributes:
        levels: the combination that it was drawn for.
        size: of the logits.
        call: the call; None where it has many elements.
        number: with ``levels`` it draws the call again; None where the call was not drawn.
        judgement: of every array that came back.
        repeated: in what the same call gave other bits at once after it; empty where it did not.
        alone: for one of several quantities that were asked for together and came back in the right
            shape and format: how it agrees with what the call gives when it is asked for that
            alone, or the fault for which there is nothing to compare.
    """

    levels: Combination
    size: int
    call: LossCall | None
    number: int | None
    judgement: CallJudgement
    repeated: str = ""
    alone: tuple[str, Judgement | Fault] | None = None


@dataclass
class Survey:
    """What drawn calls of one format showed of a backend on a device."""

    calls: list[Surveyed] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    by_chance: list[str] = field(default_factory=list)  # what calls among others seldom show
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
        plan: gives the combinations that are drawn, with the numbers of their calls.
        causes: how many causes are looked for of what a quantity shows.
        others: the surveyors of the same backend and device in other formats.
        told: is told how many of the calls are judged, and of how many.
    """

    def __init__(
        self,
        process: Evaluator,
        device: str,
        store: CallStore,
        plan: Callable[[], Iterable[tuple[Combination, int]]],
        causes: int = 0,
        others: Iterable[Surveyor] = (),
        told: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.causes = causes
        self._others = tuple(others)
        self._told = told
        self._plan = plan
        self._survey: Survey | None = None
        self._by_chance: list[str] = []
        self.store = store
        self._process = process
        self._device = device
        self._random = np.random.default_rng(store.seed)

    def made(self) -> Survey:
        """The survey, made at the first request."""
        if self._survey is None:
            self._survey = self._made(self._plan())
        return self._survey

    def _made(self, planned: Iterable[tuple[Combination, int]]) -> Survey:
        refusals = Refusals(self.store, self.evaluate, self._refused_elsewhere())
        survey = Survey(refusals=refusals.known, by_chance=refusals.by_chance)
        self._by_chance = survey.by_chance
        combinations = list(planned)
        for done, (levels, number) in enumerate(combinations):
            self._told(done, len(combinations))
            found = self._admitted(levels, number, refusals)
            if found is None:
                survey.left += 1
            else:
                survey.calls.append(found)
        return survey

    def _refused_elsewhere(self) -> Iterator[Refusal]:
        for other in self._others:
            if other._survey is not None:
                yield from other._survey.refusals

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        """Evaluate a call on the device."""
        return self._process.evaluate(replace(call, device=self._device))

    def _placed(self, expected: ExpectedCall) -> ExpectedCall:
        """What is expected of the same call on the device."""
        return replace(expected, call=replace(expected.call, device=self._device))

    def _admitted(self, levels: Combination, number: int, refusals: Refusals) -> Surveyed | None:
        """The call of a combination, or of the nearest one with which there is a result."""
        for _ in range(_DETOURS):
            plainer = refusals.around(levels, number)
            if plainer is None:
                return None
            levels = plainer
            call = self.store.call(levels, number)
            outcome = self.evaluate(call)
            if isinstance(outcome, LossResult):
                expected = self.store.get(levels, number, call)
                return self._surveyed(levels, number, expected, outcome)
            refusals.find(levels, number, outcome)
        return None

    def level(self, quantity: str, call: LossCall) -> Level | None:
        """The level of one quantity of a call; None where it gives none."""
        if quantity not in call.quantities:
            return None
        outcome = self.evaluate(call)
        if isinstance(outcome, Failure):
            return None
        wanted = expectations(replace(call, quantities=(quantity,)), cached=False)
        return judge_call(wanted, outcome).level(quantity)

    def again(self, levels: Combination, call: LossCall) -> Surveyed | None:
        """Evaluate and judge a call that a combination stands for; None where it fails."""
        outcome = self.evaluate(call)
        if isinstance(outcome, Failure):
            return None
        return self._surveyed(levels, None, expectations(call, cached=False), outcome)

    def _surveyed(
        self, levels: Combination, number: int | None, expected: ExpectedCall, outcome: LossResult
    ) -> Surveyed:
        outcome, repeated = self._repeated(levels, expected.call, outcome)
        judgement = judge_call(self._placed(expected), outcome)
        alone = self._alone(expected, outcome, judgement)
        size, kept = expected.call.logits.size, _condensed(judgement)
        small = expected.call if size <= SMALL else None
        return Surveyed(levels, size, small, number, kept, repeated, alone)

    def _repeated(
        self, levels: Combination, call: LossCall, outcome: LossResult
    ) -> tuple[LossResult, str]:
        """The result to judge of a call, and in what it differs from that of the call by itself."""
        if levels["repetition"] == "once":
            return outcome, ""
        once = replace(call, repetition="once")
        alone = self.evaluate(once)
        found = difference(outcome, alone)
        if isinstance(alone, Failure) and not is_often(
            lambda: isinstance(self.evaluate(once), Failure)
        ):
            # As where threads of the call before have spoilt the process.
            self._by_chance.append(found)
            alone = self.evaluate(once)
            found = difference(outcome, alone)
        if not found or levels["repetition"] == "twice" or isinstance(alone, Failure):
            return outcome, found

        def differs() -> bool:
            other = self.evaluate(call)
            return isinstance(other, Failure) or bool(difference(other, alone))

        if is_often(differs):
            return outcome, found
        self._by_chance.append(found)
        return alone, ""

    def _alone(
        self, expected: ExpectedCall, outcome: LossResult, judgement: CallJudgement
    ) -> tuple[str, Judgement | Fault] | None:
        """How one of several quantities agrees with what the call gives for it alone.

        What is wrong with it together is not held against it here, nor is an adapter's word that
        there is no such call.
        """
        together = [q for q in expected.call.quantities if q in outcome.values]
        large = expected.call.logits.size > _ALONE_UP_TO
        if len(expected.call.quantities) < 2 or not together or large:
            return None
        quantity = together[int(self._random.integers(len(together)))]
        call, wanted = replace(expected.call, quantities=(quantity,)), expected.results[quantity]
        other = self._evaluated_alone(call)
        if isinstance(judgement.results[quantity], Fault):
            return None
        found = judge_call(ExpectedCall(call, {quantity: wanted}), other).results[quantity]
        if isinstance(other, Failure) or isinstance(found, Fault):
            is_fault = isinstance(found, Fault) and found.kind != "unsupported"
            return (quantity, found) if is_fault else None
        got, alone = outcome.values[quantity], other.values[quantity]
        if not got.size:
            return None
        return quantity, _small(agreement(got, alone, wanted.truth.format, wanted.bounds))

    def _evaluated_alone(self, call: LossCall) -> LossResult | Failure:
        """The result of a call; where it fails in several threads at once, that of it by itself.

        What threads spoil is not a matter of quantities: calls that are drawn with one show it.
        """
        found = self.evaluate(call)
        if isinstance(found, Failure) and call.repetition == "at once":
            return self.evaluate(replace(call, repetition="once"))
        return found


def _condensed(judgement: CallJudgement) -> CallJudgement:
    """The judgement of a call, that of large results with equal elements once."""
    found = judgement.results
    results = {q: _small(one) if isinstance(one, Judgement) else one for q, one in found.items()}
    return replace(judgement, results=results)


def _small(judgement: Judgement) -> Judgement:
    return judgement.condensed() if judgement.size > SMALL else judgement


def difference(first: LossResult, second: LossResult | Failure) -> str:
    """In what a repeated call differs from the first, in words; empty where in nothing."""
    if isinstance(second, Failure):
        return f"the second call {second}"
    for quantity, got in first.values.items():
        other = second.values.get(quantity)
        if other is None or other.shape != got.shape or other.dtype != got.dtype:
            return f"the second call gives another shape or format of {quantity}"
        differing = np.flatnonzero(~same_bits(got, other))
        if differing.size:
            first, then = got.flat[differing[0]], other.flat[differing[0]]
            return (
                f"{differing.size} of {got.size} elements of {quantity} differ in the second call, "
                f"as {first} and then {then}"
            )
    return ""

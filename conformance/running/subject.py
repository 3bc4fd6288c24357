"""The subject of a test: one backend on one device in one format, which the test asks.

Guarantees that everything a test asks of a backend is kept in the record of its cell. A test never
compares results itself; it asks the subject to judge them or to require a condition, so that no
comparison can be thrown away.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array, Failure, LossCall, LossResult
from bce_conformance.conformance.inputs.bounds import bounds_for
from bce_conformance.conformance.inputs.inputs import Inputs, hex_of
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.inputs.sampler import Builder
from bce_conformance.conformance.inputs.search import can_search, near
from bce_conformance.conformance.inputs.truths import result_shape
from bce_conformance.conformance.judging.agreement import agreement, same_bits
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.judging.judge import Judgement, judge, severity
from bce_conformance.conformance.judging.worst import in_words as element_in_words
from bce_conformance.conformance.space.factors import Combination
from bce_conformance.conformance.space.shrinking import in_words, mechanism
from bce_conformance.conformance.specification import Requirement
from bce_conformance.conformance.surveying.mechanisms import Investigation
from bce_conformance.conformance.surveying.refusals import Refusal
from bce_conformance.conformance.surveying.survey import Survey, Surveyed, Surveyor
from bce_conformance.reference import Format
from bce_conformance.results.cells import Level

from .record import Record


class Evaluator(Protocol):
    """What the subject needs of a backend's process."""

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        """Evaluate one call."""


class CallFailed(Exception):  # noqa: N818 - the failure is the backend's, not the suite's
    """A call that the test needs gave no result; the cell takes its verdict from the failure."""

    def __init__(self, failure: Failure, call: LossCall) -> None:
        super().__init__(f"{failure} (logits {call.logits.dtype}{list(call.logits.shape)})")
        self.failure = failure


class Subject:
    """One backend × device × format under one requirement.

    Args:
        process: evaluates calls.
        backend: backend id.
        device: such as ``cpu``.
        format_: the format of the logits.
        requirement: what is tested.
        pools: the session's pools.
        curves: takes in the errors of this cell.
        flushes: whether the backend is known to make zero of subnormal results.
        sibling: evaluates calls with the backend whose compiled variant this one is, if it is one.
        lower: evaluates calls with this backend held to a lower instruction set, by its name; those
            that the tier tries.
        surveyor: evaluates and judges drawn calls, for the first check that asks.
    """

    def __init__(
        self,
        process: Evaluator,
        backend: str,
        device: str,
        format_: Format,
        requirement: Requirement,
        pools: PoolStore,
        curves: Curves,
        *,
        flushes: bool = False,
        sibling: Evaluator | None = None,
        lower: Mapping[str, Evaluator] | None = None,
        surveyor: Surveyor | None = None,
    ) -> None:
        self.backend = backend
        self.device = device
        self.format = format_
        self.requirement = requirement
        self.tier = pools.tier
        self.seed = pools.seed
        self.sibling = sibling
        self.lower = lower or {}
        self.kept = Record(backend, device, requirement, curves, flushes=flushes)
        self._surveyor = surveyor
        self._process = process
        self._pools = pools
        self._severities: list[NDArray[np.float64]] = []  # of the elements judged last
        self._logs: dict[str, str] = {}  # of failures, by what they say of themselves

    def pool(self, builder: Builder) -> Inputs:
        """The elements that ``builder`` draws in this format, shared by all backends."""
        return self._pools.get(builder, self.format)

    def draws(self, builder: Builder, only: int | None = None) -> tuple[Inputs, ...]:
        """The inputs that ``builder`` draws, each by itself: for results that sum over them.

        ``only=n``: at most n draws, none of which depends on the seed.
        """
        return self._pools.draws(builder, self.format, only)

    def float32_sweep(self) -> Iterator[Inputs]:
        """As many float32 logits as the tier tries, piece by piece."""
        return self._pools.float32_sweep()

    def array(self, values: object) -> Array:
        """Values rounded into the format."""
        return np.asarray(values, dtype=np.float64).astype(self.format.dtype)

    def try_evaluate(self, call: LossCall) -> LossResult | Failure:
        """Evaluate a call of which a failure may be the right answer."""
        self.kept.tried += max(1, call.logits.size)
        outcome = self._process.evaluate(call)
        if isinstance(outcome, Failure):
            self._keep_log(outcome)
        return outcome

    def _keep_log(self, failure: Failure) -> None:
        if failure.kind != "unsupported" and failure.log:
            self._logs.setdefault(str(failure), failure.log)

    def log_of(self, detail: str) -> str:
        """The traceback, or the last output, of a failure that a cell's detail tells of."""
        return next((log for failure, log in self._logs.items() if failure in detail), "")

    def evaluate(self, call: LossCall) -> LossResult:
        """Evaluate a call.

        Raises:
            CallFailed: the backend gave no result.
        """
        outcome = self.try_evaluate(call)
        if isinstance(outcome, Failure):
            raise CallFailed(outcome, call)
        return outcome

    def require(self, condition: bool, detail: str) -> bool:
        """Record whether a condition holds; ``detail`` says what was seen where it does not."""
        self.kept.condition(condition, detail)
        return condition

    def value(
        self,
        result: LossResult,
        quantity: str,
        shape: tuple[int, ...],
        format_: Format | None = None,
    ) -> Array | None:
        """A quantity of a result, if it is there with the right shape and format.

        The format is that of the logits unless given. What is wrong is recorded as a failure; None
        then.
        """
        format_ = format_ or self.format
        got = result.values.get(quantity)
        if got is None:
            self.require(False, f"{quantity} is absent")
            return None
        right_shape = self.require(
            got.shape == shape, f"{quantity} has shape {got.shape} instead of {shape}"
        )
        right_dtype = self.require(
            got.dtype == format_.dtype, f"{quantity} is {got.dtype}, not {format_.name}"
        )
        return got if right_shape and right_dtype else None

    def values(self, call: LossCall) -> dict[str, Array]:
        """Evaluate a call; those of its quantities that are there with the right shape and format.

        What is wrong with the others is recorded as a failure.

        Raises:
            CallFailed: the backend gave no result.
        """
        result = self.evaluate(call)
        found = {q: self.value(result, q, result_shape(call, q)) for q in call.quantities}
        return {quantity: got for quantity, got in found.items() if got is not None}

    def judge(self, inputs: Inputs, *quantities: str) -> None:
        """Evaluate inputs and judge each quantity (the loss unless given) against the truth.

        Where the tier searches, others near those that came out worst follow.
        """
        for tried in self.searched(inputs):
            self._judge(tried, quantities)

    def searched(self, inputs: Inputs) -> Iterator[Inputs]:
        """The inputs, then, as often as the tier searches, others near those that came out worst.

        What is judged of each before the next is asked for tells where to go on.
        """
        self._severities.clear()
        yield inputs
        place = f"{self.backend} {self.requirement.id} {inputs.name}"
        random = np.random.default_rng([self.seed, zlib.crc32(place.encode())])
        for _ in range(self.tier.search_rounds):
            if not self._severities or self.kept.fails:
                return
            inputs = near(inputs, np.max(self._severities, axis=0), random)
            self._severities.clear()
            yield inputs

    def _judge(self, inputs: Inputs, quantities: tuple[str, ...]) -> None:
        call = inputs.call(*quantities, device=self.device)
        result = self.evaluate(call)
        self.kept.exhaustive(inputs.exhaustive)
        for quantity in call.quantities:
            truth = inputs.truth(quantity)
            got = self.value(result, quantity, truth.nearest.shape, truth.format)
            if got is not None:
                self.judge_values(inputs, quantity, got)

    def judge_values(self, inputs: Inputs, quantity: str, got: Array) -> None:
        """Judge values of one quantity; ``got`` has the truth's shape and format."""
        truth = inputs.truth(quantity)
        bounds = inputs.bounds(quantity)
        judgement = judge(got, truth, truth.format, bounds)
        each = judgement.levels.size == inputs.logits.size
        if self.tier.search_rounds and each and can_search(inputs):
            self._severities.append(severity(judgement, truth, truth.format, bounds))
        self.kept.judged(inputs, quantity, got, truth, judgement)

    def survey(self) -> Survey:
        """What drawn calls showed of the backend; made for the first check that asks."""
        return self._surveyor.made() if self._surveyor else Survey()

    def judge_drawn(self, quantity: str) -> None:
        """Take in what drawn calls showed of the values of a quantity, and look for causes."""
        below, before = [], self.kept.tried
        for surveyed, found in self.survey().judged(quantity):
            if isinstance(found, Judgement) and found.levels.size:
                self.kept.tried += found.size
                self.take_drawn(surveyed, quantity, found)
                below += [(surveyed, found.level)] if found.level < Level.AAA else []
        if self.kept.tried == before:
            self.kept.note(f"no drawn call gave {quantity}: it is refused, or left out")
        self._investigate(below, lambda surveyor, levels, call: surveyor.level(quantity, call))

    def _investigate(
        self,
        below: Sequence[tuple[Surveyed, Level]],
        level: Callable[[Surveyor, Combination, LossCall], Level | None],
    ) -> None:
        """Look for what is to blame for drawn calls below the best level."""
        if below and self._surveyor and self._surveyor.causes:
            of_call = partial(level, self._surveyor)
            found = Investigation(self._surveyor.store, of_call, self._surveyor.causes)
            self.kept.caused(*found.findings(below))

    def take_drawn(self, surveyed: Surveyed, quantity: str, judgement: Judgement) -> None:
        """Take in the levels of one quantity of a drawn call."""

        def describe(index: int) -> str:
            where = in_words(mechanism(surveyed.levels))
            return f"{quantity} {judgement.ulp[index]:.4g} ULP off in a call with {where}"

        self.kept.observed(judgement, describe)

    def require_drawn(self, faults: Callable[[Surveyed], Iterator[str]]) -> None:
        """Require of every drawn call that it has no faults of a kind."""

        def level(surveyor: Surveyor, levels: Combination, call: LossCall) -> Level | None:
            surveyed = surveyor.again(levels, call)
            return Level.FAILS if surveyed and any(faults(surveyed)) else None

        below = []
        for surveyed in self.survey().calls:
            self.kept.tried += max(1, surveyed.size)
            found = list(faults(surveyed))
            where = in_words(mechanism(surveyed.levels))
            self.require(not found, f"{'; '.join(found)} in a call with {where}")
            below += [(surveyed, Level.FAILS)] if found else []
        self._investigate(below, level)

    def take_refusal(self, refusal: Refusal, may_refuse: bool) -> None:
        """Take in levels with which there is no result."""
        what = in_words(refusal.cause)
        self._keep_log(refusal.failure)
        if may_refuse or refusal.failure.kind == "unsupported":
            self.refused(refusal.failure, what)
        else:
            self.require(False, f"{what}: {refusal.failure}")
            self.kept.shown_by(refusal.call())

    def refused(self, failure: Failure, what: str) -> None:
        """Record a refusal that the requirement allows: it says nothing about quality."""
        self.kept.refusal(f"{what} refused: {failure}")

    def not_measured(self, why: str) -> None:
        """Record why nothing is tried."""
        self.kept.note(why)

    def agree(
        self, call: LossCall, found: Mapping[str, Array], expected: Mapping[str, Array], what: str
    ) -> None:
        """Judge results by others that they should equal: each quantity that is in both.

        Args:
            call: what ``expected`` was evaluated from, for the bounds and for the worst element.
            found: quantity → result.
            expected: quantity → the result of the same shape and format that it should equal.
            what: how the two came about, for the evidence.
        """
        for quantity in (q for q in call.quantities if q in found and q in expected):
            self._agree(call, quantity, found[quantity], expected[quantity], what)

    def _agree(self, call: LossCall, quantity: str, got: Array, other: Array, what: str) -> None:
        def describe(index: int) -> str:
            count = int(np.count_nonzero(~same_bits(got, other)))
            if not count:
                return f"{what}: all {got.size} agree in {quantity}"
            pair = f"{hex_of(got.ravel()[index])} and {hex_of(other.ravel()[index])}"
            where = element_in_words(call, index) if other.shape == call.logits.shape else ""
            return f"{what}: {count} of {got.size} differ in {quantity}, such as {pair}{where}"

        self.observe(agreement(got, other, self.format, bounds_for(call, quantity)), describe)

    def observe(self, judgement: Judgement, describe: Callable[[int], str]) -> None:
        """Record results that a test judged by a rule of its own.

        Args:
            judgement: their levels and errors.
            describe: says in words what was seen of the element with this index.
        """
        self.kept.observed(judgement, describe)

    def record(self, inputs: Inputs, level: Level, ulp: float, detail: str) -> None:
        """Record one observation of one draw that a test judged by a rule of its own."""
        self.kept.observed_draw(inputs, level, ulp, detail)

    def note(self, detail: str) -> None:
        """Tell in the evidence what was seen where nothing failed."""
        self.kept.note(detail)

"""The judgement of a whole call: every array that comes back, and how it came back.

Guarantees that a quantity that was asked for is judged or has a fault, never neither, and that the
exact results of a call are computed once for all backends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bce_conformance.backends.calls import Array, Failure, LossCall, LossResult
from bce_conformance.conformance.inputs.bounds import Bounds, bounds_for
from bce_conformance.conformance.inputs.truths import plain, truth_of
from bce_conformance.reference import Truth
from bce_conformance.results.cells import Level

from .judge import Judgement, judge

FaultKind = Literal[
    "raised",
    "crashed",
    "timeout",
    "unsupported",
    "absent",
    "wrong shape",
    "wrong format",
    "wrong device",
    "inputs changed",
]


@dataclass(frozen=True)
class Fault:
    """What keeps a result from being judged, or is wrong with it whatever its values.

    Attributes:
        kind: the kinds of ``Failure``, where the call gave no result; else what is wrong with it.
        detail: it in words.
    """

    kind: FaultKind
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


@dataclass(frozen=True)
class Expected:
    """One quantity of a call: its exact values, in its own format, and what the levels allow."""

    truth: Truth
    bounds: Bounds


@dataclass(frozen=True)
class ExpectedCall:
    """What a call should give.

    Attributes:
        call: the call.
        results: quantity → what is expected, for those that the call wants.
    """

    call: LossCall
    results: Mapping[str, Expected]


@dataclass(frozen=True)
class CallJudgement:
    """What came back of a call.

    Attributes:
        results: quantity → its levels and errors, or the fault for which there are none; those that
            the call wants.
        faults: those of the call as a whole, which say nothing about values: ``wrong device`` and
            ``inputs changed``.
    """

    results: Mapping[str, Judgement | Fault]
    faults: tuple[Fault, ...] = ()

    def level(self, quantity: str) -> Level:
        """The level of one quantity; of an empty result there is only shape and format to judge."""
        found = self.results[quantity]
        if isinstance(found, Fault):
            return Level.FAILS
        return found.level if found.levels.size else Level.AAA

    @property
    def least(self) -> Level:
        """The least level of all quantities; ``FAILS`` with a fault of the call."""
        return Level.FAILS if self.faults else min(map(self.level, self.results))


def expectations(call: LossCall, *, cached: bool = True) -> ExpectedCall:
    """Compute what a call should give.

    Args:
        call: any call that the Definition of SPEC.md covers.
        cached: whether the cache of truths on disk is looked into and filled.

    Raises:
        ValueError: a gradient is wanted in an operand of integers or booleans, or in one that is
            not handed over as an array; the logits are not of one of the four formats; a shape or
            the reduction is not accepted; an operand is handed over as text or None; or the product
            of cotangent and tangent is not exact in float64.
        TypeError: an operand is not of real numbers.
    """
    _check_forms(call)
    asked = plain(call)
    results = {
        quantity: Expected(truth_of(asked, quantity, cached=cached), bounds_for(asked, quantity))
        for quantity in call.quantities
    }
    return ExpectedCall(call, results)


def _check_forms(call: LossCall) -> None:
    for operand, form in call.forms.items():
        if form in ("text", "none"):
            raise ValueError(f"{operand} is handed over as {form}: such a call has no exact result")
        if operand == "logits" or f"grad_{operand}" in call.quantities:
            raise ValueError(
                f"{operand} is handed over as {form}, which has no format; accepted are arrays, "
                "where a result takes its format from it"
            )


def judge_call(expected: ExpectedCall, outcome: LossResult | Failure) -> CallJudgement:
    """Judge everything that came back of a call.

    Args:
        expected: what the call should give, from ``expectations``.
        outcome: what a backend gave.
    """
    if isinstance(outcome, Failure):
        fault = Fault(outcome.kind, outcome.detail)
        return CallJudgement(dict.fromkeys(expected.results, fault))
    found = {
        quantity: _judged(quantity, outcome.values.get(quantity), wanted)
        for quantity, wanted in expected.results.items()
    }
    return CallJudgement(found, tuple(_faults(expected.call, outcome)))


def _judged(quantity: str, got: Array | None, wanted: Expected) -> Judgement | Fault:
    if got is None:
        return Fault("absent", f"{quantity} is absent")
    nearest = wanted.truth.nearest
    if got.shape != nearest.shape:
        return Fault("wrong shape", f"{quantity} has shape {got.shape} instead of {nearest.shape}")
    if got.dtype != nearest.dtype:
        return Fault("wrong format", f"{quantity} is {got.dtype}, not {nearest.dtype}")
    return judge(got, wanted.truth, wanted.truth.format, wanted.bounds)


def _faults(call: LossCall, result: LossResult) -> Iterator[Fault]:
    if result.values and result.device != call.device:
        where = result.device or "no device"
        yield Fault("wrong device", f"results are on {where}, not {call.device}")
    if result.modified:
        yield Fault("inputs changed", f"it changed {', '.join(result.modified)}")

"""Comparisons see what is absent, and shapes, formats and signs of zero beside values.

A check tells how much of what it names the memory did not suffice for.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends import Failure, LossCall, LossResult
from bce_conformance.conformance.checks.behaviour import test_interface, test_layouts
from bce_conformance.conformance.checks.numbers import test_reductions
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.judging.calls import CallJudgement, Fault
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.conformance.space.rules import covering
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.surveying.survey import Survey, Surveyed
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import FLOAT32
from tests.conformance.check_modules import check_modules
from tests.impostors.impostor import right

Answer = Callable[[LossCall], LossResult | Failure]
X = np.array([1.0, -2.0, 3.0], np.float32)
RIGHT = {"loss": X, "grad_logits": X / 2}
CALL = LossCall(X, X * 0, reduction="none", quantities=tuple(RIGHT))


class Answers:
    """A process that answers as a function says."""

    def __init__(self, answer: Answer) -> None:
        self.evaluate = answer


def subject(requirement: str, answer: Answer) -> Subject:
    asked, pools = requirements()[requirement], PoolStore(0, TIERS["quick"])
    return Subject(Answers(answer), "fake", "cpu", FLOAT32, asked, pools, Curves())


def checked(requirement: str, answer: Answer) -> Subject:
    """The subject of a check that was run with a backend that answers as a function says."""
    tried = subject(requirement, answer)
    for module in check_modules():
        for function in vars(module).values():
            marks = getattr(function, "pytestmark", [])
            if any(mark.args == (requirement,) for mark in marks):
                function(tried)
    return tried


def correct(call: LossCall) -> LossResult:
    """What the right implementation gives."""
    return LossResult(right(call))


@pytest.mark.parametrize(
    ("changed", "seen"),
    [
        ({"grad_logits": None}, "grad_logits is absent; right: grad_logits is"),
        ({"loss": X[:, None]}, "float32 of shape (3, 1)"),
        ({"loss": X.view(np.int32)}, "int32 of shape (3,)"),
        ({"loss": np.abs(X)}, "loss is [1. 2. 3.]"),
    ],
)
def test_results_are_the_same_in_bits_shape_and_format(
    changed: dict[str, np.ndarray | None], seen: str
) -> None:
    got = LossResult({q: v for q, v in {**RIGHT, **changed}.items() if v is not None})
    tried = subject("API-1", lambda call: got)
    tried.evaluate(CALL)
    test_interface.require_same(tried, CALL, LossResult(RIGHT), LossResult(RIGHT), "equal")
    assert tried.kept.verdict() == "AAA"
    test_interface.require_same(tried, CALL, got, LossResult(RIGHT), "changed")
    assert tried.kept.verdict() == "fails"
    assert seen in tried.kept.detail()


def test_what_both_results_lack_fails() -> None:
    loss = LossResult({"loss": X})
    tried = subject("API-1", lambda call: loss)
    tried.evaluate(CALL)
    test_interface.require_same(tried, CALL, loss, loss, "both")
    told = "both: grad_logits is absent; right: grad_logits is absent"
    assert tried.kept.detail() == told


def without(quantity: str) -> Answer:
    """Right, but without a quantity."""

    def answer(call: LossCall) -> LossResult | Failure:
        return LossResult({q: v for q, v in right(call).items() if q != quantity})

    return answer


@pytest.mark.parametrize(
    ("requirement", "quantity"),
    [("DTY-5", "grad_logits"), ("DTY-7", "loss"), ("ERR-7", "loss")],
)
def test_a_quantity_that_is_absent_has_a_verdict(requirement: str, quantity: str) -> None:
    kept = checked(requirement, without(quantity)).kept
    assert kept.verdict() == "fails"
    assert f"{quantity} is absent" in kept.detail()


def test_a_gradient_that_is_lost_with_an_error_has_a_verdict() -> None:
    raised = []

    def answer(call: LossCall) -> LossResult | Failure:
        if call.forms or call.logits.ndim > 1 or call.reduction != "none":
            raised.append(call)
            return Failure("raised", "TypeError: no", "TypeError")
        return without("grad_logits" if raised else "")(call)

    kept = checked("ERR-5", answer).kept
    assert kept.verdict() == "fails"
    assert "after logits was text: grad_logits is absent" in kept.detail()


@pytest.mark.parametrize(
    ("zero", "verdict"), [(lambda x: x, "fails"), (np.abs, "AAA")], ids=["that of x", "always +0"]
)
def test_a_gradient_of_zero_has_the_same_sign_at_both_zeros(
    zero: Callable[[np.ndarray], np.ndarray], verdict: str
) -> None:
    def answer(call: LossCall) -> LossResult:
        values = {
            q: np.where((call.logits == 0) & (v == 0), zero(call.logits), v)
            for q, v in correct(call).values.items()
        }
        return LossResult(values)

    kept = checked("INF-6", answer).kept
    assert kept.verdict() == verdict
    assert ("got -0.0, right is 0.0" in kept.detail()) is (verdict == "fails")


@pytest.mark.parametrize(
    ("instead", "verdict"), [(np.inf, "AAA"), (-np.inf, "fails"), (np.nan, "fails")]
)
def test_a_sum_overflows_upwards(instead: float, verdict: str) -> None:
    def answer(call: LossCall) -> LossResult:
        loss = correct(call).values["loss"]
        return LossResult({"loss": np.where(np.isinf(loss), np.float32(instead), loss)})

    assert checked("RED-9", answer).kept.verdict() == verdict


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize(
    ("fitting", "told"),
    [
        (10**9, None),
        (10**5, "nothing over 17,000,000 elements: the memory does not suffice"),
        (9999, "nothing over 10,000 or 17,000,000 elements: the memory does not suffice"),
    ],
)
def test_sizes_that_do_not_fit_into_memory_are_told(
    fitting: int, told: str | None, reduction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_reductions, "most_elements", lambda itemsize: fitting)
    tried = subject("RED-6", correct)
    tried.tier = replace(tried.tier, reduction_sizes=(1000, 10_000, 10**7))
    test_reductions.judge_sizes(tried, test_reductions.equal, reduction, largest=1000)
    assert tried.kept.verdict() == "AAA"
    assert tried.kept.detail().partition("; ")[2] == (told or "")


@pytest.mark.parametrize(
    ("fitting", "told"),
    [
        (10**9, ""),
        (5000, "4,985 elements instead of 170,000: the memory does not suffice"),
    ],
)
def test_fewer_elements_than_the_tier_repeats_are_told(
    fitting: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_layouts, "most_elements", lambda itemsize: fitting)
    tried = subject("LAY-13", lambda call: LossResult(dict.fromkeys(call.quantities, call.logits)))
    tried.tier = replace(tried.tier, reduction_sizes=(100_000,))
    test_layouts.test_each_of_many_elements(tried)
    assert tried.kept.verdict() == "AAA"
    assert told in tried.kept.detail()
    assert ("memory" in tried.kept.detail()) is bool(told)


@pytest.mark.parametrize("alone", [None, ("loss", Fault("absent", "loss is absent"))])
def test_what_a_call_gives_only_together_fails(
    alone: tuple[str, Fault] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    surveyed = Surveyed(covering(2)[0], 6, None, 0, CallJudgement({}), alone=alone)
    monkeypatch.setattr(Subject, "survey", lambda self: Survey([surveyed]))
    kept = checked("ANY-11", correct).kept
    assert kept.verdict() == ("fails" if alone else "not measured")
    assert ("loss alone: absent: loss is absent in a call with" in kept.detail()) is bool(alone)

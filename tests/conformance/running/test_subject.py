"""The subject keeps what it is asked to look at, and calls nothing tried not measured."""

import shlex
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends import Failure, LossCall, LossResult
from bce_conformance.backends.call_files.calls import dumps
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.judging.judge import Judgement
from bce_conformance.conformance.running.reproduce import explain_line
from bce_conformance.conformance.running.subject import CallFailed, Subject
from bce_conformance.conformance.space.rules import covering
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.surveying.calls import CallStore, numbered
from bce_conformance.conformance.surveying.survey import Surveyor
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import FLOAT32

X = np.array([1.0, -2.0, 3.0], np.float32)
INPUTS = Inputs("three", FLOAT32, X, np.zeros(3, np.float32))
EXACT = INPUTS.truth("loss").nearest

Answer = Callable[[LossCall], LossResult | Failure]


class Answers:
    """A process that answers as a function says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        return self.answer(call)


def subject(answer: Answer, requirement: str = "VAL-1", *, flushes: bool = False) -> Subject:
    pools = PoolStore(0, TIERS["quick"])
    asked = requirements()[requirement]
    return Subject(Answers(answer), "fake", "cpu", FLOAT32, asked, pools, Curves(), flushes=flushes)


def returning(**values: np.ndarray) -> Answer:
    return lambda call: LossResult(values)


def test_nothing_tried_is_not_measured() -> None:
    assert subject(returning(loss=EXACT)).kept.verdict() == "not measured"


def test_something_tried_but_nothing_looked_at_is_not_measured() -> None:
    fake = subject(returning(loss=EXACT))
    fake.evaluate(INPUTS.call())
    assert fake.kept.tried == 3
    assert fake.kept.verdict() == "not measured"


def test_a_right_result_is_aaa_with_its_evidence() -> None:
    fake = subject(returning(loss=EXACT))
    fake.judge(INPUTS)
    assert fake.kept.verdict() == "AAA"
    statistics = fake.kept.statistics()
    assert statistics is not None
    assert statistics.max <= 0.5
    assert statistics.correctly_rounded == 1
    assert fake.kept.evidence() == "searched"


def test_the_worst_element_is_named() -> None:
    wrong = EXACT.copy()
    wrong[1] *= 1.5
    fake = subject(returning(loss=wrong))
    fake.judge(INPUTS)
    assert fake.kept.verdict() == "fails"
    worst = fake.kept.worst()
    assert worst is not None
    assert worst.element is not None
    assert float.fromhex(worst.element.logit) == -2
    assert float.fromhex(worst.element.got) == wrong[1]
    assert float.fromhex(worst.element.exact) == EXACT[1]


SMALL = Inputs("two", FLOAT32, np.float32([-100.0, -1.0]), np.zeros(2, np.float32))


@pytest.mark.parametrize("flushes", [False, True])
def test_a_flush_is_counted_and_is_no_error_of_the_formula(flushes: bool) -> None:
    right = SMALL.truth("loss").nearest
    two_off = FLOAT32.from_ordinal(FLOAT32.ordinal(right[1]) + 2)
    fake = subject(returning(loss=np.float32([0, two_off])), flushes=flushes)
    fake.judge(SMALL)
    assert fake.kept.verdict() == "AA"
    assert fake.kept.flushed == flushes
    statistics, worst = fake.kept.statistics(), fake.kept.worst()
    assert statistics is not None
    assert worst is not None
    assert worst.element is not None
    assert (statistics.max < 3) is flushes
    assert (float.fromhex(worst.element.logit) == -1) is flushes


def test_where_all_is_flushed_the_worst_says_so() -> None:
    fake = subject(returning(loss=np.zeros(1, np.float32)), flushes=True)
    fake.judge(Inputs("one", FLOAT32, SMALL.logits[:1], SMALL.targets[:1]))
    assert fake.kept.statistics() is None
    assert "loss flushed to zero (one)" in fake.kept.detail()


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        ({}, "loss is absent"),
        ({"loss": EXACT[:2]}, "loss has shape (2,) instead of (3,)"),
        ({"loss": EXACT.reshape(3, 1)}, "loss has shape (3, 1) instead of (3,)"),
        ({"loss": EXACT.astype(np.float64)}, "loss is float64, not float32"),
    ],
)
def test_an_absent_or_misshapen_result_fails(values: dict[str, np.ndarray], detail: str) -> None:
    fake = subject(returning(**values))
    fake.judge(INPUTS)
    assert fake.kept.verdict() == "fails"
    assert detail in fake.kept.detail()


def test_a_condition_that_does_not_hold_fails_and_is_told() -> None:
    fake = subject(returning(loss=EXACT), "VAL-8")
    fake.evaluate(INPUTS.call())
    assert fake.require(True, "fine")
    assert fake.kept.verdict() == "AAA"
    assert not fake.require(False, "one loss is −3")
    assert fake.kept.verdict() == "fails"
    assert fake.kept.detail() == "one loss is −3"


def test_a_requirement_without_degrees_is_met_or_fails() -> None:
    """Two ulps off is level AA, which such a requirement does not know."""
    off = FLOAT32.from_ordinal(FLOAT32.ordinal(EXACT) + 2)
    graded, met = subject(returning(loss=off), "VAL-1"), subject(returning(loss=off), "VAL-8")
    graded.judge(INPUTS)
    met.judge(INPUTS)
    assert graded.kept.verdict() == "AA"
    assert met.kept.verdict() == "fails"


def test_a_failed_call_ends_the_test_unless_it_may_fail() -> None:
    failure = Failure("crashed", "SIGSEGV")
    fake = subject(lambda call: failure)
    assert fake.try_evaluate(INPUTS.call()) == failure
    with pytest.raises(CallFailed, match="crashed: SIGSEGV"):
        fake.evaluate(INPUTS.call())


def test_results_that_agree_are_aaa_and_others_are_named() -> None:
    fake = subject(returning(loss=EXACT))
    call = INPUTS.call()
    (quantity,) = fake.values(call)
    other = EXACT.copy()
    other[1] *= 1.5
    fake.agree(call, {quantity: EXACT.copy()}, {quantity: EXACT}, "alike")
    assert fake.kept.verdict() == "AAA"
    fake.agree(call, {quantity: other}, {quantity: EXACT}, "unlike")
    assert fake.kept.verdict() == "fails"
    assert fake.kept.detail().startswith("unlike: 1 of 3 differ in loss, such as")
    assert f"x = {(-2.0).hex()}, y = {(0.0).hex()}" in fake.kept.detail()
    statistics = fake.kept.statistics()
    assert statistics is not None
    assert statistics.max > 1e6


def test_values_have_the_shapes_that_they_should_have() -> None:
    fake = subject(returning(loss=EXACT, grad_logits=EXACT[:2]))
    assert list(fake.values(INPUTS.call("loss", "grad_logits"))) == ["loss"]
    assert fake.kept.verdict() == "fails"
    reduced = subject(returning(loss=EXACT[0]))
    assert list(reduced.values(replace(INPUTS, reduction="sum").call())) == ["loss"]
    assert reduced.kept.verdict() == "AAA"


def test_an_observation_of_nothing_is_none() -> None:
    fake = subject(returning(loss=EXACT))
    fake.evaluate(INPUTS.call())
    fake.observe(Judgement(np.zeros(0, np.int8), np.zeros(0)), str)
    assert fake.kept.verdict() == "not measured"


def test_the_worst_observation_is_told() -> None:
    fake = subject(returning(loss=EXACT))
    fake.evaluate(INPUTS.call())
    for levels in ([3, 2], [1, 3], [2, 2]):
        fake.observe(Judgement(np.array(levels, np.int8), np.ones(2)), lambda i: f"at {i}")
    assert fake.kept.verdict() == "A"
    assert fake.kept.detail() == "at 0"


def test_where_all_is_refused_the_verdict_is_unsupported() -> None:
    refusal = Failure("raised", "TypeError: no weight of float64")
    fake = subject(lambda call: refusal)
    fake.try_evaluate(INPUTS.call())
    fake.refused(refusal, "weight of float64")
    fake.refused(refusal, "weight of float64")
    assert fake.kept.verdict() == "unsupported"
    assert fake.kept.detail() == "weight of float64 refused: raised TypeError: no weight of float64"


def test_a_refusal_beside_results_says_nothing_about_quality() -> None:
    fake = subject(returning(loss=EXACT))
    fake.judge(INPUTS)
    fake.refused(Failure("raised", "TypeError: no"), "weight of float64")
    assert fake.kept.verdict() == "AAA"
    fake.require(False, "wrong")
    assert fake.kept.verdict() == "fails"


def line_of(inputs: Inputs, quantity: str = "loss") -> str | None:
    """The line that shows the worst result of some inputs."""
    fake = subject(returning(**{quantity: inputs.truth(quantity).nearest}))
    fake.judge(inputs, quantity)
    worst = fake.kept.worst()
    assert worst is not None
    return explain_line("fake", "cuda", worst)


def test_a_worst_element_is_shown_by_its_numbers() -> None:
    line = line_of(INPUTS)
    assert line is not None
    assert line.startswith("bce-conformance explain fake --logit=")
    assert line.endswith("--dtype=float32 --quantity=loss --device=cuda")


def test_what_numbers_in_one_format_do_not_say_is_shown_as_a_call() -> None:
    """Operands of another type are not rounded, and cotangent and reduction are not left out."""
    cotangent = np.array([1, 2, 3], np.float32)
    for changed, quantity in (
        ({"targets": np.zeros(3)}, "loss"),
        ({"cotangent": cotangent}, "grad_logits"),
        ({"tangent": cotangent}, "jvp_logits"),
        ({"reduction": "sum"}, "loss"),
    ):
        inputs = replace(INPUTS, **changed)
        assert inputs.mixed == ("targets" in changed)
        line = line_of(inputs, quantity)
        assert line is not None
        *words, text = shlex.split(line)
        assert words == ["bce-conformance", "explain", "fake", "--call"]
        assert text == dumps(inputs.call(quantity, device="cuda"), inline=True)
    large = replace(INPUTS, logits=np.zeros(9, np.float32), targets=np.zeros(9, np.float32))
    assert line_of(replace(large, reduction="sum")) is None


def test_inputs_can_be_judged_against_a_truth_from_elsewhere() -> None:
    other = replace(INPUTS, logits=-X).truth("loss")
    inputs = INPUTS.with_truth("loss", other)
    assert inputs.truth("loss") is other
    assert INPUTS.truth("loss") is not other


def test_what_cannot_be_tried_is_not_measured_and_says_why() -> None:
    fake = subject(returning(loss=EXACT))
    fake.not_measured("no other device")
    assert (fake.kept.verdict(), fake.kept.detail()) == ("not measured", "no other device")


def test_a_quantity_that_no_drawn_call_gave_is_not_measured_and_says_so() -> None:
    rows = [row for row in covering(2) if row["dtype"] == "float32" and row["size"] == "small"][:5]
    fake = subject(returning(), "ANY-4")
    fake._surveyor = Surveyor(Answers(returning()), "cpu", CallStore(0), lambda: numbered(rows))
    fake.judge_drawn("grad_weight")
    assert fake.kept.verdict() == "not measured"
    assert fake.kept.detail() == "no drawn call gave grad_weight: it is refused, or left out"

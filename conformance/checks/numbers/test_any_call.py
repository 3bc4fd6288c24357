"""ANY: calls drawn from the whole space, judged whole."""

from collections.abc import Iterator

import pytest

from bce_conformance.conformance.judging.calls import Fault
from bce_conformance.conformance.running.refusals import is_clear, type_of
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.conformance.space.rules import covered
from bce_conformance.conformance.space.shrinking import in_words, mechanism
from bce_conformance.conformance.surveying.refusals import AGAIN, OFTEN, Refusal
from bce_conformance.conformance.surveying.survey import Surveyed


@pytest.mark.requirement("ANY-1")
def test_loss(subject: Subject) -> None:
    """Judge the loss of every drawn call."""
    subject.judge_drawn("loss")


@pytest.mark.requirement("ANY-2")
def test_gradient_in_the_logits(subject: Subject) -> None:
    """Judge the gradient in the logits of every drawn call."""
    subject.judge_drawn("grad_logits")


@pytest.mark.requirement("ANY-3")
def test_gradient_in_the_targets(subject: Subject) -> None:
    """Judge the gradient in the targets of every drawn call."""
    subject.judge_drawn("grad_targets")


@pytest.mark.requirement("ANY-4")
def test_gradient_in_weight(subject: Subject) -> None:
    """Judge the gradient in weight of every drawn call."""
    subject.judge_drawn("grad_weight")


@pytest.mark.requirement("ANY-5")
def test_gradient_in_pos_weight(subject: Subject) -> None:
    """Judge the gradient in pos_weight of every drawn call."""
    subject.judge_drawn("grad_pos_weight")


@pytest.mark.requirement("ANY-6")
def test_forward_mode(subject: Subject) -> None:
    """Judge the derivative along a tangent of every drawn call."""
    subject.judge_drawn("jvp_logits")


@pytest.mark.requirement("ANY-7")
def test_second_order(subject: Subject) -> None:
    """Judge the second derivative along a tangent of every drawn call."""
    subject.judge_drawn("hvp_logits")


@pytest.mark.requirement("ANY-8")
def test_any_call_is_taken(subject: Subject) -> None:
    """Require that what is refused may be, and is by a clear error."""
    survey = subject.survey()
    subject.kept.tried += len(survey.calls)
    subject.kept.condition(bool(survey.calls), "no drawn call gave a result")
    for refusal in survey.refusals:
        subject.take_refusal(refusal, may_refuse(refusal))
    for found in survey.by_chance:
        subject.note(f"among others by chance, not {OFTEN} times in {AGAIN}: {found}")
    pairs = covered((surveyed.levels for surveyed in survey.calls), subject.format.name, 2)
    subject.kept.scope(
        f"{len(survey.calls):,} drawn calls gave results, {survey.left} did not, whatever else was "
        f"drawn instead; {pairs} of levels that can meet gave results"
    )


def may_refuse(refusal: Refusal) -> bool:
    """Whether it is an operand of another type that is refused, by a clear error."""
    call, levels = refusal.call(), dict(refusal.cause)
    names = [n for n in ("targets", "weight", "pos_weight") if f"{n} format" in levels]
    return any(is_clear(refusal.failure, name, type_of(call, name)) for name in names)


@pytest.mark.requirement("ANY-9")
def test_shape_format_and_device(subject: Subject) -> None:
    """Require each result to be there as it should be, whatever its values."""

    def faults(surveyed: Surveyed) -> Iterator[str]:
        yield from (str(f) for f in surveyed.judgement.results.values() if isinstance(f, Fault))
        yield from (str(f) for f in surveyed.judgement.faults if f.kind == "wrong device")

    subject.require_drawn(faults)


@pytest.mark.requirement("ANY-10")
def test_inputs_are_left(subject: Subject) -> None:
    """Require that no call changed its inputs."""

    def faults(surveyed: Surveyed) -> Iterator[str]:
        yield from (str(f) for f in surveyed.judgement.faults if f.kind == "inputs changed")

    subject.require_drawn(faults)


@pytest.mark.requirement("ANY-11")
def test_together_and_alone(subject: Subject) -> None:
    """Compare one of the quantities of each call with what it is when it is asked for alone."""
    for surveyed in subject.survey().calls:
        if surveyed.alone is None:
            continue
        quantity, found = surveyed.alone
        if isinstance(found, Fault):
            subject.kept.tried += max(1, surveyed.size)
            where = in_words(mechanism(surveyed.levels))
            subject.kept.condition(False, f"{quantity} alone: {found} in a call with {where}")
        else:
            subject.kept.tried += found.size
            subject.take_drawn(surveyed, quantity, found)


@pytest.mark.requirement("ANY-12")
def test_any_call_twice(subject: Subject) -> None:
    """Compare bits of the calls that were made twice."""
    subject.require_drawn(lambda surveyed: iter(filter(None, [surveyed.repeated])))

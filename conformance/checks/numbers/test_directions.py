"""GRAD: forward mode and second order, along a direction in the logits."""

from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends.calls import GRADIENTS, Array, Failure
from bce_conformance.conformance.checks.numbers.test_gradients import (
    unweighted,
    weighted_extreme,
    weighted_with_cotangents,
)
from bce_conformance.conformance.checks.numbers.test_training import step, weighted_step
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import Builder, Sampler, drawn
from bce_conformance.conformance.running.subject import Subject


def along(s: Sampler, inputs: Inputs) -> Inputs:
    """Inputs with a direction of both signs; of twenty logits one is tiny, and one a zero."""
    shape, size = inputs.logits.shape, inputs.logits.size
    kind = s.random.integers(0, 20, shape)
    zeros, tiny = (row[:size].reshape(shape) for row in (s.signed(s.constant(0)), s.tiny()))
    logits = np.where(kind == 0, zeros, np.where(kind == 1, tiny, inputs.logits))
    return replace(inputs, logits=logits, tangent=few_digits(s)[:size].reshape(shape))


def few_digits(s: Sampler) -> Array:
    """Factors of both signs with 24 bits at most: the truth takes products that float64 holds."""
    return s.cast(s.cotangent().astype(np.float32))


@drawn("test_directions.anywhere")
def anywhere(s: Sampler) -> Inputs:
    """Every kind of logit and target without weights."""
    return along(s, unweighted(s))


@drawn("test_directions.weighted_anywhere")
def weighted_anywhere(s: Sampler) -> Inputs:
    """Every kind of logit and target with both weights."""
    return along(s, weighted_extreme(s))


@drawn("test_directions.with_cotangents")
def with_cotangents(s: Sampler) -> Inputs:
    """A cotangent of its own for each element, both weights."""
    return along(s, replace(weighted_with_cotangents(s), cotangent=few_digits(s)))


@drawn("test_directions.along_step")
def along_step(s: Sampler) -> Inputs:
    """A matrix without weights."""
    return along(s, step(s))


@drawn("test_directions.along_weighted_step")
def along_weighted_step(s: Sampler) -> Inputs:
    """A matrix with both weights."""
    return along(s, weighted_step(s))


@pytest.mark.requirement("GRAD-29")
def test_second_order_at_every_logit(subject: Subject) -> None:
    """Judge the Hessian-vector product."""
    subject.judge(subject.pool(anywhere), "hvp_logits")
    subject.judge(subject.pool(weighted_anywhere), "hvp_logits")


@pytest.mark.requirement("GRAD-30")
def test_forward_mode_at_every_logit(subject: Subject) -> None:
    """Judge the Jacobian-vector product."""
    subject.judge(subject.pool(anywhere), "jvp_logits")
    subject.judge(subject.pool(weighted_anywhere), "jvp_logits")


@pytest.mark.requirement("GRAD-31")
def test_second_order_of_sums_and_means(subject: Subject) -> None:
    """Judge the Hessian-vector product, under a cotangent of 384 where there are weights."""
    subject.judge(subject.pool(with_cotangents), "hvp_logits")
    scale = subject.array(384.0)
    for reduction in ("sum", "mean"):
        (plain,) = subject.draws(along_step, only=1)
        subject.judge(replace(plain, reduction=reduction), "hvp_logits")
        (weighted,) = subject.draws(along_weighted_step, only=1)
        subject.judge(replace(weighted, reduction=reduction, cotangent=scale), "hvp_logits")


@pytest.mark.requirement("GRAD-32")
def test_forward_mode_of_sums_and_means(subject: Subject) -> None:
    """Judge the Jacobian-vector product."""
    for builder in (along_step, along_weighted_step):
        for inputs in subject.draws(builder, only=6):
            subject.judge(replace(inputs, reduction="sum"), "jvp_logits")
            subject.judge(replace(inputs, reduction="mean"), "jvp_logits")


# By the way in which automatic differentiation is used: what is not measured without it.
LACKING = {"forward": "no dual numbers", "twice": "no backward pass is differentiated"}


def differentiated(subject: Subject, way: str, *builders: Builder) -> list[Inputs]:
    """Inputs of pools, differentiated in another way; none, and told, where the backend has none.

    Args:
        subject: what is judged.
        way: one of ``LACKING``.
        builders: of the pools.
    """
    one = subject.array([1.0])
    probe = Inputs("one", subject.format, one, one, autograd=way)
    outcome = subject.try_evaluate(probe.call("loss", device=subject.device))
    if isinstance(outcome, Failure) and outcome.kind == "unsupported":
        subject.not_measured(f"{LACKING[way]}: {outcome}")
        return []
    return [replace(subject.pool(builder), autograd=way) for builder in builders]


@pytest.mark.requirement("GRAD-33")
def test_dual_numbers(subject: Subject) -> None:
    """Judge the derivative in each operand, and along a tangent."""
    for inputs in differentiated(subject, "forward", with_cotangents):
        operands = {
            name: getattr(inputs, name)[None] for name in ("logits", "targets", "cotangent")
        }
        row = replace(inputs, name="a row", source=None, tangent=None, **operands)
        for quantity in GRADIENTS:
            subject.judge(inputs, quantity)
            subject.judge(row, quantity)
        subject.judge(inputs, "jvp_logits")


@pytest.mark.requirement("GRAD-34")
def test_second_order_by_dual_numbers(subject: Subject) -> None:
    """Judge the Hessian-vector product."""
    for inputs in differentiated(subject, "forward", anywhere, weighted_anywhere, with_cotangents):
        subject.judge(inputs, "hvp_logits")


@pytest.mark.requirement("GRAD-35")
def test_second_order_in_the_weights(subject: Subject) -> None:
    """Judge the derivative of the gradient in the logits in weight and in pos_weight."""
    for inputs in differentiated(subject, "twice", weighted_anywhere):
        subject.judge(inputs, "grad_weight")
        subject.judge(inputs, "grad_pos_weight")


@pytest.mark.requirement("GRAD-36")
def test_second_order_in_targets_and_cotangent(subject: Subject) -> None:
    """Judge the derivative of the gradient in the logits in the targets and in the cotangent."""
    for inputs in differentiated(subject, "twice", anywhere, weighted_anywhere):
        subject.judge(inputs, "grad_targets")
        subject.judge(inputs, "jvp_logits")

"""GRAD: derivatives against the truth."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bce_conformance.backends.calls import GRADIENTS, Failure
from bce_conformance.conformance.checks.numbers.test_values import (
    any_weights,
    every_logit,
    moderate,
    nearly_hard_targets,
    negative_tail,
    negative_weights,
    positive_tail,
    soft_targets,
)
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import Sampler, drawn
from bce_conformance.conformance.running.subject import Subject

MANY = 100_000  # elements: as a float16 this is infinite


@drawn("test_gradients.balanced_targets")
def balanced_targets(s: Sampler) -> Inputs:
    """Targets at and next to σ(x)."""
    logits = s.signed(s.cast(s.uniform(0, 8)))
    return s.inputs("σ(x) ≈ y", logits, s.balanced(logits))


@drawn("test_gradients.at_zero")
def at_zero(s: Sampler) -> Inputs:
    """Both zeros with every combination of target, weight and pos_weight."""
    u = s.format.unit_roundoff
    targets = [0.0, 1.0, 0.5, 0.25, 0.75, 0.1, 0.9, 2 * u, 1 - u]
    factors = [0.25, 1.0, 3.0]
    grid = np.meshgrid([0.0, -0.0], targets, factors, factors, indexing="ij")
    logits, y, weight, pos_weight = (s.cast(axis.ravel()) for axis in grid)
    return s.inputs("x = ±0", logits, y, weight=weight, pos_weight=pos_weight)


@drawn("test_gradients.at_zero_unweighted")
def at_zero_unweighted(s: Sampler) -> Inputs:
    """Both zeros with every kind of target and no weights."""
    zeros = s.cast(np.where(np.arange(s.size) % 2, 0.0, -0.0))
    return s.inputs("x = ±0, no weights", zeros, s.any_target())


@drawn("test_gradients.extreme")
def extreme(s: Sampler) -> Inputs:
    """Logits of every magnitude with hard targets."""
    return s.inputs("every magnitude", s.signed(s.every_magnitude()), s.hard())


@drawn("test_gradients.weighted_moderate")
def weighted_moderate(s: Sampler) -> Inputs:
    """Moderate logits, every kind of target, both weights."""
    logits = s.signed(s.cast(s.log_uniform(2**-6, 2**4)))
    weight, pos_weight = s.positive(0.25, 4.0), s.positive(0.25, 4.0)
    return s.inputs("both weights", logits, s.any_target(), weight=weight, pos_weight=pos_weight)


@drawn("test_gradients.unweighted")
def unweighted(s: Sampler) -> Inputs:
    """Every kind of logit and target without weights."""
    return s.inputs("no weights", s.signed(s.every_magnitude()), s.any_target())


@drawn("test_gradients.weighted_extreme")
def weighted_extreme(s: Sampler) -> Inputs:
    """Logits of every magnitude, every kind of target, both weights."""
    logits, targets = s.signed(s.every_magnitude()), s.any_target()
    weight, pos_weight = s.positive(0.25, 4.0), s.positive(0.25, 4.0)
    return s.inputs("every magnitude", logits, targets, weight=weight, pos_weight=pos_weight)


@drawn("test_gradients.with_cotangents")
def with_cotangents(s: Sampler) -> Inputs:
    """A cotangent of its own for each element, hard targets."""
    return replace(moderate(s), name="own cotangents", cotangent=s.cotangent())


@drawn("test_gradients.weighted_with_cotangents")
def weighted_with_cotangents(s: Sampler) -> Inputs:
    """A cotangent of its own for each element, every kind of target, both weights."""
    return replace(weighted_moderate(s), name="own cotangents", cotangent=s.cotangent())


@drawn("test_gradients.summed")
def summed(s: Sampler) -> Inputs:
    """Both weights under a sum with a cotangent of −2.5."""
    cotangent = s.cast(np.array(-2.5))
    return replace(weighted_moderate(s), reduction="sum", cotangent=cotangent)


@drawn("test_gradients.averaged")
def averaged(s: Sampler) -> Inputs:
    """Both weights under a mean with a cotangent of 384, so that 16-bit gradients stay normal."""
    cotangent = s.cast(np.array(384.0))
    return replace(weighted_moderate(s), reduction="mean", cotangent=cotangent)


@drawn("test_gradients.averaged_over_many")
def averaged_over_many(s: Sampler) -> Inputs:
    """As ``averaged``, over more elements than the largest float16."""
    few = averaged(s)
    many: dict[str, Any] = {
        name: np.resize(getattr(few, name), MANY)
        for name in ("logits", "targets", "weight", "pos_weight")
    }
    return replace(few, name=f"both weights, {MANY:,} elements", **many)


@drawn("test_gradients.any_cotangents")
def any_cotangents(s: Sampler) -> Inputs:
    """Cotangents of every magnitude and both signs, every kind of target, both weights."""
    return replace(weighted_moderate(s), name="any cotangents", cotangent=s.signed(s.every_size()))


@drawn("test_gradients.along_tangent")
def along_tangent(s: Sampler) -> Inputs:
    """Moderate logits, every kind of target, a direction of both signs."""
    logits = s.signed(s.cast(s.log_uniform(2**-6, 2**4)))
    return s.inputs(
        "along a tangent",
        logits,
        s.any_target(),
        weight=s.positive(0.25, 4.0),
        pos_weight=s.positive(0.25, 4.0),
        tangent=s.cotangent(),
    )


@pytest.mark.requirement("GRAD-1")
def test_moderate_logits_hard_targets(subject: Subject) -> None:
    """Judge the gradient in the logits."""
    subject.judge(subject.pool(moderate), "grad_logits")


@pytest.mark.requirement("GRAD-2")
def test_negative_tail(subject: Subject) -> None:
    """Judge the gradient in the logits."""
    subject.judge(subject.pool(negative_tail), "grad_logits")


@pytest.mark.requirement("GRAD-3")
def test_positive_tail(subject: Subject) -> None:
    """Judge the gradient in the logits."""
    subject.judge(subject.pool(positive_tail), "grad_logits")


@pytest.mark.requirement("GRAD-4")
def test_soft_targets(subject: Subject) -> None:
    """Judge the gradient in the logits."""
    for builder in (soft_targets, nearly_hard_targets, balanced_targets):
        subject.judge(subject.pool(builder), "grad_logits")


@pytest.mark.requirement("GRAD-5")
def test_at_zero(subject: Subject) -> None:
    """Judge the gradient in the logits."""
    subject.judge(subject.pool(at_zero), "grad_logits")
    subject.judge(subject.pool(at_zero_unweighted), "grad_logits")


@pytest.mark.requirement("GRAD-6")
def test_extreme_logits(subject: Subject) -> None:
    """Judge the gradient in the logits."""
    subject.judge(subject.pool(extreme), "grad_logits")


@pytest.mark.requirement("GRAD-7")
def test_gradient_in_the_targets(subject: Subject) -> None:
    """Judge with and without weights."""
    subject.judge(subject.pool(unweighted), "grad_targets")
    subject.judge(subject.pool(weighted_moderate), "grad_targets")


@pytest.mark.requirement("GRAD-8")
def test_gradient_in_weight(subject: Subject) -> None:
    """Judge the gradient in weight."""
    subject.judge(subject.pool(weighted_moderate), "grad_weight")


@pytest.mark.requirement("GRAD-9")
def test_gradient_in_pos_weight(subject: Subject) -> None:
    """Judge the gradient in pos_weight."""
    subject.judge(subject.pool(weighted_moderate), "grad_pos_weight")


@pytest.mark.requirement("GRAD-10")
def test_all_gradients_at_extreme_logits(subject: Subject) -> None:
    """Judge the gradients in targets, weight and pos_weight."""
    inputs = subject.pool(weighted_extreme)
    subject.judge(inputs, "grad_targets", "grad_weight", "grad_pos_weight")


@pytest.mark.requirement("GRAD-11")
def test_cotangent_of_every_element(subject: Subject) -> None:
    """Judge the gradient in the logits."""
    subject.judge(subject.pool(with_cotangents), "grad_logits")


@pytest.mark.requirement("GRAD-17")
def test_cotangent_of_the_other_gradients(subject: Subject) -> None:
    """Judge the gradients in targets, weight and pos_weight."""
    inputs = subject.pool(weighted_with_cotangents)
    subject.judge(inputs, "grad_targets", "grad_weight", "grad_pos_weight")


@pytest.mark.requirement("GRAD-18")
def test_finite_wherever_the_loss_is(subject: Subject) -> None:
    """Judge the gradient in the logits."""
    subject.judge(subject.pool(weighted_extreme), "grad_logits")


@pytest.mark.requirement("GRAD-12")
def test_gradient_of_a_sum(subject: Subject) -> None:
    """Judge all gradients."""
    subject.judge(subject.pool(summed), *GRADIENTS)


@pytest.mark.requirement("GRAD-13")
def test_gradient_of_a_mean(subject: Subject) -> None:
    """Judge all gradients; where the format counts less far, also over many elements."""
    subject.judge(subject.pool(averaged), *GRADIENTS)
    if subject.format.largest_finite < MANY:
        (many,) = subject.draws(averaged_over_many, only=1)
        subject.judge(many, *GRADIENTS)


@pytest.mark.requirement("GRAD-14")
def test_second_order(subject: Subject) -> None:
    """Judge the Hessian-vector product."""
    subject.judge(subject.pool(along_tangent), "hvp_logits")


@pytest.mark.requirement("GRAD-15")
def test_forward_mode(subject: Subject) -> None:
    """Judge the Jacobian-vector product."""
    subject.judge(subject.pool(along_tangent), "jvp_logits")


@pytest.mark.requirement("GRAD-16")
def test_no_gradient_is_silently_absent(subject: Subject) -> None:
    """Ask for each gradient alone, under each reduction."""
    (inputs,) = subject.draws(weighted_moderate, only=1)
    for reduction in ("none", "mean", "sum"):
        for quantity in GRADIENTS:
            call = replace(inputs, reduction=reduction).call(quantity, device=subject.device)
            outcome = subject.try_evaluate(call)
            operand = inputs.operand(quantity)
            if not isinstance(outcome, Failure) and operand is not None:
                got = subject.value(outcome, quantity, operand.shape)
                subject.require(
                    got is not None and bool(np.any(got != 0)),
                    f"{quantity} under {reduction} is missing or all zero",
                )
            elif isinstance(outcome, Failure):
                subject.require(outcome.kind in ("raised", "unsupported"), f"{quantity}: {outcome}")


@pytest.mark.requirement("GRAD-22")
def test_weights_of_any_magnitude(subject: Subject) -> None:
    """Judge the gradients in logits and targets."""
    for builder in (any_weights, negative_weights):
        for quantity in ("grad_logits", "grad_targets"):
            subject.judge(subject.pool(builder), quantity)


@pytest.mark.requirement("GRAD-23")
def test_weights_of_any_magnitude_their_gradients(subject: Subject) -> None:
    """Judge the gradients in weight and pos_weight."""
    for builder in (any_weights, negative_weights):
        for quantity in ("grad_weight", "grad_pos_weight"):
            subject.judge(subject.pool(builder), quantity)


@pytest.mark.requirement("GRAD-24")
def test_cotangents_of_any_magnitude(subject: Subject) -> None:
    """Judge the gradients in logits and targets."""
    subject.judge(subject.pool(any_cotangents), "grad_logits", "grad_targets")


@pytest.mark.requirement("GRAD-25")
def test_cotangents_of_any_magnitude_gradients_in_the_weights(subject: Subject) -> None:
    """Judge the gradients in weight and pos_weight."""
    subject.judge(subject.pool(any_cotangents), "grad_weight", "grad_pos_weight")


@pytest.mark.requirement("GRAD-19")
def test_every_logit_of_a_16_bit_format(subject: Subject) -> None:
    """Judge the gradient of each bit pattern, or of a sample of them in a small tier."""
    subject.judge(subject.pool(every_logit if subject.tier.exhaustive else extreme), "grad_logits")

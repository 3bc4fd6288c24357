"""LAT: every combination of special values against the truth."""

import numpy as np
import pytest

from bce_conformance.conformance.inputs.sampler import Builder
from bce_conformance.conformance.judging.worst import in_words
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.conformance.space.lattice import (
    contains,
    infinite_factors,
    infinite_logits_with_cotangent,
    infinite_logits_with_tangent,
    lattices,
    nan_with_cotangent,
    nan_with_tangent,
)


def judge_lattices(subject: Subject, quantity: str) -> None:
    """Judge a quantity on its lattices with weights and without."""
    for builder in lattices(quantity, subject.tier.lattice):
        subject.judge(subject.pool(builder), quantity)


def require_nan(subject: Subject, builder: Builder, *quantities: str) -> None:
    """Require NaN of each quantity wherever an operand that it contains is NaN."""
    inputs = subject.pool(builder)
    call, rows = inputs.call(*quantities, device=subject.device), inputs.rows()
    for quantity, got in subject.values(call).items():
        broken = np.logical_or.reduce([np.isnan(rows[name]) for name in contains(quantity)])
        wrong = np.flatnonzero(broken & ~np.isnan(got))
        where = in_words(call, int(wrong[0])) if wrong.size else ""
        subject.require(
            not wrong.size,
            f"{quantity} is a number for {wrong.size} of {broken.sum()} NaN, such as{where}",
        )


@pytest.mark.requirement("LAT-1")
def test_loss(subject: Subject) -> None:
    """Judge the loss."""
    judge_lattices(subject, "loss")


@pytest.mark.requirement("LAT-2")
def test_gradient_in_the_logits(subject: Subject) -> None:
    """Judge the gradient in the logits."""
    judge_lattices(subject, "grad_logits")


@pytest.mark.requirement("LAT-3")
def test_gradient_in_the_targets(subject: Subject) -> None:
    """Judge the gradient in the targets."""
    judge_lattices(subject, "grad_targets")


@pytest.mark.requirement("LAT-4")
def test_gradient_in_weight(subject: Subject) -> None:
    """Judge the gradient in weight."""
    judge_lattices(subject, "grad_weight")


@pytest.mark.requirement("LAT-5")
def test_gradient_in_pos_weight(subject: Subject) -> None:
    """Judge the gradient in pos_weight."""
    judge_lattices(subject, "grad_pos_weight")


@pytest.mark.requirement("LAT-6")
def test_forward_mode(subject: Subject) -> None:
    """Judge the Jacobian-vector product."""
    judge_lattices(subject, "jvp_logits")


@pytest.mark.requirement("LAT-7")
def test_second_order(subject: Subject) -> None:
    """Judge the Hessian-vector product."""
    judge_lattices(subject, "hvp_logits")


@pytest.mark.requirement("LAT-8")
def test_nan(subject: Subject) -> None:
    """Look at the loss and the gradient in the logits."""
    require_nan(subject, nan_with_cotangent, "loss", "grad_logits")


@pytest.mark.requirement("LAT-9")
def test_nan_in_the_other_gradients(subject: Subject) -> None:
    """Look at the gradients in targets, weight and pos_weight."""
    require_nan(subject, nan_with_cotangent, "grad_targets", "grad_weight", "grad_pos_weight")


@pytest.mark.requirement("LAT-10")
def test_nan_in_forward_mode(subject: Subject) -> None:
    """Look at the Jacobian-vector product."""
    require_nan(subject, nan_with_tangent, "jvp_logits")


@pytest.mark.requirement("LAT-11")
def test_nan_in_second_order(subject: Subject) -> None:
    """Look at the Hessian-vector product."""
    require_nan(subject, nan_with_tangent, "hvp_logits")


@pytest.mark.requirement("LAT-12")
def test_infinite_logits(subject: Subject) -> None:
    """Judge the loss and the gradient in the logits."""
    subject.judge(subject.pool(infinite_logits_with_cotangent), "loss", "grad_logits")


@pytest.mark.requirement("LAT-13")
def test_other_gradients_at_infinite_logits(subject: Subject) -> None:
    """Judge the gradients in targets, weight and pos_weight."""
    inputs = subject.pool(infinite_logits_with_cotangent)
    subject.judge(inputs, "grad_targets", "grad_weight", "grad_pos_weight")


@pytest.mark.requirement("LAT-14")
def test_forward_mode_at_infinite_logits(subject: Subject) -> None:
    """Judge the Jacobian-vector product."""
    subject.judge(subject.pool(infinite_logits_with_tangent), "jvp_logits")


@pytest.mark.requirement("LAT-15")
def test_second_order_at_infinite_logits(subject: Subject) -> None:
    """Judge the Hessian-vector product."""
    subject.judge(subject.pool(infinite_logits_with_tangent), "hvp_logits")


@pytest.mark.requirement("LAT-16")
def test_infinite_factors(subject: Subject) -> None:
    """Judge the loss and the gradient in the logits."""
    subject.judge(subject.pool(infinite_factors), "loss", "grad_logits")


@pytest.mark.requirement("LAT-17")
def test_infinite_factors_of_the_other_gradients(subject: Subject) -> None:
    """Judge the gradients in targets, weight and pos_weight."""
    inputs = subject.pool(infinite_factors)
    subject.judge(inputs, "grad_targets", "grad_weight", "grad_pos_weight")

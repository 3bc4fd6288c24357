"""LAT: every combination of special values against the truth."""

import pytest

from bce_conformance.conformance.running.subject import Subject
from bce_conformance.conformance.space.lattice import lattices


def judge_lattices(subject: Subject, quantity: str) -> None:
    """Judge a quantity on its lattices with weights and without."""
    for builder in lattices(quantity, subject.tier.lattice):
        subject.judge(subject.pool(builder), quantity)


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

"""INF: derivatives at infinity, and beside infinite and NaN elements."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import Sampler, drawn
from bce_conformance.conformance.inputs.shapes import SOME
from bce_conformance.conformance.judging.worst import in_words
from bce_conformance.conformance.running.subject import Subject

INF, NAN = np.inf, np.nan
NAMES = ("logits", "targets", "weight", "pos_weight", "cotangent", "tangent")
# Operands beside a NaN: ordinary ones, zeros, such that the gradient in the logits vanishes, and
# of an element that is certain and right.
FINITE = ((1.0, 0.5, 2.0, 3.0, 2.0, 1.0), (0.0,) * len(NAMES), (0.0, 0.5, 1.0, 1.0, 2.0, 1.0))
CERTAIN = (INF, 1.0, 2.0, 3.0, 2.0, 1.0)


def at_infinity(subject: Subject) -> Inputs:
    """±∞ with hard and soft targets, and weights of which some are zero, over and over.

    Every product of the coefficients is exact.
    """
    grid = np.meshgrid([INF, -INF], [0.0, 0.5, 1.0], [0.0, 0.5], [0.0, 4.0], indexing="ij")
    x, y, w, p = (subject.array(np.resize(axis, SOME)) for axis in grid)
    tangent = subject.array(np.resize([2.0, -0.5, 1.0, -4.0, 1.0], SOME))
    return Inputs("x = ±∞", subject.format, x, y, w, p, tangent=tangent)


def require_limits(subject: Subject, inputs: Inputs, *quantities: str) -> None:
    """Require the exact values, zeros of either sign."""
    call = inputs.call(*quantities, device=subject.device)
    for quantity, got in subject.values(call).items():
        right = np.asarray(inputs.truth(quantity).nearest)
        wrong = np.flatnonzero(~((got == right) | (np.isnan(got) & np.isnan(right))))
        pairs = [f"{got[i]} instead of {right[i]}{in_words(call, i)}" for i in wrong[:1].tolist()]
        seen = f"{quantity} is {''.join(pairs)} ({wrong.size} of {got.size})"
        subject.require(not wrong.size, seen)


@pytest.mark.requirement("INF-14")
def test_zero_coefficients_at_infinity(subject: Subject) -> None:
    """Require the limits of the loss and of its gradient where a weight is zero."""
    inputs = replace(at_infinity(subject), tangent=None)  # the same kind of call as in INF-1
    chosen = np.flatnonzero((inputs.weight == 0) | (inputs.pos_weight == 0))
    again = np.resize(chosen, SOME)
    rows: dict[str, Any] = {name: row[again] for name, row in inputs.rows().items()}
    for quantity in ("loss", "grad_logits"):
        require_limits(subject, replace(inputs, **rows), quantity)


@pytest.mark.requirement("INF-15")
def test_gradient_in_the_targets_at_infinity(subject: Subject) -> None:
    """Require the limits, with weights and without."""
    inputs = at_infinity(subject)
    require_limits(subject, replace(inputs, weight=None, pos_weight=None), "grad_targets")
    require_limits(subject, inputs, "grad_targets")


@pytest.mark.requirement("INF-16")
def test_gradients_in_the_weights_at_infinity(subject: Subject) -> None:
    """Require the limits."""
    require_limits(subject, at_infinity(subject), "grad_weight", "grad_pos_weight")


@pytest.mark.requirement("INF-17")
def test_second_order_at_infinity(subject: Subject) -> None:
    """Require zero, with weights and without."""
    inputs = at_infinity(subject)
    require_limits(subject, replace(inputs, weight=None, pos_weight=None), "hvp_logits")
    require_limits(subject, inputs, "hvp_logits")


@pytest.mark.requirement("INF-18")
def test_forward_mode_at_infinity(subject: Subject) -> None:
    """Require the limits, with weights and without."""
    inputs = at_infinity(subject)
    require_limits(subject, replace(inputs, weight=None, pos_weight=None), "jvp_logits")
    require_limits(subject, inputs, "jvp_logits")


def one_broken(s: Sampler, logit: float) -> Inputs:
    """Ordinary elements with weights, and one logit that is broken, of a positive target."""
    x, y = s.signed(s.cast(s.uniform(0.5, 4)))[:SOME], s.any_target()[:SOME]
    weight, pos_weight = s.positive(0.25, 4.0)[:SOME], s.positive(0.25, 4.0)[:SOME]
    x[SOME // 3], y[SOME // 3] = logit, 1
    return s.inputs(f"one logit {logit}", x, y, weight=weight, pos_weight=pos_weight)


@drawn("test_infinity.one_infinite")
def one_infinite(s: Sampler) -> Inputs:
    """One element whose loss is infinite."""
    return one_broken(s, -INF)


@drawn("test_infinity.one_nan")
def one_nan(s: Sampler) -> Inputs:
    """One element whose loss is NaN."""
    return one_broken(s, NAN)


def judge_others(subject: Subject, *quantities: str) -> None:
    """Judge the elements whose logits are finite, beside each broken one, under each reduction."""
    for builder in (one_infinite, one_nan):
        for inputs in subject.draws(builder, only=2):
            broken = ~np.isfinite(inputs.logits)
            for reduction in ("none", "sum", "mean"):
                reduced = replace(inputs, reduction=reduction)
                found = subject.values(reduced.call(*quantities, device=subject.device))
                for quantity, got in found.items():
                    others = np.where(broken, reduced.truth(quantity).nearest, got)
                    subject.judge_values(reduced, quantity, others)


@pytest.mark.requirement("INF-19")
def test_broken_elements_leave_the_gradients_of_the_others_alone(subject: Subject) -> None:
    """Judge the gradients in logits and targets."""
    judge_others(subject, "grad_logits", "grad_targets")


@pytest.mark.requirement("INF-20")
def test_broken_elements_leave_the_weights_gradients_of_the_others_alone(subject: Subject) -> None:
    """Judge the gradients in weight and pos_weight."""
    judge_others(subject, "grad_weight", "grad_pos_weight")


def nan_anywhere(subject: Subject, *kinds: tuple[float, ...]) -> Inputs:
    """NaN in one operand at a time, and in none, beside the values of each kind."""
    rows = [
        [NAN if name == broken else value for name, value in zip(NAMES, kind, strict=True)]
        for kind in kinds
        for broken in (*NAMES, "none")
    ]
    columns = (subject.array(np.resize(column, SOME)) for column in zip(*rows, strict=True))
    operands: dict[str, Any] = dict(zip(NAMES, columns, strict=True))
    return Inputs("NaN in one operand", subject.format, **operands)


def require_contagion(subject: Subject, quantity: str, *without: str) -> None:
    """Require NaN where an operand is NaN, and where the others are finite nowhere else.

    ``without`` are operands that the quantity does not have.
    """
    absent: dict[str, Any] = dict.fromkeys(without)
    inputs = replace(nan_anywhere(subject, *FINITE, CERTAIN), **absent)
    broken = np.any([np.isnan(row) for row in inputs.rows().values()], axis=0)
    call = inputs.call(quantity, device=subject.device)
    for got in subject.values(call).values():
        wrong = np.flatnonzero((np.isnan(got) != broken) & (broken | np.isfinite(inputs.logits)))
        seen = f"{got[wrong[0]]}{in_words(call, wrong[0])}" if wrong.size else "NaN"
        subject.require(not wrong.size, f"{quantity} is {seen}")


@pytest.mark.requirement("INF-21")
def test_nan_in_the_gradient_in_the_targets(subject: Subject) -> None:
    """Judge it with NaN in one operand at a time."""
    subject.judge(nan_anywhere(subject, *FINITE), "grad_targets")


@pytest.mark.requirement("INF-22")
def test_nan_in_the_gradients_in_the_weights(subject: Subject) -> None:
    """Judge them with NaN in one operand at a time."""
    subject.judge(nan_anywhere(subject, *FINITE), "grad_weight", "grad_pos_weight")


@pytest.mark.requirement("INF-23")
def test_nan_in_second_order(subject: Subject) -> None:
    """Look at the Hessian-vector product."""
    require_contagion(subject, "hvp_logits")


@pytest.mark.requirement("INF-24")
def test_nan_in_forward_mode(subject: Subject) -> None:
    """Look at the Jacobian-vector product."""
    require_contagion(subject, "jvp_logits", "cotangent")

"""INF: infinities, NaN, signed zeros and overflow."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import Sampler, drawn
from bce_conformance.conformance.inputs.shapes import SOME
from bce_conformance.conformance.judging.agreement import same_bits
from bce_conformance.conformance.judging.judge import Booleans
from bce_conformance.conformance.running.subject import Subject

WEIGHTS = ((None, None), (2.0, None), (None, 3.0), (0.5, 0.25))
INF, NAN = np.inf, np.nan


def evaluated(
    subject: Subject, quantity: str, logits: ArrayLike, targets: ArrayLike, **more: float | None
) -> Array | None:
    """Evaluate a few elements over and over; None where the quantity is absent.

    So they stand in every place of a vector, and in the rest; and nothing is compiled twice.
    """
    x = subject.array(np.resize(logits, SOME))
    operands: dict[str, Any] = {
        name: None if value is None else subject.array(np.full(x.shape, value))
        for name, value in more.items()
    }
    call = LossCall(
        x,
        subject.array(np.resize(targets, SOME)),
        **operands,
        reduction="none",
        quantities=(quantity,),
        device=subject.device,
    )
    return subject.value(subject.evaluate(call), quantity, x.shape)


def special(
    subject: Subject, quantity: str, logits: ArrayLike, targets: ArrayLike, **more: float | None
) -> Array:
    """Evaluate likewise; the quantity in float64, NaN where it is absent."""
    got = evaluated(subject, quantity, logits, targets, **more)
    return np.full(SOME, NAN) if got is None else got.astype(np.float64)


def require_values(subject: Subject, got: Array, expected: ArrayLike, what: str) -> None:
    """Require these values over and over (NaN equal to NaN), each kind of difference once."""
    right = np.resize(np.asarray(expected, np.float64), got.shape)
    same = (got == right) | (np.isnan(got) & np.isnan(right))
    require_where(subject, same, got, right, what)


def require_where(subject: Subject, same: Booleans, got: Array, right: Array, what: str) -> None:
    """Require that two arrays are the same everywhere, and tell each kind of difference once."""
    wrong = np.flatnonzero(~same)
    kinds = dict.fromkeys(f"got {got.flat[i]}, right is {right.flat[i]}" for i in wrong)
    subject.require(not wrong.size, f"{what}: {'; '.join(kinds)} ({wrong.size} of {got.size})")


@pytest.mark.requirement("INF-1")
def test_perfect_certainty_costs_nothing(subject: Subject) -> None:
    """Require 0 with each combination of weights."""
    for weight, pos_weight in WEIGHTS:
        got = special(subject, "loss", [INF, -INF], [1, 0], weight=weight, pos_weight=pos_weight)
        require_values(subject, got, 0.0, f"L(∞,1), L(−∞,0) with w={weight}, p={pos_weight}")


@pytest.mark.requirement("INF-2")
def test_certain_and_wrong_costs_everything(subject: Subject) -> None:
    """Require +∞ with each combination of weights."""
    for weight, pos_weight in WEIGHTS:
        got = special(subject, "loss", [INF, -INF], [0, 1], weight=weight, pos_weight=pos_weight)
        require_values(subject, got, INF, f"L(∞,0), L(−∞,1) with w={weight}, p={pos_weight}")


@pytest.mark.requirement("INF-3")
def test_soft_targets_at_infinity(subject: Subject) -> None:
    """Require +∞ at both infinities."""
    targets = [
        0.25,
        0.25,
        0.5,
        0.5,
        1 - subject.format.unit_roundoff,
        1 - subject.format.unit_roundoff,
    ]
    for weight, pos_weight in WEIGHTS:
        got = special(
            subject, "loss", [INF, -INF] * 3, targets, weight=weight, pos_weight=pos_weight
        )
        require_values(subject, got, INF, f"L(±∞,y) with w={weight}, p={pos_weight}")


@pytest.mark.requirement("INF-4")
def test_gradients_at_infinity(subject: Subject) -> None:
    """Require the limits with each combination of weights."""
    for weight, pos_weight in WEIGHTS:
        w, p = weight or 1.0, pos_weight or 1.0
        got = special(
            subject,
            "grad_logits",
            [INF, -INF, INF, -INF],
            [1, 0, 0, 1],
            weight=weight,
            pos_weight=pos_weight,
        )
        limits = np.array([0.0, 0.0, w, -w * p])
        require_values(
            subject,
            got,
            limits,
            f"dL/dx at (∞,1), (−∞,0), (∞,0), (−∞,1), w={weight}, p={pos_weight}",
        )


@pytest.mark.requirement("INF-11")
def test_gradients_at_infinity_soft_targets(subject: Subject) -> None:
    """Require the limits with each combination of weights."""
    targets = np.array([0.25, 0.25, 0.5, 0.5])
    for weight, pos_weight in WEIGHTS:
        w, p = weight or 1.0, pos_weight or 1.0
        got = special(
            subject,
            "grad_logits",
            [INF, -INF] * 2,
            targets,
            weight=weight,
            pos_weight=pos_weight,
        )
        limits = np.where([True, False] * 2, w * (1 - targets), -w * p * targets)
        require_values(subject, got, limits, f"dL/dx at (±∞, y), w={weight}, p={pos_weight}")


@pytest.mark.requirement("INF-5")
def test_nan_reaches_the_output(subject: Subject) -> None:
    """Look at the loss with NaN in each operand."""
    require_nan(subject, "loss")


@pytest.mark.requirement("INF-12")
def test_nan_reaches_the_gradient(subject: Subject) -> None:
    """Look at the gradient in the logits with NaN in each operand."""
    require_nan(subject, "grad_logits")


def require_nan(subject: Subject, quantity: str) -> None:
    """Put NaN into one operand at a time, beside values that could swallow it."""
    plain = {"logits": 1.0, "targets": 1.0, "weight": 2.0, "pos_weight": 3.0}
    swallowing = {"logits": 0.0, "targets": 0.0, "weight": 0.0, "pos_weight": 0.0}
    for operand in plain:
        for others in (plain, swallowing):
            values = {**others, operand: NAN}
            got = special(subject, quantity, **values)
            require_values(subject, got, NAN, f"{quantity} with {values}")


@pytest.mark.requirement("INF-13")
def test_nan_stays_in_its_element(subject: Subject) -> None:
    """Put NaN into one of many elements, under each reduction."""
    logits = np.linspace(-3.5, 3.5, SOME)
    logits[SOME // 3] = NAN
    for reduction in ("none", "sum", "mean"):
        call = LossCall(
            subject.array(logits),
            subject.array(np.arange(SOME) % 2),
            reduction=reduction,
            device=subject.device,
        )
        expected = np.isnan(logits) if reduction == "none" else np.array(True)
        got = subject.value(subject.evaluate(call), "loss", expected.shape)
        if got is not None:
            wrong = np.flatnonzero(np.isnan(got) != expected)
            subject.require(not wrong.size, f"{reduction} with one NaN: wrong at {wrong[:8]}")


@pytest.mark.requirement("INF-6")
def test_signed_zeros(subject: Subject) -> None:
    """Compare the bits at +0 and −0 for each kind of target and each combination of weights."""
    targets = [0.0, 1.0, 0.5, 0.25, 1 - subject.format.unit_roundoff]
    for weight, pos_weight in WEIGHTS:
        for quantity in ("loss", "grad_logits"):
            plus, minus = (
                evaluated(
                    subject,
                    quantity,
                    [zero] * len(targets),
                    targets,
                    weight=weight,
                    pos_weight=pos_weight,
                )
                for zero in (0.0, -0.0)
            )
            if plus is not None and minus is not None:
                what = f"{quantity} at −0 against +0, w={weight}, p={pos_weight}"
                require_where(subject, same_bits(minus, plus), minus, plus, what)


@drawn("test_special_values.zero_pos_weight")
def zero_pos_weight(s: Sampler) -> Inputs:
    """Every kind of logit and target with p = 0."""
    logits, targets = s.signed(s.every_magnitude()), s.any_target()
    return s.inputs("p = 0", logits, targets, pos_weight=s.constant(0))


@pytest.mark.requirement("INF-7")
def test_zero_pos_weight(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(zero_pos_weight))


@drawn("test_special_values.zero_weight")
def zero_weight(s: Sampler) -> Inputs:
    """Every kind of logit and target with w = 0."""
    logits, targets = s.signed(s.every_magnitude()), s.any_target()
    return s.inputs("w = 0", logits, targets, weight=s.constant(0))


@pytest.mark.requirement("INF-8")
def test_zero_weight(subject: Subject) -> None:
    """Require zeros of either sign."""
    inputs = subject.pool(zero_weight)
    result = subject.evaluate(inputs.call("loss", "grad_logits", device=subject.device))
    for quantity in ("loss", "grad_logits"):
        got = subject.value(result, quantity, inputs.logits.shape)
        if got is not None:
            wrong = np.flatnonzero(~(got == 0))
            where = wrong[:1]
            subject.require(
                not wrong.size,
                f"{quantity} is {got[where]} at x = {inputs.logits[where]}, "
                f"y = {inputs.targets[where]}, w = 0 ({wrong.size} of {got.size})",
            )


@pytest.mark.requirement("INF-9")
def test_infinite_elements_in_a_reduction(subject: Subject) -> None:
    """Reduce over infinite and over perfectly certain elements."""
    cases = (
        ([1.0, INF, -2.0], [1.0, 0.0, 0.0], INF),
        ([-INF, 0.5, 3.0], [1.0, 0.5, 1.0], INF),
        ([INF, -INF, INF], [1.0, 0.0, 1.0], 0.0),
    )
    for logits, targets, expected in cases:
        for reduction in ("sum", "mean"):
            call = LossCall(
                subject.array(np.resize(logits, SOME)),
                subject.array(np.resize(targets, SOME)),
                reduction=reduction,
                device=subject.device,
            )
            got = subject.value(subject.evaluate(call), "loss", ())
            if got is not None:
                require_values(
                    subject,
                    got.astype(np.float64),
                    expected,
                    f"{reduction} over {logits}, repeated",
                )


@drawn("test_special_values.largest_losses")
def largest_losses(s: Sampler) -> Inputs:
    """Losses on both sides of the largest finite number."""
    f = s.format
    logits = s.signed(s.cast(s.log_uniform(f.largest_finite / 2**6, f.largest_finite)))
    weight, pos_weight = s.positive(2.0**-4, 2.0**4), s.positive(2.0**-4, 2.0**4)
    return s.inputs("near overflow", logits, s.any_target(), weight=weight, pos_weight=pos_weight)


@pytest.mark.requirement("INF-10")
def test_overflow_only_where_it_is_due(subject: Subject) -> None:
    """Compare which losses are infinite with which correctly rounded values are."""
    inputs = subject.pool(largest_losses)
    result = subject.evaluate(inputs.call(device=subject.device))
    got = subject.value(result, "loss", inputs.logits.shape)
    if got is not None:
        due = np.isposinf(np.asarray(inputs.truth("loss").nearest).astype(np.float64))
        assert 0 < due.sum() < due.size, "the pool has no losses on both sides"
        wrong = np.flatnonzero(np.isposinf(got.astype(np.float64)) != due)
        where = wrong[:1]
        subject.require(
            not wrong.size,
            f"{wrong.size} of {got.size}: loss {got[where]}, overflow is "
            f"{'' if due[where].any() else 'not '}due at x = {inputs.logits[where]}, "
            f"y = {inputs.targets[where]}",
        )

"""GRAD: gradients as training asks for them: steps, loss scales, many elements."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bce_conformance.conformance.checks.numbers.test_gradients import weighted_moderate
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import Sampler, drawn, matrix_of
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.reference import Format


@drawn("test_training.step")
def step(s: Sampler) -> Inputs:
    """A matrix as in training: moderate logits, every kind of target, no weights."""
    weighted = weighted_step(s)
    return replace(weighted, name="a step", weight=None, pos_weight=None)


@drawn("test_training.weighted_step")
def weighted_step(s: Sampler) -> Inputs:
    """A matrix as in training: moderate logits, every kind of target, both weights."""
    logits = s.signed(s.cast(s.log_uniform(2**-6, 2**4)))
    return matrix_of(s, logits, s.any_target(), "a weighted step")


@drawn("test_training.many_elements")
def many_elements(s: Sampler) -> Inputs:
    """A hundred thousand elements and some, moderate logits, every kind of target, both weights."""
    return drawn_from(s, weighted_moderate(s), (100_003,))


@drawn("test_training.averaged_over_more")
def averaged_over_more(s: Sampler) -> Inputs:
    """More than 2¹⁸ elements under a mean, scaled so that 16-bit gradients are normal."""
    cotangent = s.cast(np.array(2.0**15))
    more = drawn_from(s, weighted_moderate(s), (300_007,))
    return replace(more, reduction="mean", cotangent=cotangent)


@drawn("test_training.many_rows")
def many_rows(s: Sampler) -> Inputs:
    """A weight and a pos_weight a class under a hundred thousand rows and some."""
    many = drawn_from(s, weighted_moderate(s), (100_003, 2))
    weight, pos_weight = s.positive(0.25, 4.0)[:2], s.positive(0.25, 4.0)[:2]
    return replace(many, weight=weight, pos_weight=pos_weight)


def drawn_from(s: Sampler, few: Inputs, shape: tuple[int, ...]) -> Inputs:
    """Elements of a pool in any order, as many as a shape has: none stands in a known place."""
    chosen = s.random.integers(0, s.size, shape)
    many: dict[str, Any] = {name: row[chosen] for name, row in few.rows().items()}
    return replace(few, name=f"{few.name}, {' × '.join(map(str, shape))}", **many)


def loss_scales(format_: Format) -> dict[str, float]:
    """Cotangents of a sum or mean, by name."""
    largest = 2.0**format_.emax
    return {
        "zero": 0.0,
        "subnormal": 3 * format_.smallest_subnormal,
        "negative": -1024.0,
        "usual": min(2.0**16, largest),
        "largest": largest,
    }


@pytest.mark.requirement("GRAD-20")
def test_loss_and_gradient_in_one_call(subject: Subject) -> None:
    """Judge both of each reduction, with and without weights."""
    for builder in (step, weighted_step):
        for inputs in subject.draws(builder, only=6):
            subject.judge(replace(inputs, reduction="sum"), "loss", "grad_logits")
            subject.judge(replace(inputs, reduction="mean"), "loss", "grad_logits")


@pytest.mark.requirement("GRAD-21")
def test_plain_sums_and_means(subject: Subject) -> None:
    """Judge the gradients, each asked for alone."""
    (inputs,) = subject.draws(step, only=1)
    for quantity in ("grad_logits", "grad_targets"):
        subject.judge(replace(inputs, reduction="sum"), quantity)
        subject.judge(replace(inputs, reduction="mean"), quantity)


@pytest.mark.requirement("GRAD-26")
def test_loss_scales(subject: Subject) -> None:
    """Judge the gradients in logits and targets for each scale."""
    (inputs,) = subject.draws(step, only=1)
    for name, scale in loss_scales(subject.format).items():
        for reduction in ("sum", "mean"):
            scaled = replace(inputs, reduction=reduction, cotangent=subject.array(scale))
            subject.judge(replace(scaled, name=f"{name} loss scale"), "grad_logits", "grad_targets")


@pytest.mark.requirement("GRAD-27")
def test_many_elements(subject: Subject) -> None:
    """Judge the gradients in logits and targets, of elements and of a mean."""
    for builder in (many_elements, averaged_over_more):
        (inputs,) = subject.draws(builder, only=1)
        subject.judge(inputs, "grad_logits", "grad_targets")


@pytest.mark.requirement("GRAD-28")
def test_many_elements_gradients_in_the_weights(subject: Subject) -> None:
    """Judge the gradients in weight and pos_weight."""
    for builder in (many_elements, many_rows):
        (inputs,) = subject.draws(builder, only=1)
        subject.judge(inputs, "grad_weight", "grad_pos_weight")

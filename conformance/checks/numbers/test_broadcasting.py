"""BRD: shapes of weight and pos_weight, of results and of gradients."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends.calls import REDUCTIONS, Failure, LossCall
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import Sampler, drawn
from bce_conformance.conformance.inputs.shapes import Shape, fitting, misfitting
from bce_conformance.conformance.judging.judge import judge
from bce_conformance.conformance.running.refusals import names_shape, require_error
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.results.cells import Level

N, C = 6, 4
MATRIX = (N, C)
SQUARE = (C, C)  # where [N, 1] and [C] could be mistaken for each other without an error
IMAGES = (2, 3, 4, 5)
# (shape of the logits, shape of the operand)
SHAPES = (
    (MATRIX, ()),
    (MATRIX, (C,)),
    (MATRIX, (1, C)),
    (MATRIX, (N, 1)),
    (MATRIX, (N, C)),
    (SQUARE, (C,)),
    (SQUARE, (C, 1)),
    (IMAGES, (3, 1, 1)),
)
# Shapes that do not broadcast to MATRIX without enlarging or reshaping it.
MISFITS = ((C + 1,), (N,), (N + 1, 1), (C, N), (2, C))
ENLARGING = ((2, N, C), (1, N, C), (3, 1, 1))
# (shape of the logits, shape of the operand), with empty and singleton dimensions.
SMALL = (((), ()), ((1, C), (1,)), ((N, 1), (1,)), ((0, 3), (3,)), ((0,), ()))
# (shape of the logits, of weight, of pos_weight): each rank and each way to broadcast.
RANKS = (
    ((), (), ()),
    ((N,), (), (N,)),
    ((N,), (1,), ()),
    ((N, 1), (N, 1), (1,)),
    ((N, 1), (), (1, 1)),
    ((1, C), (C,), (1, 1)),
    (MATRIX, (C,), (N, 1)),
    (MATRIX, (N, 1), (1, C)),
    (MATRIX, (1, C), ()),
    (MATRIX, (), (C,)),
    (SQUARE, (C,), (C, 1)),
    (SQUARE, (C, 1), (C,)),
    ((2, 3, 4), (4,), (3, 1)),
    ((2, 3, 4), (2, 1, 1), (3, 4)),
    (IMAGES, (3, 1, 1), (5,)),
    (IMAGES, (2, 1, 1, 1), (4, 1)),
    ((2, 3, 2, 3, 2), (3, 1, 1, 1), (2, 1, 1, 1, 2)),
    ((2, 3, 2, 3, 2), (2, 1, 1, 3, 1), ()),
)
# The same of empty logits.
EMPTY = (
    ((0,), (), (1,)),
    ((0, 3), (3,), (1, 3)),
    ((3, 0), (3, 1), ()),
    ((2, 0, 3), (3,), (2, 1, 1)),
)
# Drawn pairs of shapes: each that fits costs a compiled backend a compilation.
DRAWN, DRAWN_MISFITS = 3, 20


def operands(s: Sampler, shape: tuple[int, ...], operand: str, inner: tuple[int, ...]) -> Inputs:
    """Well-conditioned logits with one weight of a shape of its own."""
    size = int(np.prod(shape))
    logits = s.signed(s.cast(s.uniform(0.5, 4)))[:size].reshape(shape)
    targets = s.soft()[:size].reshape(shape)
    given = s.positive(0.25, 4.0)[: int(np.prod(inner))].reshape(inner)
    name = f"{operand} {list(inner)} on {list(shape)}"
    return s.inputs(name, logits, targets, **{operand: given})


def each_shape(subject: Subject, operand: str, only: int = 6) -> Iterator[Inputs]:
    """So many inputs for each pair of shapes.

    They have few elements: which level they meet is chance, so that all seeds have the same.
    """
    for shape, inner in SHAPES:

        @drawn(f"test_broadcasting.operands {operand} {inner} on {shape}")
        def builder(
            s: Sampler, shape: tuple[int, ...] = shape, inner: tuple[int, ...] = inner
        ) -> Inputs:
            return operands(s, shape, operand, inner)

        yield from subject.draws(builder, only)


@pytest.mark.requirement("BRD-1")
def test_shapes_of_weight(subject: Subject) -> None:
    """Judge the loss for each shape."""
    for inputs in each_shape(subject, "weight"):
        subject.judge(inputs)


@pytest.mark.requirement("BRD-2")
def test_shapes_of_pos_weight(subject: Subject) -> None:
    """Judge the loss for each shape."""
    for inputs in each_shape(subject, "pos_weight"):
        subject.judge(inputs)


@pytest.mark.requirement("BRD-3")
def test_small_shapes(subject: Subject) -> None:
    """Require the shape of the logits, and log 2 at zero."""
    for shape in ((), (0,), (0, 3), (1,), (1, 1)):
        zeros = subject.array(np.zeros(shape))
        call = LossCall(zeros, zeros, reduction="none", device=subject.device)
        outcome = subject.try_evaluate(call)
        if isinstance(outcome, Failure):
            subject.require(False, f"shape {list(shape)}: {outcome}")
            continue
        got = subject.value(outcome, "loss", shape)
        if got is not None:
            close = np.abs(got.astype(np.float64) - np.log(2)) <= 4 * subject.format.unit_roundoff
            subject.require(bool(close.all()), f"shape {list(shape)}: loss {got}, right is log 2")


@pytest.mark.requirement("BRD-4")
def test_shapes_of_gradients(subject: Subject) -> None:
    """Require the operand's shape for each pair of shapes."""
    for operand in ("weight", "pos_weight"):
        for inputs in each_shape(subject, operand, only=1):
            quantity = f"grad_{operand}"
            result = subject.evaluate(inputs.call(quantity, device=subject.device))
            given = inputs.operand(quantity)
            assert given is not None
            subject.value(result, quantity, given.shape)


@pytest.mark.requirement("BRD-10")
def test_weights_on_small_shapes(subject: Subject) -> None:
    """Require the shape of the logits, log 2 at zero, and a gradient of the operand's shape."""
    for shape, inner in SMALL:
        zeros, ones = subject.array(np.zeros(shape)), subject.array(np.ones(inner))
        call = LossCall(zeros, zeros, ones, reduction="none", device=subject.device)
        what = f"weight {list(inner)} on {list(shape)}"
        both = replace(call, quantities=("loss", "grad_weight"))
        outcome = subject.try_evaluate(both)
        if isinstance(outcome, Failure):  # a gradient that there is not: see GRAD-8
            outcome = subject.try_evaluate(call)
        if isinstance(outcome, Failure):
            subject.require(False, f"{what}: {outcome}")
            continue
        count = int(np.prod(shape)) // max(1, int(np.prod(inner)))
        for quantity, expected, size in (("loss", shape, 1), ("grad_weight", inner, count)):
            if quantity == "loss" or quantity in outcome.values:
                got = subject.value(outcome, quantity, expected)
                if got is not None:
                    off = np.abs(got.astype(np.float64) - size * np.log(2))
                    right = bool((off <= 4 * size * subject.format.unit_roundoff).all())
                    subject.require(right, f"{what}: {quantity} {got}, right is {size}·log 2")


@pytest.mark.requirement("BRD-11")
def test_whatever_broadcasts(subject: Subject) -> None:
    """Require the loss to level A for pairs of shapes that the seed draws."""
    for number, (shape, inner) in enumerate(fitting(DRAWN, subject.seed)):
        operand = ("weight", "pos_weight")[number % 2]

        @drawn(f"test_broadcasting.operands drawn {operand} {inner} on {shape}")
        def builder(
            s: Sampler, shape: Shape = shape, operand: str = operand, inner: Shape = inner
        ) -> Inputs:
            return operands(s, shape, operand, inner)

        (inputs,) = subject.draws(builder, only=1)
        got = subject.value(subject.evaluate(inputs.call(device=subject.device)), "loss", shape)
        if got is not None:
            found = judge(got, inputs.truth("loss"), subject.format, inputs.bounds("loss"))
            off = float(found.ulp[found.worst()])
            subject.require(found.level >= Level.A, f"{inputs.name}: a loss is {off:.3g} ULP off")


@pytest.mark.requirement("BRD-12")
def test_whatever_does_not_broadcast(subject: Subject) -> None:
    """Require an error for pairs of shapes that the seed draws."""
    for number, (shape, inner) in enumerate(misfitting(DRAWN_MISFITS, subject.seed)):
        operand = ("weight", "pos_weight")[number % 2]
        call = misfit(subject, operand, inner, shape)
        require_error(subject, call, f"{operand} {list(inner)} on {list(shape)}")


def many_rows(s: Sampler, operand: str) -> Inputs:
    """A weight per class under many rows."""
    rows = s.size // C
    logits = s.signed(s.cast(s.uniform(0.5, 4)))[: rows * C].reshape(rows, C)
    targets = s.soft()[: rows * C].reshape(rows, C)
    given = s.positive(0.25, 4.0)[:C]
    return s.inputs(f"{operand} [C], {rows} rows", logits, targets, **{operand: given})


@drawn("test_broadcasting.weight_of_many_rows")
def weight_of_many_rows(s: Sampler) -> Inputs:
    """A weight per class under many rows."""
    return many_rows(s, "weight")


@drawn("test_broadcasting.pos_weight_of_many_rows")
def pos_weight_of_many_rows(s: Sampler) -> Inputs:
    """A pos_weight per class under many rows."""
    return many_rows(s, "pos_weight")


@pytest.mark.requirement("BRD-5")
def test_gradients_accumulate_over_broadcast_dimensions(subject: Subject) -> None:
    """Judge the gradient of a broadcast operand for each shape, and over many rows."""
    for inputs in (*each_shape(subject, "weight"), *subject.draws(weight_of_many_rows)):
        subject.judge(inputs, "grad_weight")
    for inputs in (*each_shape(subject, "pos_weight"), *subject.draws(pos_weight_of_many_rows)):
        subject.judge(inputs, "grad_pos_weight")


def misfit(subject: Subject, operand: str, inner: Shape, shape: Shape = MATRIX) -> LossCall:
    """A call whose operand does not fit."""
    ones = subject.array(np.ones(shape))
    wrong = subject.array(np.ones(inner))
    return LossCall(
        ones,
        ones,
        reduction="none",
        device=subject.device,
        **{operand: wrong},  # type: ignore[arg-type]
    )


@pytest.mark.requirement("BRD-6")
def test_what_cannot_broadcast_raises(subject: Subject) -> None:
    """Require an error for each misfit."""
    for operand in ("weight", "pos_weight"):
        for inner in MISFITS:
            call = misfit(subject, operand, inner)
            require_error(subject, call, f"{operand} {list(inner)} on {list(MATRIX)}")


@pytest.mark.requirement("BRD-7")
def test_the_error_names_both_shapes(subject: Subject) -> None:
    """Look for both shapes' numbers in the text of each error."""
    for operand in ("weight", "pos_weight"):
        for inner in MISFITS:
            what = f"{operand} {list(inner)} on {list(MATRIX)}"
            failure = require_error(subject, misfit(subject, operand, inner), what)
            if failure is not None:
                for shape in (inner, MATRIX):
                    subject.require(
                        names_shape(failure, shape),
                        f"{what}: {failure.detail!r} does not name {list(shape)}",
                    )


@pytest.mark.requirement("BRD-8")
def test_logits_and_targets_have_one_shape(subject: Subject) -> None:
    """Require an error for each pair, under each reduction."""
    for logits, targets in (
        ((N, 1), (N,)),
        ((N, C), (C,)),
        ((N, C), (N, 1)),
        ((), (1,)),
        ((1,), (N,)),
    ):
        for reduction in ("none", "mean"):
            call = LossCall(
                subject.array(np.ones(logits)),
                subject.array(np.ones(targets)),
                reduction=reduction,
                device=subject.device,
            )
            what = f"logits {list(logits)}, targets {list(targets)}, {reduction}"
            require_error(subject, call, what)


@pytest.mark.requirement("BRD-9")
def test_weights_never_enlarge_the_output(subject: Subject) -> None:
    """Require an error for each enlarging shape."""
    for operand in ("weight", "pos_weight"):
        for inner in ENLARGING:
            call = misfit(subject, operand, inner)
            require_error(subject, call, f"{operand} {list(inner)} on {list(MATRIX)}")


def each_rank(subject: Subject) -> Iterator[Inputs]:
    """A few inputs for each rank and each way in which both weights broadcast."""
    for shape, weight, pos_weight in RANKS:

        @drawn(f"test_broadcasting.each_rank {weight} and {pos_weight} on {shape}")
        def builder(
            s: Sampler, shape: Shape = shape, weight: Shape = weight, pos_weight: Shape = pos_weight
        ) -> Inputs:
            inputs = operands(s, shape, "weight", weight)
            second = operands(s, shape, "pos_weight", pos_weight).pos_weight
            name = f"weight {list(weight)}, pos_weight {list(pos_weight)} on {list(shape)}"
            return replace(inputs, name=name, pos_weight=second)

        yield from subject.draws(builder, only=4)


@pytest.mark.requirement("BRD-13")
def test_gradients_beside_broadcast_operands(subject: Subject) -> None:
    """Judge the gradients in logits and targets for each rank."""
    for inputs in each_rank(subject):
        subject.judge(inputs, "grad_logits", "grad_targets")


@pytest.mark.requirement("BRD-14")
def test_gradients_in_broadcast_operands(subject: Subject) -> None:
    """Judge the gradients in weight and pos_weight for each rank."""
    for inputs in each_rank(subject):
        subject.judge(inputs, "grad_weight", "grad_pos_weight")


def empty_calls(subject: Subject) -> Iterator[LossCall]:
    """Calls whose logits are empty, with both weights, under each reduction."""
    for shapes in EMPTY:
        logits, weight, pos_weight = (subject.array(np.ones(shape)) for shape in shapes)
        for reduction in REDUCTIONS:
            yield LossCall(logits, logits, weight, pos_weight, reduction, device=subject.device)


@pytest.mark.requirement("BRD-15")
def test_gradients_of_empty_input(subject: Subject) -> None:
    """Require shape and format, with weights and without."""
    for call in empty_calls(subject):
        asked = replace(call, quantities=("grad_logits", "grad_targets"))
        subject.values(replace(asked, weight=None, pos_weight=None))
        subject.values(asked)


@pytest.mark.requirement("BRD-16")
def test_gradients_in_weights_of_empty_input(subject: Subject) -> None:
    """Require zeros of the operand's shape."""
    for call in empty_calls(subject):
        asked = replace(call, quantities=("grad_weight", "grad_pos_weight"))
        for quantity, got in subject.values(asked).items():
            what = f"{quantity} of {list(call.logits.shape)}, {call.reduction}"
            subject.require(not got.any(), f"{what} is {got.ravel()[:3]}")

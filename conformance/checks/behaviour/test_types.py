"""DTY: types of operands and of results."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bce_conformance.backends.calls import OPERANDS, Array, LossCall
from bce_conformance.conformance.checks.behaviour.test_interface import require_same
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import POOL_SIZE, Sampler, drawn
from bce_conformance.conformance.running.refusals import require_error, unless_refused
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.reference import format_of

# Formats that operands have beside logits of another one: wider ones where there are any.
OTHERS = {
    "float16": ("float32",),
    "bfloat16": ("float32",),
    "float32": ("float64", "float16"),
    "float64": ("float32",),
}
JUDGED = ("loss", "grad_logits")
# Whole pools here too: frameworks that compile then meet one shape.
ALTERNATING = np.arange(POOL_SIZE) % 2


def ordinary(subject: Subject, **operands: Array) -> LossCall:
    """Ordinary elements in the format, as many as a pool has, with other operands as given."""
    logits = subject.array(np.linspace(-3.5, 3.5, POOL_SIZE))
    call = LossCall(logits, subject.array(ALTERNATING), reduction="none", quantities=JUDGED)
    return replace(call, device=subject.device, **operands)  # type: ignore[arg-type]


@pytest.mark.requirement("DTY-1")
def test_format_of_results(subject: Subject) -> None:
    """Require the format of the logits, with each operand in each other format."""
    plain = subject.evaluate(ordinary(subject))
    for quantity in JUDGED:
        subject.value(plain, quantity, (POOL_SIZE,))
    for other in OTHERS[subject.format.name]:
        ones = np.ones(POOL_SIZE, format_of(other).dtype)
        for operand in ("targets", "weight", "pos_weight"):
            what = f"{operand} of {other}"
            result = unless_refused(subject, ordinary(subject, **{operand: ones}), what, operand)
            for quantity in JUDGED if result else ():
                got = result.values.get(quantity) if result else None
                subject.require(
                    got is not None and got.dtype == subject.format.dtype,
                    f"{what}: {quantity} is {'absent' if got is None else got.dtype}",
                )


def judge_mixed(subject: Subject, inputs: Inputs, operand: str) -> None:
    """Judge values, whatever format they come in: that is another requirement's matter."""
    for tried in subject.searched(inputs):
        call = tried.call(*JUDGED, device=subject.device)
        result = unless_refused(subject, call, tried.name, operand)
        for quantity in JUDGED if result else ():
            got = result.values.get(quantity) if result else None
            if subject.require(
                got is not None and got.shape == tried.logits.shape,
                f"{tried.name}: {quantity} is absent or has another shape",
            ):
                with np.errstate(over="ignore"):
                    values = np.asarray(got).astype(subject.format.dtype)
                subject.judge_values(tried, quantity, values)


def mixed_targets(s: Sampler, other: str) -> Inputs:
    """Targets of every kind with all digits of another format."""
    dtype, ulp = format_of(other).dtype, 2 * format_of(other).unit_roundoff
    epsilon = s.log_uniform(ulp, 0.1)
    kinds = np.stack([s.uniform(ulp, 1), epsilon, 1 - epsilon])
    targets = kinds[s.random.integers(0, 3, s.size), np.arange(s.size)].astype(dtype)
    logits = s.signed(s.cast(s.uniform(0, 16)))
    return s.inputs(f"targets of {other}", logits, targets)


@pytest.mark.requirement("DTY-2")
def test_targets_of_another_format(subject: Subject) -> None:
    """Judge loss and gradient against the targets as they are given."""
    for other in OTHERS[subject.format.name]:

        @drawn(f"test_types.mixed_targets {other}")
        def builder(s: Sampler, other: str = other) -> Inputs:
            return mixed_targets(s, other)

        judge_mixed(subject, subject.pool(builder), "targets")


def mixed_weights(s: Sampler, operand: str, other: str) -> Inputs:
    """Weights outside the range of the logits' format, with losses that bring them back.

    Half of the losses are huge under a tiny weight, half are tiny under a huge one. A format that
    is not wider than the logits' has weights within its own range.
    """
    f, g = s.format, format_of(other)
    huge = s.log_uniform(f.largest_finite**0.5, f.largest_finite / 4)
    tail = -np.log(f.smallest_normal) * s.uniform(0.5, 0.9)
    tiny = np.arange(s.size) % 2 == 1
    magnitude = s.cast(np.where(tiny, tail, huge)).astype(np.float64)
    wanted = np.where(tiny, s.log_uniform(2.0 ** (f.emax // 2), 2.0 ** (f.emax - 2)), 2.0**-5)
    with np.errstate(over="ignore"):  # float64 has no wider format: clipped
        weight = wanted * s.uniform(0.5, 1) / np.where(tiny, np.exp(-magnitude), magnitude)
    weight = np.clip(weight, g.smallest_normal, g.largest_finite / 2)
    return s.inputs(
        f"{operand} of {other}",
        s.cast(np.where(tiny, magnitude, -magnitude)),
        s.constant(1),
        **{operand: weight.astype(format_of(other).dtype)},
    )


@pytest.mark.requirement("DTY-3")
def test_weights_of_another_format(subject: Subject) -> None:
    """Judge loss and gradient against the weights as they are given."""
    for operand in ("weight", "pos_weight"):
        other = OTHERS[subject.format.name][0]

        @drawn(f"test_types.mixed_weights {operand} {other}")
        def builder(s: Sampler, operand: str = operand, other: str = other) -> Inputs:
            return mixed_weights(s, operand, other)

        judge_mixed(subject, subject.pool(builder), operand)


def require_same_bits(subject: Subject, type_name: str, **operands: Array) -> None:
    """Compare results for operands of a type with those for the same values in the format.

    Nothing is compared where the type is refused by a clear error.
    """
    in_format = {name: values.astype(subject.format.dtype) for name, values in operands.items()}
    call = ordinary(subject, **in_format)
    right = subject.evaluate(call)
    given = {name: values.astype(type_name) for name, values in operands.items()}
    what = f"{' and '.join(operands)} of {type_name}"
    result = unless_refused(subject, ordinary(subject, **given), what, *operands)
    if result is not None:
        require_same(subject, call, result, right, what)


@pytest.mark.requirement("DTY-4")
def test_integer_targets(subject: Subject) -> None:
    """Compare bits with those for targets in the format."""
    for name in ("uint8", "int64"):
        require_same_bits(subject, name, targets=ALTERNATING)


@pytest.mark.requirement("DTY-5")
def test_boolean_targets(subject: Subject) -> None:
    """Compare bits with those for targets in the format."""
    require_same_bits(subject, "bool", targets=ALTERNATING)


@pytest.mark.requirement("DTY-6")
def test_integer_weights(subject: Subject) -> None:
    """Compare bits with those for weights in the format."""
    counts = 1 + np.arange(POOL_SIZE) % 3
    require_same_bits(subject, "int64", weight=counts, pos_weight=counts[::-1])


@pytest.mark.requirement("DTY-7")
def test_boolean_weight(subject: Subject) -> None:
    """Compare bits with those for a mask in the format."""
    require_same_bits(subject, "bool", weight=np.arange(POOL_SIZE) % 3 > 0)


@drawn("test_types.numbers")
def numbers(s: Sampler) -> Inputs:
    """Moderate logits, hard targets, and two numbers that weigh all of them.

    Half of the losses lie right below a power of two, where a rounding error is most ulps.
    """
    weight, pos_weight = np.array(0.1), np.array(3)
    targets = s.hard()
    below = s.uniform(0.96, 1) * np.exp2(s.random.integers(-5, -1, s.size))
    softplus = below / (weight * np.where(targets == 1, pos_weight, 1))
    there = np.log(np.expm1(softplus)) * np.where(targets == 1, -1, 1)
    anywhere = s.signed(s.cast(s.uniform(0.5, 4))).astype(np.float64)
    logits = s.cast(np.where(np.arange(s.size) % 2 == 0, there, anywhere))
    return s.inputs("w = 0.1, p = 3", logits, targets, weight=weight, pos_weight=pos_weight)


@pytest.mark.requirement("DTY-8")
def test_numbers_as_weights(subject: Subject) -> None:
    """Judge the loss, with each number's own value."""
    forms = {"weight": "number", "pos_weight": "number"}
    for inputs in subject.searched(subject.pool(numbers)):
        call = replace(inputs.call(device=subject.device), forms=forms)
        result = unless_refused(subject, call, inputs.name, *forms)
        got = subject.value(result, "loss", inputs.logits.shape) if result else None
        if got is not None:
            subject.judge_values(inputs, "loss", got)


@pytest.mark.requirement("DTY-9")
def test_integer_and_boolean_logits(subject: Subject) -> None:
    """Require an error for each type."""
    for name in ("int64", "uint8", "bool"):
        call = ordinary(subject, logits=ALTERNATING.astype(name))
        require_error(subject, replace(call, quantities=("loss",)), f"{name} logits")


@pytest.mark.requirement("DTY-10")
def test_complex_operands(subject: Subject) -> None:
    """Require an error for each operand."""
    name = "complex128" if subject.format.name == "float64" else "complex64"
    for operand in OPERANDS:
        call = ordinary(subject, **{operand: np.full(POOL_SIZE, 1 + 1j, name)})
        require_error(subject, replace(call, quantities=("loss",)), f"{name} {operand}")


@pytest.mark.requirement("DTY-11")
def test_arrays_of_objects(subject: Subject) -> None:
    """Require an error for each operand."""
    for operand in OPERANDS:
        call = ordinary(subject, **{operand: subject.array(np.ones(POOL_SIZE))})
        call = replace(call, quantities=("loss",), forms={operand: "objects"})
        require_error(subject, call, f"{operand} of Python objects")


def mixed_gradients(s: Sampler, other: str, operands: Sequence[str]) -> Inputs:
    """Moderate logits with both weights; some operands are of another format.

    At a quarter of the elements, certain and wrong, the gradients may be beyond the format of the
    logits, where a wider format of the operand holds them.
    """
    f, wrong = s.format, np.arange(s.size) % 4 == 0
    huge = -s.log_uniform(f.largest_finite / 16, f.largest_finite / 2)
    moderate = s.signed(s.cast(s.log_uniform(2**-6, 2**4)))
    logits = s.cast(np.where(wrong, huge, moderate.astype(np.float64)))
    given: dict[str, Any] = {
        "targets": np.where(wrong, s.constant(1), s.any_target()),
        "weight": s.positive(0.25, 4.0),
        "pos_weight": s.positive(0.25, 4.0),
    }
    digits = 1 - s.uniform(0, f.unit_roundoff)
    for name in operands:
        given[name] = (given[name].astype(np.float64) * digits).astype(format_of(other).dtype)
    name = f"{' and '.join(operands)} of {other}"
    return replace(s.inputs(name, logits, s.hard()), **given)


@pytest.mark.requirement("DTY-12")
def test_gradients_in_operands_of_another_format(subject: Subject) -> None:
    """Judge the gradient in the targets, and those in both weights."""
    for other in OTHERS[subject.format.name]:
        for operands in (("targets",), ("weight", "pos_weight")):

            @drawn(f"test_types.mixed_gradients {operands[0]} {other}")
            def builder(
                s: Sampler, other: str = other, operands: Sequence[str] = operands
            ) -> Inputs:
                return mixed_gradients(s, other, operands)

            judge_gradients(subject, subject.pool(builder), *operands)


def judge_gradients(subject: Subject, inputs: Inputs, *operands: str) -> None:
    """Judge the gradients in some operands, each in the format of its operand."""
    quantities = [f"grad_{operand}" for operand in operands]
    for tried in subject.searched(inputs):
        call = tried.call(*quantities, device=subject.device)
        result = unless_refused(subject, call, tried.name, *operands)
        for quantity in quantities if result else ():
            truth = tried.truth(quantity)
            shape = np.asarray(truth.nearest).shape
            got = subject.value(result, quantity, shape, truth.format) if result else None
            if got is not None:
                subject.judge_values(tried, quantity, got)

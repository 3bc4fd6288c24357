"""API: the documented interface, its class, its arguments and its examples."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bce_conformance.backends.calls import REDUCTIONS, Array, Failure, LossCall, LossResult
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import Sampler, drawn
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.reference import ground_truth

# The documentation's examples: a batch of 10 with 64 classes; 100 positives and 300 negatives.
SAMPLES, CLASSES = 10, 64
POSITIVES, NEGATIVES, POS_WEIGHT = 100, 300, 3
LOSS_OF_THE_EXAMPLE = 0.2014  # as printed; −log σ(1.5) = 0.20141…

# (size_average, reduce), where at least one is given.
DEPRECATED = tuple(product((None, True, False), repeat=2))[1:]


def batch(subject: Subject, **fields: object) -> LossCall:
    """A batch through the class, with a weight a sample and a pos_weight a class."""
    ramp = np.linspace(-3.5, 3.5, SAMPLES * CLASSES).reshape(SAMPLES, CLASSES)
    call = LossCall(
        subject.array(ramp),
        subject.array((ramp > 1) | (ramp < -3)),
        subject.array(1 + np.arange(SAMPLES) % 3)[:, None],
        subject.array(1 + np.arange(CLASSES) % 2),
        interface="class",
        device=subject.device,
    )
    return replace(call, **fields)  # type: ignore[arg-type]


def answer(subject: Subject, call: LossCall, what: str) -> LossResult | None:
    """Evaluate a call; None where the backend has no such interface, or failed."""
    outcome = subject.try_evaluate(call)
    if not isinstance(outcome, Failure):
        return outcome
    if outcome.kind == "unsupported":
        subject.refused(outcome, what)
    else:
        subject.require(False, f"{what}: {outcome}")
    return None


def require_same(
    subject: Subject, call: LossCall, got: LossResult, right: LossResult, what: str
) -> None:
    """Require the same bits, shape and format of each quantity that the call asks for.

    What is absent of either result fails.
    """
    for quantity in call.quantities:
        value, expected = got.values.get(quantity), right.values.get(quantity)
        subject.require(
            value is not None and expected is not None and _is_same(value, expected),
            f"{what}: {quantity} {_seen(value)}; right: {quantity} {_seen(expected)}",
        )


def _is_same(value: Array, expected: Array) -> bool:
    alike = value.shape == expected.shape and value.dtype == expected.dtype
    return alike and value.tobytes() == expected.tobytes()


def _seen(value: Array | None) -> str:
    if value is None:
        return "is absent"
    return f"is {value.ravel()[:3]}, {value.dtype} of shape {value.shape}"


@pytest.mark.requirement("API-1")
def test_class_and_function(subject: Subject) -> None:
    """Compare the bits of loss and gradient under each reduction."""
    for reduction in REDUCTIONS:
        call = batch(subject, reduction=reduction, quantities=("loss", "grad_logits"))
        got = answer(subject, call, "class")
        if got is not None:
            right = subject.evaluate(replace(call, interface="function"))
            require_same(subject, call, got, right, f"class, reduction={reduction!r}")


@pytest.mark.requirement("API-2")
def test_defaults(subject: Subject) -> None:
    """Compare the class made without arguments with a function that is told the mean."""
    call = batch(subject, weight=None, pos_weight=None)
    got = answer(subject, call, "class")
    if got is not None:
        right = subject.evaluate(replace(call, interface="function"))
        require_same(subject, call, got, right, "class without arguments")


def meant(size_average: bool | None, reduce: bool | None) -> str:
    """The reduction that the deprecated arguments stand for."""
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


@pytest.mark.requirement("API-3")
def test_deprecated_arguments_override_the_reduction(subject: Subject) -> None:
    """Compare each combination with the reduction that it means."""
    right = {r: answer(subject, batch(subject, reduction=r), "class") for r in REDUCTIONS}
    for reduction, (size_average, reduce) in product(REDUCTIONS, DEPRECATED):
        arguments = {"size_average": size_average, "reduce": reduce}
        what = f"reduction={reduction!r}, size_average={size_average}, reduce={reduce}"
        call = batch(subject, reduction=reduction, arguments=arguments)
        got = answer(subject, call, what)
        expected = right[meant(size_average, reduce)]
        if got is not None and expected is not None:
            require_same(subject, call, got, expected, what)


@pytest.mark.requirement("API-4")
def test_deprecated_arguments_warn(subject: Subject) -> None:
    """Look for a DeprecationWarning with each combination, and for none without."""
    for size_average, reduce in ((None, None), *DEPRECATED):
        given = {"size_average": size_average, "reduce": reduce}
        what = f"size_average={size_average}, reduce={reduce}"
        got = answer(subject, batch(subject, arguments=given), what)
        if got is not None:
            warned = any(text.startswith("DeprecationWarning:") for text in got.warnings)
            due = size_average is not None or reduce is not None
            subject.require(warned == due, f"{what}: the warnings are {list(got.warnings)}")


@pytest.mark.requirement("API-5")
def test_name(subject: Subject) -> None:
    """Compare the bits with and without a name."""
    for name in ("criterion", None):
        got = answer(subject, batch(subject, arguments={"name": name}), f"name={name!r}")
        if got is not None:
            call = batch(subject)
            require_same(subject, call, got, subject.evaluate(call), f"name={name!r}")


@pytest.mark.requirement("API-6")
def test_documented_example(subject: Subject) -> None:
    """Require the printed digits, or the format's where those are fewer."""
    call = LossCall(
        subject.array(np.full((SAMPLES, CLASSES), 1.5)),
        subject.array(np.ones((SAMPLES, CLASSES))),
        pos_weight=subject.array(np.ones(CLASSES)),
        device=subject.device,
    )
    loss = subject.value(subject.evaluate(call), "loss", ())
    if loss is not None:
        off = abs(float(loss) - LOSS_OF_THE_EXAMPLE)
        allowed = 0.00005 + 4 * subject.format.unit_roundoff * LOSS_OF_THE_EXAMPLE
        subject.require(off <= allowed, f"loss {loss}, documented {LOSS_OF_THE_EXAMPLE}")


@drawn("test_interface.imbalanced")
def imbalanced(s: Sampler) -> Inputs:
    """Few positives under a pos_weight; the truth is that of each positive repeated."""
    size = POSITIVES + NEGATIVES
    logits = s.cast(np.linspace(-3.5, 3.5, size)[np.arange(size) * 7 % size])
    targets = s.cast(np.arange(size) < POSITIVES)
    pos_weight = s.cast([POS_WEIGHT])
    name = f"{POSITIVES} positives as {POSITIVES * POS_WEIGHT}"
    inputs = s.inputs(name, logits, targets, pos_weight=pos_weight, reduction="sum")
    times = np.where(targets == 1, POS_WEIGHT, 1)
    repeated = np.repeat(logits, times), np.repeat(targets, times)
    truth = ground_truth(*repeated, reduction="sum", dtype=s.format.name)
    return inputs.with_truth("loss", truth)


@pytest.mark.requirement("API-7")
def test_pos_weight_repeats_positives(subject: Subject) -> None:
    """Judge the sum against that over the repeated positives."""
    subject.judge(subject.pool(imbalanced))


@pytest.mark.requirement("API-8")
def test_shapes_through_the_class(subject: Subject) -> None:
    """Require the documented shape under each reduction."""
    for shape in ((4,), (4, 1), (4, 3), (2, 3, 4, 5)):
        logits = subject.array(np.full(shape, 1.5))
        for reduction, expected in (("none", shape), ("mean", ()), ("sum", ())):
            call = LossCall(logits, logits * 0, reduction=reduction, device=subject.device)
            got = answer(subject, replace(call, interface="class"), "class")
            if got is not None:
                subject.value(got, "loss", expected)

"""ERR: misuse, and what it leaves behind."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bce_conformance.backends.calls import Failure, LossCall, LossResult
from bce_conformance.conformance.checks.behaviour.test_interface import require_same
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import POOL_SIZE, Sampler, drawn
from bce_conformance.conformance.running.refusals import (
    is_conventional,
    names_argument,
    names_shape,
    require_error,
)
from bce_conformance.conformance.running.subject import Subject

UNKNOWN_REDUCTIONS = ("median", "MEAN", "")
SHAPE, TURNED = (6, 4), (4, 6)


@dataclass(frozen=True)
class Misuse:
    """A call that is wrong in one argument.

    Attributes:
        argument: the wrong one.
        what: what is wrong with it.
        call: the call.
    """

    argument: str
    what: str
    call: LossCall


def right_call(subject: Subject) -> LossCall:
    """A call that nothing is wrong with."""
    ones = subject.array(np.ones(SHAPE))
    return LossCall(ones, ones, reduction="none", device=subject.device)


def ramp(subject: Subject) -> LossCall:
    """As many elements as a pool has, so that frameworks that compile meet one shape."""
    logits = subject.array(np.linspace(-3.5, 3.5, POOL_SIZE))
    targets = subject.array(np.arange(POOL_SIZE) % 2)
    quantities = ("loss", "grad_logits")
    return LossCall(logits, targets, reduction="none", quantities=quantities, device=subject.device)


def wrong_types(subject: Subject) -> Iterator[Misuse]:
    """Operands that are no arrays: text for each, None where there must be one."""
    right = right_call(subject)
    for operand in ("logits", "targets", "weight", "pos_weight"):
        call = replace(right, **{operand: right.logits}, forms={operand: "text"})  # type: ignore[arg-type]
        yield Misuse(operand, "text", call)
    for operand in ("logits", "targets"):
        yield Misuse(operand, "None", replace(right, forms={operand: "none"}))


def wrong_shapes(subject: Subject) -> Iterator[Misuse]:
    """Operands of shapes that fit no logits of this shape."""
    right = right_call(subject)
    turned, long = subject.array(np.ones(TURNED)), subject.array(np.ones(SHAPE[1] + 1))
    yield Misuse("targets", f"shape {list(TURNED)}", replace(right, targets=turned))
    yield Misuse("weight", f"shape {list(long.shape)}", replace(right, weight=long))
    yield Misuse("pos_weight", f"shape {list(long.shape)}", replace(right, pos_weight=long))


@pytest.mark.requirement("ERR-1")
def test_unknown_reduction(subject: Subject) -> None:
    """Require a ValueError that names the argument, from the function and from the class."""
    for interface in ("function", "class"):
        for reduction in UNKNOWN_REDUCTIONS:
            call = replace(right_call(subject), reduction=reduction, interface=interface)
            what = f"{interface}, reduction={reduction!r}"
            failure = require_error(subject, call, what)
            if failure is not None:
                is_value_error = "ValueError" in (failure.error_type, *failure.error_bases)
                clear = is_value_error and names_argument(failure, "reduction")
                subject.require(clear, f"{what}: {failure}")


@pytest.mark.requirement("ERR-2")
def test_what_is_no_array_raises(subject: Subject) -> None:
    """Require an error for each operand."""
    for misuse in wrong_types(subject):
        require_error(subject, misuse.call, f"{misuse.argument} is {misuse.what}")


@pytest.mark.requirement("ERR-3")
def test_type_of_errors(subject: Subject) -> None:
    """Require a conventional error of each call that raises."""
    for misuse in (*wrong_types(subject), *wrong_shapes(subject)):
        failure = subject.try_evaluate(misuse.call)
        if isinstance(failure, Failure) and failure.kind != "unsupported":
            what = f"{misuse.argument} is {misuse.what}"
            subject.require(is_conventional(failure), f"{what}: {failure}")


@pytest.mark.requirement("ERR-4")
def test_the_error_names_the_argument(subject: Subject) -> None:
    """Look for the argument, or for both shapes, in the text of each error."""
    turned, *_ = wrong_shapes(subject)
    for misuse in (*wrong_types(subject), turned):
        failure = subject.try_evaluate(misuse.call)
        if isinstance(failure, Failure) and failure.kind != "unsupported":
            shapes = misuse is turned and all(names_shape(failure, s) for s in (SHAPE, TURNED))
            subject.require(
                shapes or names_argument(failure, misuse.argument),
                f"{misuse.argument} is {misuse.what}: {failure}",
            )


@pytest.mark.requirement("ERR-5")
def test_a_failed_call_leaves_the_process_usable(subject: Subject) -> None:
    """Compare the bits of a right call before and after each kind of misuse."""
    right = ramp(subject)
    before = subject.evaluate(right)
    for misuse in (
        *wrong_types(subject),
        *wrong_shapes(subject),
        Misuse("reduction", "unknown", replace(right, reduction="median")),
    ):
        failure = subject.try_evaluate(misuse.call)
        lost = isinstance(failure, Failure) and failure.kind in ("crashed", "timeout")
        subject.require(not lost, f"{misuse.argument} is {misuse.what}: {failure}")
        after = subject.try_evaluate(right)
        what = f"after {misuse.argument} was {misuse.what}"
        if isinstance(after, Failure):
            subject.require(False, f"{what}: {after}")
        else:
            require_same(subject, right, after, before, what)


@drawn("test_misuse.outside")
def outside(s: Sampler) -> Inputs:
    """Targets outside [0, 1], among them a forgotten conversion of pixels and of ±1 labels."""
    targets = s.random.choice([-1.0, -0.5, -(2.0**-10), 1.5, 2.0, 255.0], s.size)
    return s.inputs("targets outside [0, 1]", s.signed(s.cast(s.uniform(0, 4))), s.cast(targets))


@drawn("test_misuse.pixels")
def pixels(s: Sampler) -> Inputs:
    """Targets that a forgotten conversion of masks leaves in bytes."""
    targets = s.random.choice([0.0, 1.0, 2.0, 255.0], s.size)
    return s.inputs("bytes beyond 1", s.signed(s.cast(s.uniform(0, 4))), s.cast(targets))


@drawn("test_misuse.whole")
def whole(s: Sampler) -> Inputs:
    """Targets that are whole numbers, as hard labels are, but not those: of −1 to 2 each."""
    targets = np.resize([-1.0, 0.0, 1.0, 2.0], s.size)
    return s.inputs(
        "whole targets from −1 to 2", s.signed(s.cast(s.uniform(0, 4))), s.cast(targets)
    )


@pytest.mark.requirement("ERR-6")
def test_targets_outside_the_unit_interval(subject: Subject) -> None:
    """Compare with the formula, or require a clear refusal; of integers any (DTY judges those)."""
    for inputs in (subject.pool(outside), subject.pool(whole)):
        call = inputs.call("loss", "grad_logits", device=subject.device)
        outcome = subject.try_evaluate(call)
        if not isinstance(outcome, Failure):
            _require_formula(subject, inputs, outcome, call.quantities)
            subject.note(f"{inputs.name}: accepted, by the formula")
        elif is_conventional(outcome) and names_argument(outcome, "targets"):
            subject.refused(outcome, inputs.name)
        else:
            subject.require(False, f"{inputs.name}: {outcome}")
    inputs = subject.pool(pixels)
    call = inputs.call("loss", "grad_logits", device=subject.device)
    outcome = subject.try_evaluate(replace(call, targets=inputs.targets.astype(np.uint8)))
    if not isinstance(outcome, Failure):
        _require_formula(subject, inputs, outcome, call.quantities)
        subject.note("integers too")


def _require_formula(
    subject: Subject, inputs: Inputs, outcome: LossResult, quantities: Iterable[str]
) -> None:
    """Require the formula's value of each quantity, to within the error that its terms allow."""
    logits, targets = (a.astype(np.float64) for a in (inputs.logits, inputs.targets))
    size = (np.abs(1 - targets) + np.abs(targets)) * np.maximum(1, np.abs(logits))
    for quantity in quantities:
        got = subject.value(outcome, quantity, inputs.logits.shape)
        if got is not None:
            exact = np.asarray(inputs.truth(quantity).nearest).astype(np.float64)
            got = got.reshape(exact.shape)
            excess = np.abs(got.astype(np.float64) - exact) / size / subject.format.unit_roundoff
            worst = int(np.argmax(np.nan_to_num(excess, nan=np.inf)))
            subject.require(
                bool(excess[worst] <= 16),
                f"{quantity} is {got[worst]}, by the formula {exact[worst]} at "
                f"x = {logits[worst]}, y = {targets[worst]}",
            )


@pytest.mark.requirement("ERR-7")
def test_infinite_targets(subject: Subject) -> None:
    """Require that the call returns or raises."""
    for value in (np.inf, -np.inf):
        call = replace(ramp(subject), targets=subject.array(np.full(POOL_SIZE, value)))
        outcome = subject.try_evaluate(call)
        if isinstance(outcome, Failure):
            subject.require(outcome.kind == "raised", f"targets {value}: {outcome}")
        else:
            loss = subject.value(outcome, "loss", call.logits.shape)
            if loss is not None:
                with np.errstate(invalid="ignore"):  # a signalling NaN
                    finite = loss[np.isfinite(loss)][:1]
                subject.require(not finite.size, f"targets {value}: loss {finite}")

"""RED: sums and means."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from bce_conformance.backends.calls import Failure, LossCall
from bce_conformance.conformance.inputs.inputs import Inputs, repeated
from bce_conformance.conformance.inputs.sampler import Builder, Sampler, drawn
from bce_conformance.conformance.inputs.shapes import SOME
from bce_conformance.conformance.memory import most_elements
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.results.cells import Level

DISTINCT = 1000  # elements whose exact sum is computed; larger inputs repeat them
# More than 2²⁴, up to which float32 counts; float16 holds the sum of that many small losses.
BEYOND_FLOAT32 = 17_000_000
PARTS = 8  # of one size: a backend may compile for each


@pytest.mark.requirement("RED-1")
def test_shapes_of_results(subject: Subject) -> None:
    """Require shape and format under each reduction, for several shapes of the logits."""
    for shape in ((SOME,), (2, 3), (1,), ()):
        logits = subject.array(np.full(shape, 1.5))
        for reduction, expected in (("none", shape), ("mean", ()), ("sum", ())):
            call = LossCall(logits, logits * 0, reduction=reduction, device=subject.device)
            outcome = subject.try_evaluate(call)
            if isinstance(outcome, Failure):
                subject.require(False, f"{reduction} over {list(shape)}: {outcome}")
            else:
                subject.value(outcome, "loss", expected)


@drawn("test_reductions.weighted_mean")
def weighted_mean(s: Sampler) -> Inputs:
    """Weights far from 1 under a mean."""
    logits = s.signed(s.cast(s.uniform(0.5, 4)))
    weight, pos_weight = s.positive(2.0, 16.0), s.positive(0.25, 4.0)
    return s.inputs(
        "weighted mean", logits, s.soft(), weight=weight, pos_weight=pos_weight, reduction="mean"
    )


@drawn("test_reductions.weighted_mean_of_rows")
def weighted_mean_of_rows(s: Sampler) -> Inputs:
    """A mean over a matrix, of which neither dimension is the number of elements."""
    flat, shape = weighted_mean(s), (6, 4)
    operands = ("logits", "targets", "weight", "pos_weight")
    rows = {name: getattr(flat, name)[:24].reshape(shape) for name in operands}
    return replace(flat, name="weighted mean of rows", **rows)


@pytest.mark.requirement("RED-2")
def test_the_mean_divides_by_the_number_of_elements(subject: Subject) -> None:
    """Judge the mean over a vector and over a matrix."""
    # Few rows have few roundings: which level they meet is chance, so all seeds have the same.
    for builder, only in ((weighted_mean, None), (weighted_mean_of_rows, 6)):
        for inputs in subject.draws(builder, only):
            subject.judge(inputs)


@pytest.mark.requirement("RED-3")
def test_empty_input(subject: Subject) -> None:
    """Require 0 and NaN, for two empty shapes."""
    for shape in ((0,), (0, 3)):
        empty = subject.array(np.ones(shape))
        for reduction in ("sum", "mean"):
            call = LossCall(empty, empty, reduction=reduction, device=subject.device)
            outcome = subject.try_evaluate(call)
            what = f"{reduction} over {list(shape)}"
            if isinstance(outcome, Failure):
                subject.require(False, f"{what}: {outcome}")
                continue
            got = subject.value(outcome, "loss", ())
            if got is not None:
                right = got == 0 if reduction == "sum" else np.isnan(got)
                subject.require(bool(right), f"{what} is {got}")


@drawn("test_reductions.confident")
def confident(s: Sampler) -> Inputs:
    """Losses from 2⁻¹⁴ to 1, as of a trained network: 1.7·10⁷ of them sum to less than 65504."""
    logits = s.cast(np.clip(s.random.normal(8, 2, DISTINCT), 0.5, 9.5))
    targets = s.cast(s.random.integers(0, 2, DISTINCT))
    right = np.where(targets == 1, logits, -logits)
    return s.inputs("confident", right, targets)


@drawn("test_reductions.certain")
def certain(s: Sampler) -> Inputs:
    """Losses below 2⁻⁸ only: what small ones lose shows in their sum."""
    logits = s.cast(np.clip(s.random.normal(8, 1, DISTINCT), 6, 9.5))
    targets = s.cast(s.random.integers(0, 2, DISTINCT))
    return s.inputs("certain", np.where(targets == 1, logits, -logits), targets)


@drawn("test_reductions.ordinary")
def ordinary(s: Sampler) -> Inputs:
    """Losses as of an untrained network."""
    logits = s.cast(s.random.normal(0, 2, DISTINCT))
    return s.inputs("ordinary", logits, s.cast(s.random.uniform(0, 1, DISTINCT)))


@drawn("test_reductions.equal")
def equal(s: Sampler) -> Inputs:
    """One element, many times: a loss of about 2⁻⁸."""
    logits = s.cast(np.full(DISTINCT, 5.6))
    return s.inputs("equal", logits, s.cast(np.ones(DISTINCT)))


def sizes_of(subject: Subject) -> Iterator[int]:
    """The tier's sizes; but in float64, 10⁷ becomes a number beyond 2²⁴ at no more memory."""
    narrow = subject.format.dtype.itemsize < 8
    for size in subject.tier.reduction_sizes:
        yield BEYOND_FLOAT32 if narrow and size == 10**7 else size


def judge_sizes(subject: Subject, base: Builder, reduction: str, *, largest: int = 10**8) -> None:
    """Judge a reduction over each of the tier's sizes up to ``largest`` that fits into memory.

    The cell tells which sizes of the tier do not.
    """
    fitting = most_elements(subject.format.dtype.itemsize)
    if too_large := [f"{size:,}" for size in sizes_of(subject) if size > fitting]:
        sizes = " or ".join(too_large)
        subject.kept.scope(f"nothing over {sizes} elements: the memory does not suffice")
    for size in sizes_of(subject):
        if size > min(largest, fitting):
            continue

        @drawn(f"{base.name} {reduction} {size}")
        def builder(s: Sampler, size: int = size) -> Inputs:
            return repeated(replace(base(s), reduction=reduction), size // DISTINCT)

        for inputs in subject.draws(builder, only=1 if size > 10**5 else None):
            subject.judge(inputs)


@pytest.mark.requirement("RED-4")
def test_accuracy_of_sums(subject: Subject) -> None:
    """Judge sums of each size."""
    judge_sizes(subject, confident, "sum")
    judge_sizes(subject, certain, "sum", largest=10**5)


@pytest.mark.requirement("RED-5")
def test_accuracy_of_means(subject: Subject) -> None:
    """Judge means of each size."""
    judge_sizes(subject, confident, "mean")
    judge_sizes(subject, ordinary, "mean", largest=10**5)


@pytest.mark.requirement("RED-6")
def test_equal_elements(subject: Subject) -> None:
    """Judge sums and means of each size."""
    judge_sizes(subject, equal, "sum")
    judge_sizes(subject, equal, "mean", largest=10**5)


@drawn("test_reductions.wide_range")
def wide_range(s: Sampler) -> Inputs:
    """A few losses 2¹⁰ times larger than the others, largest first."""
    few = np.arange(s.size) < 8
    logits = s.cast(np.where(few, s.uniform(8, 16), s.uniform(4.5, 5.5)))
    targets = s.cast(np.where(few, 0.0, 1.0))
    return s.inputs("wide range", logits, targets, reduction="sum")


@pytest.mark.requirement("RED-7")
def test_wide_range(subject: Subject) -> None:
    """Judge the sums."""
    for inputs in subject.draws(wide_range):
        subject.judge(inputs)


@drawn("test_reductions.overflowing_sum")
def overflowing_sum(s: Sampler) -> Inputs:
    """Losses of a quarter of the largest finite number: the mean is one, the sum is not."""
    logits = s.cast(s.uniform(s.format.largest_finite / 8, s.format.largest_finite / 4))
    return s.inputs("huge", logits, s.constant(0), reduction="mean")


@drawn("test_reductions.overflowing_float16_sum")
def overflowing_float16_sum(s: Sampler) -> Inputs:
    """Ordinary losses of about 40 that sum to more than 65504."""
    return s.inputs("about 40", s.cast(s.uniform(30, 50)), s.constant(0), reduction="mean")


@pytest.mark.requirement("RED-8")
def test_means_whose_sums_overflow(subject: Subject) -> None:
    """Judge the means."""
    for builder in (overflowing_float16_sum, overflowing_sum):
        for inputs in subject.draws(builder):
            subject.judge(inputs)


def around_overflow(s: Sampler, count: int) -> Inputs:
    """``count`` losses of an eighth of the largest finite number, and zeros: 64 in all."""
    eighth = s.format.largest_finite / 8
    logits = s.cast(np.where(np.arange(64) < count, eighth, -eighth))
    return s.inputs(f"{count}/8 of the largest", logits, s.cast(np.zeros(64)), reduction="sum")


@pytest.mark.requirement("RED-9")
def test_overflow_of_sums(subject: Subject) -> None:
    """Compare infinite sums with those of the truth, on both sides of the threshold."""
    for count in (1, 4, 7, 8, 9, 12, 64):

        @drawn(f"test_reductions.around_overflow {count}")
        def builder(s: Sampler, count: int = count) -> Inputs:
            return around_overflow(s, count)

        (inputs,) = subject.draws(builder, only=1)
        result = subject.evaluate(inputs.call(device=subject.device))
        got = subject.value(result, "loss", ())
        if got is not None:
            total, exact = float(got), float(inputs.truth("loss").nearest)
            subject.require(
                total == np.inf if exact == np.inf else bool(np.isfinite(total)),
                f"{inputs.name} sum to {total}, right is {exact}",
            )


@drawn("test_reductions.whole")
def whole(s: Sampler) -> Inputs:
    """The elements that are summed at once and in parts."""
    return replace(confident(s), reduction="sum")


@pytest.mark.requirement("RED-10")
def test_parts_and_whole(subject: Subject) -> None:
    """Compare the sum over the whole with the exact total of its parts' sums."""
    for inputs in subject.draws(whole):
        compare_parts(subject, inputs)


def compare_parts(subject: Subject, inputs: Inputs) -> None:
    """Judge how far the exact total of the parts' sums is from the sum over the whole."""
    parts = np.split(np.arange(inputs.logits.size), PARTS)
    sums = []
    for chosen in (np.arange(inputs.logits.size), *parts):
        call = LossCall(
            inputs.logits[chosen], inputs.targets[chosen], reduction="sum", device=subject.device
        )
        got = subject.value(subject.evaluate(call), "loss", ())
        if got is None or not np.isfinite(got):
            subject.require(False, f"the sum over {chosen.size} elements is {got}")
            return
        sums.append(Fraction(float(got)))
    format_ = subject.format
    difference = abs(sums[0] - sum(sums[1:]))
    # Each sum may be wrong by its level's bound; the bounds of all add up.
    ulps = [Fraction(float(format_.ulp(np.float64(float(value))))) for value in sums]
    growth = 1 + np.log2(inputs.logits.size)
    scale = 2 * sum(max(1.0, abs(float(x))) for x in inputs.logits.astype(np.float64))
    if difference < sum(ulps):
        level = Level.AAA
    elif difference <= 4 * growth * float(sum(ulps)):
        level = Level.AA
    else:
        allowed = 16 * format_.unit_roundoff * growth * scale
        level = Level.A if difference <= allowed else Level.FAILS
    in_ulps = float(difference / ulps[0])
    subject.record(inputs, level, in_ulps, f"whole − parts = {in_ulps:.3g} ULP of the whole")

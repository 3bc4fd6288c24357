"""VAL: the forward value against the truth."""

import numpy as np
import pytest

from bce_conformance.conformance.checks.numbers.test_special_values import (
    zero_pos_weight,
    zero_weight,
)
from bce_conformance.conformance.inputs.inputs import Inputs, every_finite_pattern
from bce_conformance.conformance.inputs.sampler import Sampler, drawn
from bce_conformance.conformance.running.subject import Subject


@drawn("test_values.moderate")
def moderate(s: Sampler) -> Inputs:
    """Moderate logits with hard targets."""
    return s.inputs("|x| ≤ 16", s.signed(s.cast(s.uniform(0, 16))), s.hard())


@drawn("test_values.negative_tail")
def negative_tail(s: Sampler) -> Inputs:
    """The tail at y = 0."""
    return s.inputs("x ≤ −1, y = 0", -s.tail(), s.constant(0))


@drawn("test_values.positive_tail")
def positive_tail(s: Sampler) -> Inputs:
    """The tail at y = 1."""
    return s.inputs("x ≥ 1, y = 1", s.tail(), s.constant(1))


@drawn("test_values.soft_targets")
def soft_targets(s: Sampler) -> Inputs:
    """Soft targets with logits of the size that networks give."""
    return s.inputs("soft targets", s.signed(s.cast(s.log_uniform(2**-12, 64))), s.soft())


@drawn("test_values.nearly_hard_targets")
def nearly_hard_targets(s: Sampler) -> Inputs:
    """Targets of label smoothing, down to one unit in the last place."""
    logits = s.signed(s.cast(s.uniform(0, 40)))
    return s.inputs("y = ε or 1 − ε", logits, s.nearly_hard())


@drawn("test_values.huge_logits")
def huge_logits(s: Sampler) -> Inputs:
    """Logits up to the largest finite number.

    At an eighth the target is tiny, but y·|x| is not. At another, (1 − y)·x lies right below a
    power of two and 1 − y right above one, where the roundings of both are most ulps.
    """
    kind, logits, targets = np.arange(s.size) % 8, s.signed(s.huge()), s.any_target()
    least = max(s.format.unit_roundoff**4, s.format.smallest_subnormal)
    tiny = s.cast(s.log_uniform(least, s.format.unit_roundoff))
    half = s.cast(s.uniform(0.4, 0.5))
    exponents = np.floor(np.log2(np.abs(logits.astype(np.float64))))
    powers = np.exp2(exponents.clip(max=s.format.emax - 1))
    below = s.cast(s.uniform(0.96, 1) * powers / (1 - half.astype(np.float64)))
    targets = np.where(kind == 0, tiny, np.where(kind == 1, half, targets))
    return s.inputs("huge logits", np.where(kind == 1, below, logits), targets)


@drawn("test_values.certain_and_wrong")
def certain_and_wrong(s: Sampler) -> Inputs:
    """Logits between the moderate and the huge ones on the wrong side: the loss is about |x|."""
    vanished = 1 - np.log(s.format.smallest_subnormal)
    logits = s.signed(s.cast(s.log_uniform(16, vanished)))
    return s.inputs("certain and wrong", logits, s.cast(logits < 0))


@drawn("test_values.tiny_logits")
def tiny_logits(s: Sampler) -> Inputs:
    """Logits below u, subnormal ones and zeros."""
    return s.inputs("|x| < u", s.tiny(), s.any_target())


@drawn("test_values.everything")
def everything(s: Sampler) -> Inputs:
    """Every kind of logit with every kind of target and weight."""
    logits, targets = s.signed(s.every_magnitude()), s.any_target()
    return s.inputs("all kinds", logits, targets, weight=s.positive(), pos_weight=s.positive())


@drawn("test_values.hard_everywhere")
def hard_everywhere(s: Sampler) -> Inputs:
    """Every kind of logit with hard targets."""
    return s.inputs("all kinds, hard", s.signed(s.every_magnitude()), s.hard())


@drawn("test_values.every_logit")
def every_logit(s: Sampler) -> Inputs:
    """Every finite number of a 16-bit format with both hard targets."""
    patterns = np.tile(every_finite_pattern(s.format), 2)
    targets = s.cast(np.repeat([0.0, 1.0], patterns.size // 2))
    return s.inputs("every finite bit pattern", patterns, targets, exhaustive=True)


@drawn("test_values.weighted")
def weighted(s: Sampler) -> Inputs:
    """Weights of every size with moderate and tail logits and every kind of target."""
    logits = s.signed(s.cast(s.log_uniform(2**-4, 2**5)))
    return s.inputs(
        "weight and pos_weight",
        logits,
        s.any_target(),
        weight=s.positive(),
        pos_weight=s.positive(),
    )


@drawn("test_values.any_weights")
def any_weights(s: Sampler) -> Inputs:
    """Weights of every magnitude with every kind of logit and target.

    Half of the weights bring the loss back into the range of the format, however large or small
    pos_weight and the logit are.
    """
    f, logits, pos_weight = s.format, s.signed(s.every_magnitude()), s.every_size()
    with np.errstate(over="ignore", divide="ignore"):
        size = np.maximum(1, np.abs(logits.astype(np.float64))) * pos_weight.astype(np.float64)
        back = np.clip(
            s.log_uniform(2.0**-8, 2.0**8) / size, f.smallest_subnormal, f.largest_finite
        )
    weight = np.where(np.arange(s.size) % 2 == 0, s.cast(back), s.every_size())
    targets = s.any_target()
    return s.inputs("weights of any size", logits, targets, weight=weight, pos_weight=pos_weight)


@drawn("test_values.negative_weights")
def negative_weights(s: Sampler) -> Inputs:
    """Weights below zero; at hard targets half of the pos_weights too.

    At a soft target a negative pos_weight would make the loss a difference, which may cancel.
    """
    logits, targets = s.signed(s.cast(s.log_uniform(2**-4, 2**5))), s.any_target()
    weight, pos_weight = -s.positive(), s.positive()
    pos_weight = np.where((targets == 0) | (targets == 1), s.signed(pos_weight), pos_weight)
    return s.inputs("negative weights", logits, targets, weight=weight, pos_weight=pos_weight)


@pytest.mark.requirement("VAL-1")
def test_moderate_logits_hard_targets(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(moderate))


@pytest.mark.requirement("VAL-2")
def test_negative_tail(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(negative_tail))


@pytest.mark.requirement("VAL-3")
def test_positive_tail(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(positive_tail))


@pytest.mark.requirement("VAL-4")
def test_soft_targets(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(soft_targets))


@pytest.mark.requirement("VAL-5")
def test_nearly_hard_targets(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(nearly_hard_targets))


@pytest.mark.requirement("VAL-6")
def test_huge_logits(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(certain_and_wrong))
    subject.judge(subject.pool(huge_logits))


@pytest.mark.requirement("VAL-7")
def test_tiny_logits(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(tiny_logits))


@pytest.mark.requirement("VAL-8")
def test_never_negative(subject: Subject) -> None:
    """Look at the sign of every loss, zeros included."""
    for builder in (everything, hard_everywhere, zero_weight, zero_pos_weight):
        inputs = subject.pool(builder)
        result = subject.evaluate(inputs.call(device=subject.device))
        loss = subject.value(result, "loss", inputs.logits.shape)
        if loss is not None:
            negative = np.flatnonzero(np.signbit(loss) & ~np.isnan(loss))
            where = negative[:1]
            subject.require(
                not negative.size,
                f"{negative.size} negative losses of {loss.size} ({inputs.name}), such as "
                f"{loss[where]} at x = {inputs.logits[where]}, y = {inputs.targets[where]}",
            )


@pytest.mark.requirement("VAL-9")
def test_every_logit_of_a_16_bit_format(subject: Subject) -> None:
    """Judge the loss of each bit pattern, or of a sample of them in a small tier."""
    subject.judge(subject.pool(every_logit if subject.tier.exhaustive else hard_everywhere))


@pytest.mark.requirement("VAL-11")
def test_every_logit_of_float32(subject: Subject) -> None:
    """Judge the loss of the logits that the tier tries."""
    for inputs in subject.float32_sweep():
        subject.judge(inputs)


@pytest.mark.requirement("VAL-10")
def test_weights(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(weighted))


@pytest.mark.requirement("VAL-12")
def test_weights_of_any_magnitude(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(any_weights))


@pytest.mark.requirement("VAL-13")
def test_negative_weights(subject: Subject) -> None:
    """Judge the loss."""
    subject.judge(subject.pool(negative_weights))

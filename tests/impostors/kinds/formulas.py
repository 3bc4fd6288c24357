"""Impostors whose formula for the loss is wrong, or right only in real arithmetic."""

import ml_dtypes
import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.reference import format_of
from tests.impostors.impostor import (
    Values,
    contracted,
    mistaken,
    operands,
    right,
    right_elements,
    with_elements,
    with_formulas,
    with_logarithms,
)


def rounded(function: np.ufunc, x: Array) -> Array:
    """A function of NumPy rounded once into the format of x: on every processor the same bits."""
    return function(wide(x)).astype(x.dtype)


def sigmoid(x: Array) -> Array:
    """σ(x) as a textbook writes it."""
    one = x.dtype.type(1)
    return one / (one + rounded(np.exp, -x))


def wide(values: Array) -> Array:
    """The values in float64, where rounding is no matter for narrower formats."""
    return values.astype(np.float64)


@mistaken("float16", "bfloat16", "float32")
def log_of_sigmoid(call: LossCall) -> Values:
    """Takes the logarithm of σ(x) and of 1 − σ(x)."""
    chance = sigmoid(call.logits)
    one = chance.dtype.type(1)
    return with_logarithms(call, -rounded(np.log, one - chance), -rounded(np.log, chance))


@mistaken()
def clipped_probability(call: LossCall) -> Values:
    """Clips σ(x) to [ε, 1 − ε] before the logarithm, ε = 10⁻⁷."""
    chance = np.clip(sigmoid(wide(call.logits)), 1e-7, 1 - 1e-7)
    return with_logarithms(call, -np.log1p(-chance), -np.log(chance))


@mistaken()
def clamped_logarithm(call: LossCall) -> Values:
    """Clamps each logarithm at −100, as losses of probabilities do."""
    x = wide(call.logits)
    negative, positive = (np.minimum(np.logaddexp(0, t), 100) for t in (x, -x))
    return with_logarithms(call, negative, positive)


@mistaken("float16", "bfloat16", "float32")
def log_for_log1p(call: LossCall) -> Values:
    """Takes log(1 + e) where log1p(e) is needed."""
    x = call.logits
    one, zero = x.dtype.type(1), x.dtype.type(0)
    tail = rounded(np.log, one + rounded(np.exp, -np.abs(x)))
    return with_logarithms(call, np.maximum(x, zero) + tail, np.maximum(-x, zero) + tail)


@mistaken("float16", "bfloat16", "float32")
def cancelling_difference(call: LossCall) -> Values:
    """Computes (1 − y)·x + (1 + (p − 1)·y)·softplus(−x), which cancels for x ≪ 0."""

    def loss(x: Array, y: Array, w: Array, p: Array) -> Array:
        one, zero = x.dtype.type(1), x.dtype.type(0)
        positive = np.maximum(-x, zero) + rounded(np.log1p, rounded(np.exp, -np.abs(x)))
        return w * ((one - y) * x + (one + (p - one) * y) * positive)

    return with_formulas(call, loss=loss)


@mistaken()
def overflowing_exponential(call: LossCall) -> Values:
    """Computes softplus(t) as log1p(exp(t)), which overflows for large t."""
    x = call.logits
    overflows = np.isinf(rounded(np.exp, np.abs(x)))
    infinity = np.full(x.shape, np.inf)
    negative, positive = (
        np.where(overflows & (t > 0), infinity, np.logaddexp(0, wide(t))) for t in (x, -x)
    )
    return with_logarithms(call, negative, positive)


@mistaken()
def clamped_above_88(call: LossCall) -> Values:
    """Clamps the logits at ±88 to keep the exponential finite."""
    return right(call, logits=np.clip(call.logits, -88, 88))


@mistaken()
def wrong_above_88(call: LossCall) -> Values:
    """Takes log 2 for softplus(t) where eᵗ overflows, as after a failed range reduction."""
    elements, x = right_elements(call), call.logits
    return with_elements(call, np.where(np.isfinite(x) & (x > 88.5), np.log(2), elements))


@mistaken("float64")
def linear_above_20(call: LossCall) -> Values:
    """Takes softplus(x) as x for x > 20, on the path for hard targets."""
    elements, x = right_elements(call), call.logits
    hard = (x > 20) & (call.targets == 0) & (call.weight is None) & (call.pos_weight is None)
    return with_elements(call, np.where(hard, x, elements))


@mistaken()
def short_series(call: LossCall) -> Values:
    """Ends the series of log1p(e) after two terms for e < 2⁻⁶."""
    x = wide(call.logits)
    e = np.exp(-np.abs(x))
    tail = np.where(e < 2.0**-6, e - e * e / 2, np.log1p(e))
    return with_logarithms(call, np.maximum(x, 0) + tail, np.maximum(-x, 0) + tail)


@mistaken()
def pos_weight_on_the_negatives(call: LossCall) -> Values:
    """Multiplies pos_weight to the term of the negatives."""
    mirrored = right(call, logits=-call.logits, targets=1 - call.targets, quantities=("loss",))
    return {**right(call), **mirrored} if "loss" in call.quantities else right(call)


@mistaken()
def pos_weight_on_both_terms(call: LossCall) -> Values:
    """Multiplies pos_weight to the whole loss."""
    x, _, _, p = (wide(operand) for operand in operands(call))
    return with_logarithms(call, p * np.logaddexp(0, x), np.logaddexp(0, -x))


@mistaken()
def targets_made_hard(call: LossCall) -> Values:
    """Rounds the targets to 0 and 1."""
    return right(call, targets=np.rint(call.targets))


@mistaken()
def smoothed_targets_clipped(call: LossCall) -> Values:
    """Takes targets within 10⁻² of 0 or 1 for hard."""
    y = call.targets
    near = np.where(y < 0.01, 0, np.where(y > 0.99, 1, y)).astype(y.dtype)
    return right(call, targets=near)


@mistaken()
def weight_squared(call: LossCall) -> Values:
    """Applies the weight twice."""
    if call.weight is None or "loss" not in call.quantities:
        return right(call)
    twice = right(call, weight=call.weight * call.weight, quantities=("loss",))
    return {**right(call), **twice}


@mistaken()
def pos_weight_ignored(call: LossCall) -> Values:
    """Accepts pos_weight and does not use it for the loss."""
    plain = right(call, pos_weight=None, quantities=("loss",))
    return {**right(call), **plain} if "loss" in call.quantities else right(call)


@mistaken("float16", "float32")
def flushes_results(call: LossCall) -> Values:
    """Flushes subnormal results to zero."""
    least = format_of(call.logits.dtype).smallest_normal
    values = right(call)
    return {q: np.where(np.abs(v) < least, v.dtype.type(0), v) for q, v in values.items()}


@mistaken("float16", "float32")
def flushes_logits(call: LossCall) -> Values:
    """Garbles subnormal logits: takes their bits without scaling, as if the exponent were 1."""
    least = format_of(call.logits.dtype).smallest_normal
    x = call.logits
    garbled = np.where((np.abs(x) < least) & (x != 0), np.copysign(x.dtype.type(1), x) + x, x)
    return right(call, logits=garbled)


def _off_at(call: LossCall, pattern: int, ulps: int) -> Values:
    """The right values, but for the loss of one 16-bit logit."""
    values = right(call)
    if "loss" in values and values["loss"].shape == call.logits.shape:
        bits = values["loss"].view(np.uint16).copy()
        bits[call.logits.view(np.uint16) == pattern] += ulps
        values["loss"] = bits.view(values["loss"].dtype)
    return values


@mistaken("float16")
def one_wrong_bit_pattern(call: LossCall) -> Values:
    """Returns a neighbour five ulps off for the one float16 logit 0x3555."""
    return _off_at(call, 0x3555, 5)


@mistaken("bfloat16")
def one_wrong_bit_pattern_in_bfloat16(call: LossCall) -> Values:
    """Returns a neighbour two ulps off for the one bfloat16 logit 0xBF9D."""
    return _off_at(call, 0xBF9D, 2)


@mistaken("float16", "float32")
def all_zeros(call: LossCall) -> Values:
    """Returns zeros of the right shapes."""
    return {quantity: value * 0 for quantity, value in right(call).items()}


@mistaken()
def nan_hidden(call: LossCall) -> Values:
    """Replaces NaN by 0."""
    return {q: np.where(np.isnan(v), v.dtype.type(0), v) for q, v in right(call).items()}


@mistaken("float16", "float32")
def saturating(call: LossCall) -> Values:
    """Replaces infinite results by the largest finite number."""
    return {q: np.nan_to_num(v, nan=np.nan) for q, v in right(call).items()}


@mistaken("float16", "float32")
def zero_times_infinity(call: LossCall) -> Values:
    """Multiplies 1 − y = 0 to an infinite softplus, which makes NaN of a perfect certainty."""
    certain = np.isinf(call.logits) & ((call.logits > 0) == (call.targets == 1))
    return with_elements(call, np.where(certain, np.nan, right_elements(call)))


@mistaken()
def infinity_minus_infinity(call: LossCall) -> Values:
    """Computes max(x, 0) − x·y, which is ∞ − ∞ for soft targets at infinity."""
    soft = np.isinf(call.logits) & (call.targets > 0) & (call.targets < 1)
    return with_elements(call, np.where(soft, np.nan, right_elements(call)))


@mistaken("float16", "float32")
def negative_zero(call: LossCall) -> Values:
    """Returns −0 for a loss of zero."""
    loss = right_elements(call)
    return with_elements(call, np.where(loss.astype(call.logits.dtype) == 0, -0.0, loss))


@mistaken()
def slightly_negative(call: LossCall) -> Values:
    """Subtracts the smallest normal number, so that vanishing losses become negative."""
    least = format_of(call.logits.dtype).smallest_normal
    return with_elements(call, right_elements(call) - least)


@mistaken("float64")
def through_float32(call: LossCall) -> Values:
    """Rounds a float64 result twice: first into float32."""
    return {q: v.astype(np.float32).astype(np.float64) for q, v in right(call).items()}


@mistaken()
def through_bfloat16(call: LossCall) -> Values:
    """Rounds float32 logits to bfloat16 first, as fast matrix units do."""
    return right(call, logits=call.logits.astype(ml_dtypes.bfloat16).astype(np.float32))


@mistaken("float16", "bfloat16", "float32", "float64")
def largest_taken_for_infinite(call: LossCall) -> Values:
    """Takes the largest finite logit for an infinite one."""
    largest = format_of(call.logits.dtype).largest_finite
    x = call.logits
    return right(call, logits=np.where(np.abs(x) >= largest, x * x.dtype.type(2), x))


@mistaken("float16", "float32")
def weight_before_scaling(call: LossCall) -> Values:
    """Multiplies weight and pos_weight to the logit first, where the product overflows."""
    x, _, w, p = operands(call)
    overflows = np.isinf(w * p * x) & np.isfinite(x)
    return with_elements(call, np.where(overflows, np.inf, right_elements(call)))


@mistaken()
def pos_weight_zero_for_none(call: LossCall) -> Values:
    """Takes pos_weight 0 for one that is not given."""
    p = call.pos_weight
    return right(call, pos_weight=None if p is None else np.where(p == 0, p.dtype.type(1), p))


@mistaken()
def weight_zero_for_none(call: LossCall) -> Values:
    """Takes weight 0 for one that is not given."""
    w = call.weight
    return right(call, weight=None if w is None else np.where(w == 0, w.dtype.type(1), w))


@mistaken()
def two_roundings(call: LossCall) -> Values:
    """Errs by one unit in the last place, as a formula with two roundings may."""
    return _off(call, 1)


@mistaken()
def six_ulps_off(call: LossCall) -> Values:
    """Errs by six units in the last place, as a short polynomial may."""
    return _off(call, 6)


def _off(call: LossCall, ulps: int) -> Values:
    format_, values = format_of(call.logits.dtype), right(call)
    moved = {}
    for quantity, value in values.items():
        regular = np.isfinite(value) & (np.abs(value) > 2 * format_.smallest_normal)
        shifted = format_.from_ordinal(format_.ordinal(np.where(regular, value, 1)) - ulps)
        moved[quantity] = np.where(regular, shifted.reshape(value.shape), value)
    return moved


@mistaken()
def sign_of_zero_logit(call: LossCall) -> Values:
    """Takes the logit −0 for a negative number and returns the loss of the tail, 0."""
    confused = (call.logits == 0) & np.signbit(call.logits)
    return with_elements(call, np.where(confused, 0, right_elements(call)))


@mistaken()
def coarse_table(call: LossCall) -> Values:
    """Errs by 24 u·S for |x| > 2, S being the scale of level A, as a table with too few entries."""
    _, _, _, p = operands(call)
    coarse = (np.abs(call.logits) > 2) & ((p >= 2) | (p == 1))
    return _off_by_scale(call, np.where(coarse, 24, 0))


@mistaken()
def rough_polynomial(call: LossCall) -> Values:
    """Errs by 12 u·S, S being the scale of level A, as a polynomial of too low a degree."""
    return _off_by_scale(call, np.full(call.logits.shape, 12))


def _off_by_scale(call: LossCall, units: Array) -> Values:
    x, _, w, p = (wide(operand) for operand in operands(call))
    values, unit = right(call), format_of(call.logits.dtype).unit_roundoff
    for quantity, value in values.items():
        terms = units.astype(np.float64)
        terms = terms if quantity == "grad_weight" else terms * np.abs(w)
        terms = terms if quantity == "grad_pos_weight" else terms * np.maximum(1, p)
        if quantity not in ("grad_logits", "jvp_logits", "hvp_logits"):
            terms = terms * np.maximum(1, np.abs(x))
        scale = np.abs(contracted(call, quantity, terms))
        values[quantity] = (wide(value) + unit * wide(scale)).astype(value.dtype)
    return values


@mistaken()
def largest_rounded_up(call: LossCall) -> Values:
    """Rounds a loss up to infinity that is the largest finite number."""
    values = right(call)
    if "loss" in values:
        largest = format_of(values["loss"].dtype).largest_finite
        values["loss"] = np.where(values["loss"] == largest, np.inf, values["loss"])
        values["loss"] = values["loss"].astype(call.logits.dtype)
    return values


@mistaken()
def negative_tail_in_float16(call: LossCall) -> Values:
    """Computes the losses of negative logits with targets of 0 in half precision."""
    elements = right_elements(call)
    half = elements.astype(np.float16).astype(np.float64)
    return with_elements(call, np.where((call.logits < 0) & (call.targets == 0), half, elements))

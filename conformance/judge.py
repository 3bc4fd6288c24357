"""The judge: a computed array against the truth, element by element, as levels A, AA and AAA.

Guarantees that no level depends on how far the bounds themselves over- or underflow: they are
compared as logarithms to base 2. The definitions are those of SPEC.md, "Levels".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.reference import Format, Truth, ulp_error
from bce_conformance.results.cells import Level

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

# Rounding errors of the logarithms that the bounds are compared in: far below any bound's meaning.
SLACK = 1e-9
_BITS = 2.0**12  # more than the logarithm of any ratio of two numbers of a format


@dataclass(frozen=True)
class Bounds:
    """What the errors of one array are measured against.

    Attributes:
        scale: log₂ S of level A, of the shape of the result; −inf where S is zero.
        larger_term: log₂ of the larger of the two terms whose difference the result is, where level
            AA allows its ulp instead of the result's; None where it does not.
        terms: N for a sum of N terms, 1 for an element.
    """

    scale: Floats
    larger_term: Floats | None = None
    terms: int = 1

    @property
    def growth(self) -> float:
        """The factor by which the bounds of A and AA grow for a sum."""
        return 1.0 + float(np.log2(self.terms))


@dataclass(frozen=True)
class Judgement:
    """Levels (int8, see ``Level``) and ULP errors (float64) of one array, flattened."""

    levels: NDArray[np.int8]
    ulp: Floats

    @property
    def level(self) -> Level:
        """The least level; judging no element at all is a failure to judge.

        Raises:
            ValueError: there is no element.
        """
        if not self.levels.size:
            raise ValueError("levels is empty: nothing was judged")
        return Level(int(self.levels.min()))

    def worst(self, apart: Booleans | None = None) -> int:
        """Index of the worst element: the least level, and of those the largest error.

        Elements that are to be kept ``apart`` come after the others of their level.
        """
        ulp = self.ulp if apart is None else np.where(apart, -1.0, self.ulp)
        lowest = np.flatnonzero(self.levels == self.levels.min())
        return int(lowest[np.argmax(ulp[lowest])])


def judge(got: Array, truth: Truth, format_: Format, bounds: Bounds) -> Judgement:
    """Give each element of ``got`` its level.

    Args:
        got: computed values, in the format and of the shape of ``truth.nearest``.
        truth: the exact values.
        format_: the format of both.
        bounds: what levels A and AA allow.

    Raises:
        ValueError: shape or format of ``got`` differ from the truth's.
    """
    nearest = np.asarray(truth.nearest)
    if got.shape != nearest.shape:
        raise ValueError(f"got has shape {got.shape}, the truth {nearest.shape}")
    if got.dtype != nearest.dtype:
        raise ValueError(f"got has dtype {got.dtype}, the truth {nearest.dtype}")
    error = np.asarray(ulp_error(got, truth), dtype=np.float64).ravel()
    computed, exact = as_float64(got).ravel(), as_float64(nearest).ravel()
    offset = np.asarray(truth.offset, dtype=np.float64).ravel()

    faithful = (error < 1) & _sign_is_right(computed, exact, offset)
    faithful &= _is_finite_where_due(computed, exact)
    accurate = faithful | _is_accurate(computed, exact, error, format_, bounds)
    safe = accurate | _is_safe(computed, exact, error, format_, bounds)
    levels = np.zeros(error.shape, dtype=np.int8)
    levels[safe] = Level.A
    levels[accurate] = Level.AA
    levels[faithful] = Level.AAA
    return Judgement(levels, error)


def severity(judgement: Judgement, truth: Truth, format_: Format, bounds: Bounds) -> Floats:
    """How near each element of what was judged is to the next lower level: larger is worse.

    The order is that of the levels first, within one that of the error by what the level allows.
    """
    exact = as_float64(truth.nearest).ravel()
    error_bits = _error_bits(exact, judgement.ulp, format_)
    over_ulp = log2(judgement.ulp)
    if bounds.larger_term is not None:
        larger = error_bits - _ulp_exponent(bounds.larger_term.ravel(), format_)
        over_ulp = np.where(judgement.levels == Level.AA, np.fmin(over_ulp, larger), over_ulp)
    with np.errstate(invalid="ignore"):
        over_scale = error_bits - np.broadcast_to(bounds.scale, truth.nearest.shape).ravel()
    nearness = np.where(judgement.levels >= Level.AA, over_ulp, over_scale)
    within: Floats = np.clip(np.nan_to_num(nearness, nan=-_BITS, neginf=-_BITS), -_BITS, _BITS)
    return within - 4 * _BITS * judgement.levels


def as_float64(values: Array) -> Floats:
    """The values, exactly: every format embeds in float64."""
    return np.asarray(values).astype(np.float64)


def _sign_is_right(computed: Floats, exact: Floats, offset: Floats) -> Booleans:
    """A result that is not exactly zero has a sign, also where it rounds to zero."""
    signed = ~np.isnan(exact) & ((exact != 0) | (offset != 0))
    right: Booleans = ~signed | (np.signbit(computed) == np.signbit(exact))
    return right


def _is_accurate(
    computed: Floats, exact: Floats, error: Floats, format_: Format, bounds: Bounds
) -> Booleans:
    allowed = 4.0 * bounds.growth
    flushed = (np.abs(exact) < format_.smallest_normal) & (computed == 0)
    accurate: Booleans = (error <= allowed) | flushed
    if bounds.larger_term is not None:
        error_bits = _error_bits(exact, error, format_)
        allowed_bits = np.log2(allowed) + _ulp_exponent(bounds.larger_term.ravel(), format_)
        accurate |= np.isfinite(computed) & (error_bits <= allowed_bits + SLACK)
    accurate = accurate & _is_finite_where_due(computed, exact)
    return accurate


def _is_safe(
    computed: Floats, exact: Floats, error: Floats, format_: Format, bounds: Bounds
) -> Booleans:
    error_bits = _error_bits(exact, error, format_)
    allowed_bits = np.log2(16.0 * format_.unit_roundoff * bounds.growth) + bounds.scale.ravel()
    # An infinite S bounds nothing: there, infinities and NaN must match exactly.
    small = np.isfinite(allowed_bits) & (error_bits <= allowed_bits + SLACK)
    safe: Booleans = ((error == 0) | small) & _is_finite_where_due(computed, exact)
    return safe


def _is_finite_where_due(computed: Floats, exact: Floats) -> Booleans:
    finite: Booleans = np.isfinite(computed) | ~np.isfinite(exact)
    return finite


def log2(values: Floats) -> Floats:
    """The logarithm to base 2; −∞ for zero."""
    with np.errstate(divide="ignore"):
        logarithm: Floats = np.log2(values)
    return logarithm


def _error_bits(exact: Floats, error: Floats, format_: Format) -> Floats:
    """log₂ of errors that are given in ulps of the exact values."""
    bits: Floats = log2(error) + _ulp_exponent(log2(np.abs(exact)), format_)
    return bits


def _ulp_exponent(value_bits: Floats, format_: Format) -> Floats:
    """log₂ of the unit in the last place of values given by their log₂."""
    with np.errstate(invalid="ignore"):
        exponent = np.clip(np.floor(value_bits), format_.emin, format_.emax)
    unit: Floats = exponent - (format_.precision - 1)
    return unit


def bounds_for(call: LossCall, quantity: str) -> Bounds:
    """The bounds of SPEC.md for one quantity of a call.

    The shape is that of the quantity's result. Operands enter in absolute value.
    """
    logits = as_float64(call.logits)
    shape = logits.shape
    ones = np.ones(shape)
    weight = np.abs(as_float64(call.weight)) if call.weight is not None else ones
    pos_weight = np.abs(as_float64(call.pos_weight)) if call.pos_weight is not None else ones
    element = np.zeros(shape)
    if quantity != "grad_weight":
        element = element + log2(weight)
    if quantity != "grad_pos_weight":
        element = element + log2(np.maximum(1, pos_weight))
    if quantity not in ("grad_logits", "jvp_logits", "hvp_logits"):
        element = element + log2(np.maximum(1, np.abs(logits)))
    if quantity in ("jvp_logits", "hvp_logits") and call.tangent is not None:
        element = element + log2(np.abs(as_float64(call.tangent)))
    if call.cotangent is not None and quantity not in ("loss", "jvp_logits"):
        element = element + log2(np.abs(as_float64(call.cotangent)))
    if call.reduction == "mean" and logits.size:
        element = element - np.log2(logits.size)
    scale, terms = _accumulate(element, call, quantity)
    return Bounds(scale, _larger_term(call, quantity, weight, pos_weight), terms)


def _accumulate(element: Floats, call: LossCall, quantity: str) -> tuple[Floats, int]:
    """Sum S over the terms that the result sums, and count them."""
    operand: Array | None = None
    if quantity in ("loss", "jvp_logits"):
        if call.reduction == "none":
            return element, 1
        operand = np.empty(())
    elif quantity in ("grad_weight", "grad_pos_weight"):
        operand = call.weight if quantity == "grad_weight" else call.pos_weight
    if operand is None or operand.shape == element.shape:
        return element, 1
    padded = (1,) * (element.ndim - operand.ndim) + operand.shape
    axes = tuple(i for i, (a, b) in enumerate(zip(padded, element.shape, strict=True)) if a != b)
    if operand.ndim == 0:
        axes = tuple(range(element.ndim))
    total: Floats = np.logaddexp2.reduce(element, axis=axes) if axes else element
    return total.reshape(operand.shape), max(1, element.size // max(1, operand.size))


def _larger_term(
    call: LossCall, quantity: str, weight: Floats, pos_weight: Floats
) -> Floats | None:
    """log₂ of the larger term where the result is a difference of two, else None."""
    logits, targets = as_float64(call.logits), as_float64(call.targets)
    if quantity == "grad_logits" and ((targets > 0) & (targets < 1)).any():
        negative = log2(np.abs(1 - targets)) + _log2_sigmoid(logits)
        positive = log2(pos_weight * targets) + _log2_sigmoid(-logits)
    elif quantity == "grad_targets" and call.pos_weight is not None:
        negative = log2(np.logaddexp(0, logits))
        positive = log2(pos_weight) + log2(np.logaddexp(0, -logits))
    else:
        return None
    larger = np.maximum(negative, positive) + log2(weight)
    if call.cotangent is not None:
        larger = larger + log2(np.abs(as_float64(call.cotangent)))
    if call.reduction == "mean" and logits.size:
        larger = larger - np.log2(logits.size)
    hard = (targets == 0) | (targets == 1)
    return np.where(hard & (quantity == "grad_logits"), -np.inf, larger)


def _log2_sigmoid(logits: Floats) -> Floats:
    with np.errstate(over="ignore"):
        logarithm: Floats = -np.logaddexp(0, -logits) / np.log(2)
    return logarithm

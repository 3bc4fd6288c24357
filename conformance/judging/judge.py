"""The judge: a computed array against the truth, element by element, as levels A, AA and AAA.

Guarantees that no level depends on how far the bounds themselves over- or underflow: they are
compared as logarithms to base 2. The definitions are those of SPEC.md, "Levels".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mpmath
import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array
from bce_conformance.conformance.inputs.bounds import Bounds, Floats, as_float64, log2
from bce_conformance.reference import Format, Truth, flushed_to_zero, ulp_error, wrong_sign
from bce_conformance.results.cells import Level

Booleans = NDArray[np.bool_]
Indices = NDArray[np.int64]

# Rounding errors of the logarithms that the bounds are compared in: far below any bound's meaning.
SLACK = 1e-9
_MOST_ULPS = float(np.finfo(np.float64).max)  # larger errors are given as this one
_BITS = 2.0**12  # more than the logarithm of any ratio of two numbers of a format


@dataclass(frozen=True)
class Judgement:
    """What came of the elements of one array.

    Attributes:
        levels: int8, see ``Level``; one an element, flattened.
        ulp: the errors in units in the last place, likewise.
        counts: how many elements each entry stands for; None: one.
    """

    levels: NDArray[np.int8]
    ulp: Floats
    counts: NDArray[np.int64] | None = None

    @property
    def size(self) -> int:
        """How many elements were judged."""
        return self.levels.size if self.counts is None else int(self.counts.sum())

    def condensed(self) -> Judgement:
        """The same with equal entries once: where they stood is lost."""
        levels = np.unique(self.levels)
        found = [np.unique(self.ulp[self.levels == one], return_counts=True) for one in levels]
        sizes = [ulp.size for ulp, _ in found]
        ulp, counts = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return Judgement(np.repeat(levels, sizes), ulp, counts.astype(np.int64))

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
    levels = np.full(error.shape, Level.AAA, dtype=np.int8)
    # Nothing is to be said against a result with the bits of the nearest number, as most have.
    doubtful = np.flatnonzero(computed.view(np.int64) != exact.view(np.int64))
    if doubtful.size:
        levels[doubtful] = _levels(got, truth, format_, bounds, doubtful, error[doubtful])
    return Judgement(levels, error)


def _levels(
    got: Array, truth: Truth, format_: Format, bounds: Bounds, at: Indices, error: Floats
) -> NDArray[np.int8]:
    """The levels of the results at flat indices, whose errors are given."""
    part, bounds = _truth_at(truth, at), _bounds_at(bounds, truth.nearest.shape, at)
    got = got.ravel()[at]
    computed, exact = as_float64(got), as_float64(part.nearest)

    # A result that is not exactly zero has a sign, also where it rounds to zero.
    faithful = (error < 1) & ~wrong_sign(got, part)
    faithful &= _is_finite_where_due(computed, exact)
    levels = np.zeros(error.shape, dtype=np.int8)
    if not faithful.all():  # else the wider bounds need no look
        accurate = faithful | flushed_to_zero(got, part)
        bits = _error_bits(part, error)
        _correct_capped(bits, computed, error, truth, at)
        accurate |= _is_accurate(computed, exact, error, bits, format_, bounds)
        safe = accurate | _is_safe(computed, exact, error, bits, format_, bounds)
        levels[safe] = Level.A
        levels[accurate] = Level.AA
    levels[faithful] = Level.AAA
    return levels


def _truth_at(truth: Truth, at: Indices) -> Truth:
    """What is known of the results at flat indices; their exact values are asked of the whole."""
    return replace(
        truth,
        nearest=truth.nearest.ravel()[at],
        offset=truth.offset.ravel()[at],
        precision=truth.precision.ravel()[at],
    )


def _bounds_at(bounds: Bounds, shape: tuple[int, ...], at: Indices) -> Bounds:
    scale = np.broadcast_to(bounds.scale, shape).ravel()[at]
    larger = bounds.larger_term
    if larger is not None:
        larger = np.broadcast_to(larger, shape).ravel()[at]
    return replace(bounds, scale=scale, larger_term=larger)


def severity(judgement: Judgement, truth: Truth, format_: Format, bounds: Bounds) -> Floats:
    """How near each element of what was judged is to the next lower level: larger is worse.

    The order is that of the levels first, within one that of the error by what the level allows.
    """
    error_bits = _error_bits(truth, judgement.ulp)
    over_ulp = log2(judgement.ulp)
    if bounds.larger_term is not None:
        larger = error_bits - _ulp_exponent(bounds.larger_term.ravel(), format_)
        over_ulp = np.where(judgement.levels == Level.AA, np.fmin(over_ulp, larger), over_ulp)
    with np.errstate(invalid="ignore"):
        over_scale = error_bits - np.broadcast_to(bounds.scale, truth.nearest.shape).ravel()
    nearness = np.where(judgement.levels >= Level.AA, over_ulp, over_scale)
    within: Floats = np.clip(np.nan_to_num(nearness, nan=-_BITS, neginf=-_BITS), -_BITS, _BITS)
    return within - 4 * _BITS * judgement.levels


def _is_accurate(
    computed: Floats, exact: Floats, error: Floats, bits: Floats, format_: Format, bounds: Bounds
) -> Booleans:
    allowed = 4.0 * bounds.growth
    accurate: Booleans = error <= allowed
    if bounds.larger_term is not None:
        allowed_bits = np.log2(allowed) + _ulp_exponent(bounds.larger_term.ravel(), format_)
        accurate |= np.isfinite(computed) & (bits <= allowed_bits + SLACK)
    accurate = accurate & _is_finite_where_due(computed, exact)
    return accurate


def _is_safe(
    computed: Floats, exact: Floats, error: Floats, bits: Floats, format_: Format, bounds: Bounds
) -> Booleans:
    allowed_bits = np.log2(16.0 * format_.unit_roundoff * bounds.growth) + bounds.scale.ravel()
    # An infinite S bounds nothing: there, infinities and NaN must match exactly.
    small = np.isfinite(allowed_bits) & (bits <= allowed_bits + SLACK)
    safe: Booleans = ((error == 0) | small) & _is_finite_where_due(computed, exact)
    return safe


def _is_finite_where_due(computed: Floats, exact: Floats) -> Booleans:
    finite: Booleans = np.isfinite(computed) | ~np.isfinite(exact)
    return finite


def _error_bits(truth: Truth, error: Floats) -> Floats:
    """log₂ of errors that are given in ulps of the exact values."""
    bits: Floats = log2(error) + log2(truth.ulp.ravel())
    return bits


def _correct_capped(
    bits: Floats, computed: Floats, error: Floats, truth: Truth, at: Indices
) -> None:
    """Put the logarithms right of errors that are more ulps than float64 counts.

    One of the two values is beyond all comparison with the other then, and the error is its size.
    """
    capped = np.flatnonzero((error == _MOST_ULPS) & np.isfinite(computed))
    bits[capped] = log2(np.abs(computed[capped]))
    overflowed = np.isinf(as_float64(truth.nearest).ravel()[at[capped]])
    for index in capped[overflowed].tolist():
        bits[index] = float(mpmath.log(abs(truth.exact(int(at[index]))), 2))


def _ulp_exponent(value_bits: Floats, format_: Format) -> Floats:
    """log₂ of the unit in the last place of values given by their log₂."""
    with np.errstate(invalid="ignore"):
        exponent = np.clip(np.floor(value_bits), format_.emin, format_.emax)
    unit: Floats = exponent - (format_.precision - 1)
    return unit

"""How far results are from the truth.

Guarantees: a NaN that the truth does not have measures as an infinite error, and an infinity that
it does not have never as a small one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .formats import Format, format_of
from .truth import Truth, ulp_at

Float64 = NDArray[np.float64]
_LARGEST = float(np.finfo(np.float64).max)


def _read(got: ArrayLike, truth: Truth) -> Float64:
    """Return results in float64, exactly.

    Raises:
        TypeError: not of one of the four formats.
        ValueError: of another shape than the truth.
    """
    array = np.asarray(got)
    format_of(array.dtype)
    if array.shape != truth.nearest.shape:
        raise ValueError(f"got has shape {array.shape}; the truth has {truth.nearest.shape}")
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return np.asarray(array.astype(np.float64))


def _nearest(truth: Truth) -> Float64:
    with np.errstate(invalid="ignore"):
        return np.asarray(truth.nearest.astype(np.float64))


def _in_ulps(value: Float64, unit: Float64, format_: Format) -> Float64:
    """Return values in ulps at the exact values, an infinity as 2^(emax+1).

    The quotients are exact: an ulp is a power of two. 2^(emax+1) is float64's own overflow, hence
    2·(2^emax/ulp).
    """
    infinite = np.isinf(value)
    ulps = value / unit
    if not infinite.any():
        return ulps
    beyond = 2.0 * (2.0**format_.emax / unit)
    return np.where(infinite, np.sign(value) * beyond, ulps)


def ulp_error(got: ArrayLike, truth: Truth) -> Float64:
    """Return |got − exact| in units of the last place of the truth's format at the exact value.

    Args:
        got: results, of the truth's shape, in any of the four formats (measured in the truth's).
        truth: what they should be.

    Returns:
        float64 of that shape. Both NaN: 0; one of them NaN: ∞. The exact value infinite: 0 for the
        same infinity, else ∞. An infinite ``got`` of a finite exact value counts as 2^(emax+1), and
        0 where that infinity is the correctly rounded value. A finite error beyond float64 is its
        largest finite number. The signs of zeros do not matter here: see ``wrong_sign``.

    Raises:
        TypeError: ``got`` is not of one of the four formats.
        ValueError: it has another shape than the truth.
    """
    value, near = _read(got, truth), _nearest(truth)
    # Most results are the nearest numbers themselves, whose error is the truth's own offset.
    error = np.where(np.isfinite(near), np.abs(truth.offset), 0.0)
    other = value.view(np.int64) != near.view(np.int64)
    if other.any():
        error[other] = _errors(value[other], near[other], truth.offset[other], truth.format)
    return error


def _errors(value: Float64, near: Float64, offset: Float64, format_: Format) -> Float64:
    unit = ulp_at(near, offset, format_)
    with np.errstate(all="ignore"):
        off = _in_ulps(value, unit, format_) - _in_ulps(near, unit, format_)
        error = np.abs(off - offset)
    finite = np.isfinite(offset) & ~np.isnan(value)
    error = np.where(finite, np.where(error <= _LARGEST, error, _LARGEST), np.inf)
    same = (np.isnan(value) & np.isnan(near)) | (np.isinf(near) & (value == near))
    return np.where(same, 0.0, error)


def wrong_sign(got: ArrayLike, truth: Truth) -> NDArray[np.bool_]:
    """Tell where a result has the other sign than an exact value that is not zero, zeros included.

    Raises:
        TypeError, ValueError: as ``ulp_error``.
    """
    value, near = _read(got, truth), _nearest(truth)
    signed = ~(np.isnan(value) | np.isnan(near) | truth.is_zero)
    return np.asarray(signed & (np.signbit(value) != np.signbit(near)))


def flushed_to_zero(got: ArrayLike, truth: Truth) -> NDArray[np.bool_]:
    """Tell where a result is zero although the exact value is below the smallest normal number.

    Raises:
        TypeError, ValueError: as ``ulp_error``.
    """
    value, near = _read(got, truth), _nearest(truth)
    smallest = truth.format.smallest_normal
    rounded_up = (np.abs(near) == smallest) & (np.sign(near) * np.sign(truth.offset) < 0)
    subnormal = (near != 0) & (np.abs(near) < smallest) | rounded_up
    return np.asarray(subnormal & (value == 0))

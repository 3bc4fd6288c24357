"""How far results are from the truth.

Guarantees: a NaN or an infinity that the truth does not have never measures as a small error, and
no metric hides it: it is infinite in every one, and counted as ``total loss`` in the histogram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .formats import Format, format_of
from .truth import Truth

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
    value, near, unit = _read(got, truth), _nearest(truth), truth.ulp
    with np.errstate(all="ignore"):
        off = _in_ulps(value, unit, truth.format) - _in_ulps(near, unit, truth.format)
        error = np.abs(off - truth.offset)
    finite = np.isfinite(truth.offset) & ~np.isnan(value)
    error = np.where(finite, np.where(error <= _LARGEST, error, _LARGEST), np.inf)
    same = (np.isnan(value) & np.isnan(near)) | (np.isinf(near) & (value == near))
    return np.where(same, 0.0, error)


def absolute_error(got: ArrayLike, truth: Truth) -> Float64:
    """Return |got − exact|, by the rules of ``ulp_error`` for NaN and infinities, as float64.

    Raises:
        TypeError, ValueError: as ``ulp_error``.
    """
    error = ulp_error(got, truth)
    with np.errstate(all="ignore"):
        size = error * truth.ulp
    return np.where(np.isfinite(error), np.minimum(size, _LARGEST), error)


def relative_error(got: ArrayLike, truth: Truth) -> Float64:
    """Return |got − exact|/|exact|, by the rules of ``ulp_error`` for NaN and infinities.

    An exact value of zero gives 0 for a zero and ∞ for anything else.

    Raises:
        TypeError, ValueError: as ``ulp_error``.
    """
    error = ulp_error(got, truth)
    with np.errstate(all="ignore"):
        exact = _in_ulps(_nearest(truth), truth.ulp, truth.format) + truth.offset
        ratio = error / np.abs(exact)
    return np.where(error == 0, 0.0, np.where(np.isnan(ratio), np.inf, ratio))


def bits_of_error(got: ArrayLike, truth: Truth) -> Float64:
    """Return log2(1 + ulp error): 0 for an exact result, about the precision for a total loss.

    Raises:
        TypeError, ValueError: as ``ulp_error``.
    """
    return np.asarray(np.log2(1.0 + ulp_error(got, truth)))


def correctly_rounded(got: ArrayLike, truth: Truth) -> NDArray[np.bool_]:
    """Tell where a result is the nearest number, of the exact value's sign where that is not zero.

    Raises:
        TypeError, ValueError: as ``ulp_error``.
    """
    value, near = _read(got, truth), _nearest(truth)
    same = (value == near) | (np.isnan(value) & np.isnan(near))
    return np.asarray(same & ~wrong_sign(got, truth))


def wrong_sign(got: ArrayLike, truth: Truth) -> NDArray[np.bool_]:
    """Tell where a result has the other sign than an exact value that is not zero, zeros included.

    Raises:
        TypeError, ValueError: as ``ulp_error``.
    """
    value, near = _read(got, truth), _nearest(truth)
    signed = ~(np.isnan(value) | np.isnan(near) | truth.is_zero)
    return np.asarray(signed & (np.signbit(value) != np.signbit(near)))


def flushed_to_zero(got: ArrayLike, truth: Truth) -> NDArray[np.bool_]:
    """Tell where a result is zero although the nearest number is a subnormal one.

    Raises:
        TypeError, ValueError: as ``ulp_error``.
    """
    value, near = _read(got, truth), _nearest(truth)
    subnormal = (near != 0) & (np.abs(near) < truth.format.smallest_normal)
    return np.asarray(subnormal & (value == 0))


# Upper ends of the histogram's classes, in ulps; what lies above, or is not finite, is a total loss
# from 2^(precision − 1) on: no digit is right.
_ENDS = (0.0, 0.5, 1.0, 2.0, 4.0, 16.0, 256.0, 65536.0)


@dataclass(frozen=True)
class Summary:
    """The errors of many results.

    Attributes:
        count: how many there are; with 0, nothing was measured and the numbers are NaN.
        max, p99, mean: of the ulp errors; the mean is ∞ if one of them is.
        correctly_rounded: share of results.
        flushed: of the results whose nearest number is subnormal, the share that is zero; NaN
            where there are none.
        wrong_signs: how many.
        histogram: class → count, such as ``"0"``, ``"≤0.5"``, …, ``"more"``, ``"total loss"``.
        worst: flat index of the largest error, −1 with no results.
    """

    count: int
    max: float
    p99: float
    mean: float
    correctly_rounded: float
    flushed: float
    wrong_signs: int
    histogram: dict[str, int]
    worst: int


def histogram(error: ArrayLike, precision: int) -> dict[str, int]:
    """Count ulp errors by class, every one of them once.

    Args:
        error: ulp errors, any shape.
        precision: the format's; from 2^(precision − 1) ulps on no digit of a result is right.
    """
    flat = np.asarray(error, np.float64).reshape(-1)
    lost = ~(flat < 2.0 ** (precision - 1))
    labels = ["0", *(f"≤{end:g}" for end in _ENDS[1:]), "more"]
    classes = np.searchsorted(np.array(_ENDS), flat[~lost], "left")
    counts = np.bincount(classes, minlength=len(labels)).tolist()
    return {**dict(zip(labels, counts, strict=True)), "total loss": int(lost.sum())}


def summary(got: ArrayLike, truth: Truth) -> Summary:
    """Return all the figures of one set of results.

    Raises:
        TypeError, ValueError: as ``ulp_error``.
    """
    error = ulp_error(got, truth).reshape(-1)
    bins = histogram(error, truth.format.precision)
    if not error.size:
        nan = float("nan")
        return Summary(0, nan, nan, nan, nan, nan, 0, bins, -1)
    near = np.abs(_nearest(truth))
    subnormal = int(((near != 0) & (near < truth.format.smallest_normal)).sum())
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(error.mean())
    return Summary(
        count=error.size,
        max=float(error.max()),
        p99=float(np.sort(error)[min(error.size - 1, int(np.ceil(0.99 * error.size)))]),
        mean=mean,
        correctly_rounded=float(correctly_rounded(got, truth).mean()),
        flushed=float(flushed_to_zero(got, truth).sum() / subnormal) if subnormal else float("nan"),
        wrong_signs=int(wrong_sign(got, truth).sum()),
        histogram=bins,
        worst=int(error.argmax()),
    )

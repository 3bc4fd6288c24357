"""How far a result is from the truth.

Guarantees: a NaN or an infinity that the truth does not have never measures as a finite error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .formats import format_of
from .truth import Truth


def _wide(got: NDArray[Any], truth: Truth) -> NDArray[np.float64]:
    array = np.asarray(got)
    format_of(array.dtype)
    if array.shape != truth.nearest.shape:
        raise ValueError(f"got has shape {array.shape}; the truth has {truth.nearest.shape}")
    return array.astype(np.float64)


def ulp_error(got: NDArray[Any], truth: Truth) -> NDArray[np.float64]:
    """Return |got − exact| in units of the last place of the truth's format at the exact value.

    Args:
        got: results, of the truth's shape, in any of the four formats (measured in the truth's).
        truth: what they should be.

    Returns:
        float64 of that shape. Both NaN: 0; one of them NaN: ∞. The exact value infinite: 0 for the
        same infinity, else ∞. An infinite ``got`` of a finite exact value counts as 2^(emax+1), and
        0 where that infinity is the correctly rounded value. A finite error beyond float64 is its
        largest finite number. The signs of zeros do not matter here.

    Raises:
        TypeError: ``got`` is not of one of the four formats.
        ValueError: it has another shape than the truth.
    """
    value, near = _wide(got, truth), truth.nearest.astype(np.float64)
    fmt, unit = truth.format, truth.ulp
    with np.errstate(all="ignore"):
        # value/unit and near/unit are exact: unit is a power of two. 2^(emax+1)/unit is written as
        # 2·(2^emax/unit), as it is beyond float64 for float64.
        beyond = 2.0 * (2.0**fmt.emax / unit)
        steps = np.where(np.isinf(value), np.sign(value) * beyond, value / unit)
        anchor = np.where(np.isinf(near), np.sign(near) * beyond, near / unit)
        error = np.abs((steps - anchor) - truth.offset)
    error = np.where(np.isnan(error), np.inf, error)
    finite_truth = np.isfinite(truth.offset)
    error = np.where(finite_truth & ~np.isnan(value), np.minimum(error, np.finfo(float).max), error)
    error = np.where(finite_truth, error, np.inf)
    same = (np.isnan(value) & np.isnan(near)) | (np.isinf(near) & (value == near))
    return np.where(same, 0.0, error)

"""Arrangements in memory: an array of any number of dimensions, laid out as a level says.

Guarantees that the result equals the argument, element for element and bit for bit. Between
elements that lie apart there is what no operand holds, so that reading it shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bce_conformance.backends.calls import Array
from bce_conformance.conformance.inputs.layouts import read_only, transposed, unaligned

Random = np.random.Generator

# An array with gaps lies in one of at most so many elements, or of so many times its own.
_SPANNED = 100_000
_SPARSE = 4


def repeated_rows(values: Array, random: Random) -> Array:
    """The array with all rows like the first, in a dimension that is chosen, and with stride 0."""
    axes = [axis for axis, size in enumerate(values.shape) if size > 1]
    if not axes:
        return values
    axis = axes[random.integers(len(axes))]
    first = np.ascontiguousarray(np.take(values, [0], axis=axis))
    return np.broadcast_to(first, values.shape)


def arranged(values: Array, layout: str, random: Random) -> Array:
    """The array in a layout, a level of the factors about layouts.

    Args:
        values: any shape; for ``stride 0`` what ``repeated_rows`` gave.
        layout: the level.
        random: chooses dimensions, distances and orders.

    Raises:
        ValueError: the layout is unknown.
    """
    if layout in ("C", "stride 0"):
        return values
    if layout == "F":
        return transposed(values)
    if layout == "permuted":
        return _permuted(values, random)
    if layout == "gaps":
        return _with_gaps(values, random)
    if layout == "reversed":
        return _reversed(values, random)
    if layout == "unaligned":
        return unaligned(values)
    if layout == "read-only":
        return read_only(values)
    raise ValueError(f"layout is {layout!r}, which is no level of the factors about layouts")


def _permuted(values: Array, random: Random) -> Array:
    """Dense in an order of the dimensions that is neither C nor Fortran."""
    order = list(range(values.ndim))
    while order in (sorted(order), sorted(order, reverse=True)):
        order = [int(axis) for axis in random.permutation(values.ndim)]
    return np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))


def _with_gaps(values: Array, random: Random) -> Array:
    """A part of a larger array, with steps of 1 to 3 that are not all 1.

    In six dimensions that would be an array of a thousand times as many elements: of large ones,
    dimensions are dense from the first on until it is of a few times as many.
    """
    steps = random.integers(1, 4, values.ndim)
    kept = random.integers(values.ndim)
    steps[kept] = random.integers(2, 4)
    before = random.integers(0, 3, values.ndim)
    for axis in range(values.ndim):
        spanned = np.prod(values.shape * steps + before)
        if axis != kept and spanned > max(_SPANNED, _SPARSE * values.size):
            steps[axis], before[axis] = 1, 0
    sizes = tuple(int(n * s + b) for n, s, b in zip(values.shape, steps, before, strict=True))
    larger = np.full(sizes, _foreign(values.dtype), values.dtype)
    part = larger[tuple(slice(int(b), None, int(s)) for b, s in zip(before, steps, strict=True))]
    part[...] = values
    return part


def _foreign(dtype: np.dtype[Any]) -> object:
    """What no operand holds."""
    if dtype.kind == "b":
        return True
    return np.iinfo(dtype).max if dtype.kind in "iu" else np.nan


def _reversed(values: Array, random: Random) -> Array:
    """Negative strides in some dimensions, in one at least."""
    flipped = random.random(values.ndim) < 0.5
    flipped[random.integers(values.ndim)] = True
    back = tuple(slice(None, None, -1 if flip else 1) for flip in flipped)
    return np.ascontiguousarray(values[back])[back]

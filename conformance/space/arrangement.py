"""Arrangements in memory: an array of any number of dimensions, laid out as a level says.

Guarantees that the result equals the argument, element for element and bit for bit. Between
elements that lie apart there is what no operand holds, so that reading it shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from bce_conformance.backends.calls import Array
from bce_conformance.conformance.inputs.layouts import read_only, transposed, unaligned

Random = np.random.Generator

# An array with gaps lies in one of at most so many elements, or of so many times its own.
_SPANNED = 100_000
_SPARSE = 4
# So few elements lie so many apart at times: beyond 16 bits.
_FEW = 8
_WIDE = (65_537, 70_000)
# So many of the dense arrays do not begin where a vector does, of so many elements at most.
_WITHIN = 0.4
_VECTOR = 16
_PERIOD = 127  # so many of the first elements of an array may differ
_WINDOWS = 999  # elements up to which an array may consist of windows, whose rows all differ


def overlapping(values: Array, random: Random) -> Array:
    """An array of some of the values that lies in less memory than it has elements.

    All rows are like the first in a dimension that is chosen, with stride 0; or, of few elements in
    several dimensions, each row lies one element behind the one before. Where that leaves equal
    elements alone they become two values in no order.
    """
    axes = [axis for axis, size in enumerate(values.shape) if size > 1]
    if not axes:
        return values
    if len(axes) > 1 and values.size <= _WINDOWS and random.random() < 0.5:
        needed = sum(values.shape) - values.ndim + 1
        steps = (values.itemsize,) * values.ndim
        return as_strided(values.ravel()[:needed].copy(), values.shape, steps, writeable=False)
    axis = axes[random.integers(len(axes))]
    first = np.ascontiguousarray(np.take(values, [0], axis=axis))
    if first.size > 1 and same(first, first.flat[0]):
        first = random.choice(values.ravel()[:_PERIOD], 2)[random.integers(0, 2, first.shape)]
    return np.broadcast_to(first, values.shape)


def same(values: Array, one: object) -> bool:
    """Whether all values are one, or NaN as it is."""
    return bool(np.all((values == one) | ((values != values) & (one != one))))


def interleaved(one: Array, other: Array) -> tuple[Array, Array]:
    """Two arrays of one shape and format as two columns of one table: each is between the other."""
    table = np.stack([one, other], axis=-1)
    return table[..., 0], table[..., 1]


def arranged(values: Array, layout: str, random: Random) -> Array:
    """The array in a layout, a level of the factors about layouts.

    Args:
        values: any shape; for ``overlapping`` what the function of that name gave, for
            ``interleaved`` what it will be given.
        layout: the level.
        random: chooses dimensions, distances and orders.

    Raises:
        ValueError: the layout is unknown.
    """
    if layout == "C":
        return _from_within(values, random) if random.random() < _WITHIN else values
    if layout in ("overlapping", "interleaved"):
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
        return unaligned(values) if random.random() < 0.5 else _field_of_records(values)
    if layout == "read-only":
        return read_only(values)
    raise ValueError(f"layout is {layout!r}, which is no level of the factors about layouts")


def _from_within(values: Array, random: Random) -> Array:
    """Dense from one of the first elements of a larger array on: no address of a vector."""
    before = int(random.integers(1, _VECTOR))
    larger = np.full(values.size + before, _foreign(values.dtype), values.dtype)
    larger[before:] = values.ravel()
    return larger[before:].reshape(values.shape)


def _permuted(values: Array, random: Random) -> Array:
    """Dense in an order of the dimensions that is neither C nor Fortran: most often channels last.

    Kernels for images tell that order from others, if all operands have it.
    """
    order = list(range(values.ndim))
    while order in (sorted(order), sorted(order, reverse=True)):
        order = [int(axis) for axis in random.permutation(values.ndim)]
    if order[-1] != 0:
        order = [0, *range(2, values.ndim), 1]
    return np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))


def _field_of_records(values: Array) -> Array:
    """A field of packed records of one byte more: steps that are no multiple of an element."""
    records = np.zeros(values.shape, [("before", np.uint8), ("value", values.dtype)])
    records["value"] = values
    return records["value"]


def _with_gaps(values: Array, random: Random) -> Array:
    """A part of a larger array, with steps of 1 to 3 that are not all 1; of few elements wide ones.

    In six dimensions that would be an array of a thousand times as many elements: of large ones,
    dimensions are dense from the first on until it is of a few times as many.
    """
    steps = random.integers(1, 4, values.ndim)
    kept = random.integers(values.ndim)
    steps[kept] = random.integers(2, 4)
    if values.size <= _FEW and random.random() < 0.3:
        steps[kept] = random.integers(*_WIDE)
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

"""Layouts: the same array otherwise laid out in memory.

Each function returns an array that equals its argument, element for element and bit for bit, and
whose memory looks different. Gaps between elements hold NaN, so that reading them shows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bce_conformance.backends.calls import Array
from bce_conformance.backends.memory import ALIGNMENT

Layout = Callable[[Array], Array]


def with_gaps(array: Array) -> Array:
    """Every second row and every third column of a larger array."""
    rows, columns = array.shape
    larger = np.full((2 * rows, 3 * columns), np.nan, array.dtype)
    larger[::2, 1::3] = array
    return larger[::2, 1::3]


def inner(array: Array) -> Array:
    """The middle of a larger array: rows are dense, and apart."""
    rows, columns = array.shape
    larger = np.full((rows + 2, columns + 5), np.nan, array.dtype)
    larger[1:-1, 2:-3] = array
    return larger[1:-1, 2:-3]


def transposed(array: Array) -> Array:
    """The transpose of a dense array: Fortran order."""
    return np.asfortranarray(array)


def backwards(array: Array) -> Array:
    """Negative strides in all dimensions."""
    reverse = (slice(None, None, -1),) * array.ndim
    return array[reverse].copy()[reverse]


def rows_backwards(array: Array) -> Array:
    """A negative stride in the first dimension only."""
    return array[::-1].copy()[::-1]


def unaligned(array: Array) -> Array:
    """Elements at addresses that are no multiples of their size."""
    return _at(array, 1)


def read_only(array: Array) -> Array:
    """Memory that must not be written to."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def at_element(offset: int) -> Layout:
    """Dense, ``offset`` elements behind an address that suits the widest vector register."""

    def layout(array: Array) -> Array:
        return _at(array, offset * array.itemsize)

    return layout


def _at(array: Array, offset: int) -> Array:
    """A dense copy, ``offset`` bytes behind a multiple of the alignment."""
    room = np.empty(array.nbytes + offset + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT + offset
    copy: Array = np.ndarray(array.shape, array.dtype, room, start)
    copy[...] = array
    return copy

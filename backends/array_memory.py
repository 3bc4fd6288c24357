"""The memory under an array: the bytes that it walks through, and the same walk through a copy.

Guarantees that a rebuilt array has the strides, the overlaps, the alignment and the writability of
the original, so that what an implementation does with a layout can be judged.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .calls import Array

# A cache line, and the widest vector register: addresses that agree modulo this are alike.
ALIGNMENT = 64
# Around a rebuilt array: all bits set, which is NaN in every format, so that reading beyond shows.
_GUARD = 0xFF


@dataclass(frozen=True)
class Layout:
    """Where the elements of an array lie within the bytes that it spans.

    Attributes:
        shape: of the array.
        strides: bytes from one element to the next, by dimension; any sign, or zero.
        start: byte of the first element.
        skew: address of the first byte modulo ``ALIGNMENT``.
        writeable: whether it may be written to.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int
    skew: int
    writeable: bool


def _reach(array: Array) -> tuple[int, int]:
    """How many bytes before and behind its first element an array goes."""
    if not array.size:
        return 0, 0
    steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    return -sum(s for s in steps if s < 0), sum(s for s in steps if s > 0) + array.itemsize


def layout_of(array: Array) -> Layout:
    """Return the layout of ``array``."""
    before, _ = _reach(array)
    skew = (array.ctypes.data - before) % ALIGNMENT
    return Layout(array.shape, array.strides, before, skew, bool(array.flags.writeable))


def memory_of(array: Array) -> NDArray[np.uint8]:
    """Return the bytes from the lowest to the highest of ``array``, in place: it must outlive them.

    Gaps between its elements are included.
    """
    before, behind = _reach(array)
    span: Any = (ctypes.c_uint8 * (before + behind)).from_address(array.ctypes.data - before)
    return np.frombuffer(span, np.uint8)


def placed(data: NDArray[np.uint8], skew: int) -> NDArray[np.uint8]:
    """Return a copy of ``data`` at an address that is ``skew`` modulo ``ALIGNMENT``."""
    room = np.empty(data.size + 2 * ALIGNMENT, np.uint8)
    first = (skew - room.ctypes.data) % ALIGNMENT
    room[:first], room[first + data.size :] = _GUARD, _GUARD
    room[first : first + data.size] = data
    return room[first : first + data.size]


def rebuilt(data: NDArray[np.uint8], dtype: np.dtype[Any], layout: Layout) -> Array:
    """Return an array of ``layout`` over a copy of ``data``, the bytes that ``memory_of`` gave."""
    return laid_over(placed(data, layout.skew), dtype, layout)


def laid_over(memory: NDArray[np.uint8], dtype: np.dtype[Any], layout: Layout) -> Array:
    """Return the array of ``layout`` over these bytes themselves."""
    array: Array = np.ndarray(layout.shape, dtype, memory, layout.start, layout.strides)
    array.flags.writeable = layout.writeable
    return array

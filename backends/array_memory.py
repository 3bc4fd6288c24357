"""The memory under arrays: the bytes that they walk through, and the same walk through a copy.

Guarantees that a rebuilt array has the strides, the overlaps, the alignment and the writability of
the original, so that what an implementation does with a layout can be judged.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
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


def reach(layout: Layout, itemsize: int) -> tuple[int, int]:
    """How many bytes before and behind its first element an array goes."""
    if 0 in layout.shape:
        return 0, 0
    steps = [(n - 1) * s for n, s in zip(layout.shape, layout.strides, strict=True)]
    return -sum(s for s in steps if s < 0), sum(s for s in steps if s > 0) + itemsize


def _reach(array: Array) -> tuple[int, int]:
    return reach(Layout(array.shape, array.strides, 0, 0, True), array.itemsize)


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


def span_of(array: Array) -> tuple[int, int]:
    """Return the addresses of the first byte under an array and of the first behind it."""
    before, behind = _reach(array)
    address = int(array.ctypes.data)
    return address - before, address + behind


def groups_of(arrays: Mapping[str, Array]) -> list[tuple[str, ...]]:
    """Return the names of the arrays that have elements, those together whose spans overlap.

    The order is that of ``arrays``.
    """
    spans = {name: span_of(array) for name, array in arrays.items() if array.size}
    groups: list[list[str]] = []
    end = 0
    for name in sorted(spans, key=spans.__getitem__):
        if groups and spans[name][0] < end:
            groups[-1].append(name)
        else:
            groups.append([name])
        end = max(end, spans[name][1])
    order = list(arrays).index
    return sorted((tuple(sorted(g, key=order)) for g in groups), key=lambda g: order(g[0]))


def union_of(arrays: Sequence[Array]) -> tuple[int, NDArray[np.uint8]]:
    """Return the bytes under arrays of one group, copied, and the address of the first."""
    spans = [span_of(array) for array in arrays]
    start = min(first for first, _ in spans)
    data = np.empty(max(last for _, last in spans) - start, np.uint8)
    for array, (first, last) in zip(arrays, spans, strict=True):
        data[first - start : last - start] = memory_of(array)
    return start, data


def placed(data: NDArray[np.uint8], skew: int) -> NDArray[np.uint8]:
    """Return a copy of ``data`` at an address that is ``skew`` modulo ``ALIGNMENT``."""
    room = np.empty(data.size + 3 * ALIGNMENT, np.uint8)
    first = ALIGNMENT + (skew - room.ctypes.data) % ALIGNMENT
    room[:first], room[first + data.size :] = _GUARD, _GUARD
    room[first : first + data.size] = data
    return room[first : first + data.size]


def surroundings(array: Array) -> tuple[Array, int] | None:
    """Return all the memory that a rebuilt array lies in, and where its first element is.

    Returns:
        Elements of the array's dtype, one after the other, those around the array included, and the
        index of its first; None for an array that was not rebuilt, or has no elements.
    """
    root: Any = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    if root is array or root.dtype != np.uint8 or not array.size:
        return None
    start = int(array.ctypes.data - root.ctypes.data)
    first = start % array.itemsize
    last = first + (root.size - first) // array.itemsize * array.itemsize
    return root[first:last].view(array.dtype), start // array.itemsize


def rebuilt(data: NDArray[np.uint8], dtype: np.dtype[Any], layout: Layout) -> Array:
    """Return an array of ``layout`` over a copy of ``data``, the bytes that ``memory_of`` gave."""
    return laid_over(placed(data, layout.skew), dtype, layout)


def laid_over(memory: NDArray[np.uint8], dtype: np.dtype[Any], layout: Layout) -> Array:
    """Return the array of ``layout`` over these bytes themselves."""
    array: Array = np.ndarray(layout.shape, dtype, memory, layout.start, layout.strides)
    array.flags.writeable = layout.writeable
    return array

"""From arrays to what kernels take: plans of strided operands, and flat views of plain ones."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ..arguments import Array
from .strided import CODES, code_of

# How the sum kernels see a format: see ``half.widen``.
VIEWS = {
    dtype: np.dtype(view)
    for dtype, view in zip(CODES, (np.float64, np.float32, np.int16, np.uint16), strict=False)
}


def merged(shape: tuple[int, ...], strides: list[tuple[int, ...]]) -> tuple[list[int], Any]:
    """Drop dimensions of size 1 and merge neighbours that every operand walks through alike."""
    sizes: list[int] = []
    kept: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        joins = bool(sizes) and all(
            walked[-1] == stride[axis] * size for walked, stride in zip(kept, strides, strict=True)
        )
        if joins:
            sizes[-1] *= size
            for walked, stride in zip(kept, strides, strict=True):
                walked[-1] = stride[axis]
        else:
            sizes.append(size)
            for walked, stride in zip(kept, strides, strict=True):
                walked.append(stride[axis])
    if not sizes:
        return [1], [[0] for _ in strides]
    return sizes, kept


def address_of(array: Array) -> int:
    """Where the first element lies."""
    return int(array.__array_interface__["data"][0])


def plans_of(rows: list[Array | None], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The descriptor of operands that broadcast to ``shape``, and its merged dimensions."""
    views = [None if array is None else np.broadcast_to(array, shape) for array in rows]
    sizes, strides = merged(shape, [view.strides for view in views if view is not None])
    plans = np.zeros((len(rows), 2 + len(sizes)), np.int64)
    present = iter(strides)
    for row, view in enumerate(views):
        if view is not None:
            plans[row] = (code_of(view.dtype), address_of(view), *next(present))
    return plans, np.array(sizes, np.int64)


def flat(array: Array) -> Array:
    """A contiguous array in its own memory, one-dimensional, as the sum kernels are typed.

    A read-only array is seen through a writable alias, so that kernels are compiled for one type
    only; they do not write to it.
    """
    if not array.flags.writeable:
        memory: Any = (ctypes.c_char * array.nbytes).from_address(address_of(array))
        return np.frombuffer(memory, dtype=VIEWS[array.dtype])
    return array.reshape(-1).view(VIEWS[array.dtype])


def is_plain(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether ``flat`` applies: native, aligned, contiguous and of this dtype."""
    return array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned


def regions_of(shape: tuple[int, ...], most: int) -> list[tuple[slice, ...]]:
    """Boxes of at most ``most`` elements that make up an array of ``shape``."""
    budget = most
    steps = []
    for size in reversed(shape):
        steps.append(max(1, min(size, budget)))
        budget //= max(1, min(size, budget))
    steps.reverse()
    counts = [-(-size // step) for size, step in zip(shape, steps, strict=True)]
    return [
        tuple(
            slice(at * step, min(size, (at + 1) * step))
            for at, step, size in zip(index, steps, shape, strict=True)
        )
        for index in np.ndindex(*counts)
    ]


def unpinned(region: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The same box in the logits: all of a dimension along which the operand was broadcast."""
    return tuple(
        slice(None) if size == 1 else part for part, size in zip(region, shape, strict=True)
    )

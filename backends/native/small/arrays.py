"""Small plain calls of NumPy arrays: a training step's cheapest way to the kernels of sums.

Guarantees the bits of the kernels, which it calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from ..arguments import Array
from ..kernels import sum_float32, sum_float64, sum_half
from ..memory.chunks import CHUNK
from ..memory.plans import VIEWS

_FLOAT16 = np.dtype(np.float16)
_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

# How a small plain call of a format is made: the kernel, how it sees memory, what it is told.
_SMALL: dict[np.dtype[Any], tuple[Callable[..., bool], Any, tuple[bool, ...]]] = {
    _FLOAT16: (sum_half.sum_small_half, VIEWS[_FLOAT16], (False,)),
    _BFLOAT16: (sum_half.sum_small_half, VIEWS[_BFLOAT16], (True,)),
    _FLOAT32: (sum_float32.sum_small, _FLOAT32, ()),
    _FLOAT64: (sum_float64.sum_small_wide, _FLOAT64, ()),
}


def small_loss(
    logits: Array, targets: Array, reduction: str, gradient: Array | None
) -> Array | None:
    """The loss of a small plain call (see ``is_small``); None where something needs care.

    The gradient in the logits is written into ``gradient``, unless it is None.
    """
    dtype = logits.dtype
    kernel, view, told = _SMALL[dtype]
    count = float(logits.size) if reduction == "mean" else 1.0
    out = np.empty(1, view)
    x, y = logits.reshape(-1), targets.reshape(-1)
    g = x if gradient is None else gradient.reshape(-1)
    if view is not dtype:
        x, y, g = x.view(view), y.view(view), g.view(view)
    stands = kernel(x, y, g, gradient is not None, *told, count, out)
    return out.view(dtype).reshape(()) if stands else None


def is_small(logits: Any, targets: Any, reduction: Any) -> bool:
    """Whether these are arrays of one format, plain, of one shape, and no more than a chunk."""
    return (
        type(logits) is np.ndarray
        and type(targets) is np.ndarray
        and logits.dtype in _SMALL
        and targets.dtype is logits.dtype
        and logits.shape == targets.shape
        and 0 < logits.size <= CHUNK
        and (reduction == "mean" or reduction == "sum")
        and logits.flags.carray
        and targets.flags.carray
    )

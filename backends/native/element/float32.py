"""One element of half-precision results in float32, which decides nearly all of them.

Gradients come with a bound of their error. ``raised_*`` is for exponentials that are kept 2^104
larger, so that they stay normal (see ``kernels/bfloat16_tails.py``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arithmetic.intrinsics import fma_single, inlined
from .float64 import shares

_ONE = np.float32(1)
_ZERO = np.float32(0)
_RAISE = np.float32(2.0**104)
_LOWER = np.float32(2.0**-104)
# What two raised factors are multiplied by, each, for their product not to be raised twice.
_HALF_LOWER = np.float32(2.0**-52)
# Raised linear terms are summed this much smaller, so that no sum leaves float32 too early.
_SHRINK = np.float32(2.0**-8)
# The error of a gradient is below this, times |gradient| + scale·e.
MARGIN = np.float32(2.0**-21)
# What may be lost where a raised gradient is brought to the grid of the subnormals.
_ROUNDING = np.float32(2.0**-44)


@inlined
def _line(steady: Any, x: Any, total: Any) -> Any:
    """The linear term added to ``total``; a share of zero annihilates an infinite logit."""
    return fma_single(steady, x, total) if steady != _ZERO else total


@inlined
def single_step(x: Any, y: Any, e: Any, total: Any, product: Any) -> tuple[Any, Any]:
    """See ``float64.narrow_step``."""
    steady, _ = shares(x, _ONE - y, y)
    return _line(steady, x, total), fma_single(product, e, product + e)


@inlined
def raised_step(x: Any, y: Any, e: Any, total: Any, product: Any) -> tuple[Any, Any]:
    """As ``single_step`` with ``e`` and ``product`` raised, and ``total`` 2^8 smaller."""
    steady, _ = shares(x, _ONE - y, y)
    return (
        _line(steady, x * _SHRINK, total),
        fma_single(product * _HALF_LOWER, e * _HALF_LOWER, product + e),
    )


@inlined
def single_gradient(x: Any, y: Any, e: Any, scale: Any) -> tuple[Any, Any]:
    """``scale`` times the gradient in the logits, and a bound of its error."""
    steady, moving = shares(x, _ONE - y, y)
    value = fma_single(moving, e, steady) * (scale / (_ONE + e))
    return value, fma_single(e, scale * MARGIN, abs(value) * MARGIN)


@inlined
def raised_gradient(x: Any, y: Any, e: Any, scale: Any) -> tuple[Any, Any]:
    """As ``single_gradient``, all of it raised."""
    steady, moving = shares(x, _ONE - y, y)
    value = fma_single(moving, e, steady * _RAISE) * (scale / fma_single(e, _LOWER, _ONE))
    return value, fma_single(e, scale * MARGIN, fma_single(abs(value), MARGIN, _ROUNDING))

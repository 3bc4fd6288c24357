"""Sixteen elements of float32 with hard targets: loss and gradient, in pairs of float32.

With z = x for target 0 and −x for target 1, and e = exp(−|x|), the loss is max(z, 0) + log(1 + e)
and the gradient ±scale·N/(1 + e), N = 1 where z ≥ 0, else e. e comes as a pair, and so does what
it enters: a gradient is within 0.59 ULP before it is subnormal. No branches.

An element belongs here that is hard and has |x| ≤ ``limit_of(scale)``; all others are evaluated in
float64 (``float64.py``). Which of the two depends on the element and the scale alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arithmetic import vectors as v
from ..arithmetic.intrinsics import as_bits, inlined
from ..arithmetic.vector_exp import LARGEST

# Linear terms are added to this, so that what each sum loses is exact: they are smaller.
OFFSET = 8192.0
# Products start from this, so that as many factors as a row has stay in range.
START = 0.25
# The exponent of the smallest gradients: none of their rests is lost in the subnormals.
_SMALLEST = -117

_one = v.constant(1.0)
zero = v.constant(0.0)
offset = v.constant(OFFSET)
start = v.constant(START)
_exponent_to_sign = v.shifted_left(8)


@inlined
def limit_of(scale: float) -> Any:
    """The largest |x| of elements that belong here; negative where none does."""
    exponent = ((as_bits(scale) >> 52) & 0x7FF) - 1023
    limit = np.float32((exponent - _SMALLEST) * math.log(2.0))
    belongs = exponent < 127
    return np.float32(-1) if not belongs else min(limit, np.float32(LARGEST))


@inlined
def split_scale(scale: float) -> tuple[Any, Any]:
    """``scale`` as a float32, and what that lacks of it, relative to it."""
    single = np.float32(scale)
    return single, np.float32((scale - float(single)) / float(single))


@inlined
def mirrored(x: Any, y: Any) -> Any:
    """z: the lowest bit of the exponent of 1 becomes the sign."""
    return v.exclusive_or(x, _exponent_to_sign(y))


@inlined
def softness(y: Any) -> Any:
    """y² − y: no bit is set where the target is 0 or 1, and there alone."""
    return v.fms(y, y, y)


@inlined
def linear_step(z: Any, total: Any, rest: Any) -> tuple[Any, Any]:
    """The linear term max(z, 0) added to a pair whose ``total`` began as OFFSET."""
    term = v.positive_part(z)
    larger = v.add(total, term)
    return larger, v.add(rest, v.subtract(term, v.subtract(larger, total)))  # exact but for rest


@inlined
def product_step(e: Any, e_rest: Any, product: Any, rest: Any) -> tuple[Any, Any]:
    """A pair that began as START, times 1 + e."""
    larger = v.fma(product, e, product)
    lost = v.fma(product, e, v.subtract(product, larger))
    return larger, v.fma(rest, v.add(_one(), e), v.fma(product, e_rest, lost))


@inlined
def gradient(x: Any, y: Any, e: Any, e_rest: Any, scale: Any, scale_rest: Any) -> Any:
    """The gradient in the logits: one division, and what its quotient lacks.

    q = N/(1 + e) is rounded; N − q and N − q − q·e are exact or nearly so.
    """
    sign = _exponent_to_sign(y)
    z = v.exclusive_or(x, sign)
    inverse = v.divide(_one(), v.add(_one(), e))
    numerator, numerator_rest = v.by_sign(z, e, _one()), v.by_sign(z, e_rest, zero())
    q = v.multiply(numerator, inverse)
    left = v.add(v.fnma(q, e, v.subtract(numerator, q)), v.fnma(q, e_rest, numerator_rest))
    correction = v.fma(left, inverse, v.multiply(q, scale_rest))
    return v.exclusive_or(v.fma(scale, q, v.multiply(scale, correction)), sign)

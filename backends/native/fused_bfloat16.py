"""As ``fused.py`` for bfloat16: float32 inside wherever that decides the result.

Sixteen lanes for eight. A row of elements goes through float32 with an error below 2^-20; where one
of its gradients is that near to the middle of two bfloat16, or a logit is beyond 60 or NaN, or a
difference cancels, the row's gradients are evaluated in float64 as for the other formats. What
is written is the correctly rounded gradient either way. Sums are good to 2^-19.5: 0.5004 ULP.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bce_conformance.backends.native.caching import kernel
from bce_conformance.backends.native.coefficients import EXP_SINGLE
from bce_conformance.backends.native.core import (
    NARROW_CANCELLATION,
    linear,
    narrow_exp,
    narrow_log1p,
    narrow_numerator,
)
from bce_conformance.backends.native.fused import CHUNK, LANES, add_lanes
from bce_conformance.backends.native.primitives import (
    bfloat16_of_single,
    fma,
    fma_single,
    helper,
    inlined,
    narrow,
    near_bfloat16_tie,
    near_tie,
    raised_exponent,
    single_of_bfloat16,
    two_sum,
    widen,
)

_ROWS = 16
_BLOCK = _ROWS * LANES
# The bits of 60 as a bfloat16: beyond it exp(−|x|)/N may leave float32's normal numbers.
_FAR = 0x4270

_ONE = np.float32(1)
_ZERO = np.float32(0)
_ROUNDER = np.float32(1.5 * 2.0**23)
_LOG2_E = np.float32(1.4426950408889634)
# ln 2 in two float32.
_LN2_HIGH = np.float32(0.693147180559945)
_LN2_LOW = np.float32(0.6931471805599453 - float(np.float32(0.693147180559945)))
_E0, _E1, _E2, _E3, _E4, _E5, _E6 = (np.float32(value) for value in EXP_SINGLE)
# A numerator below this share of its first term has lost more than two bits.
_CANCELLATION = np.float32(0.25)


@inlined
def _exp(a: Any) -> Any:
    """exp(−a) in float32 for 0 ≤ a ≤ 60, relative error < 2^-22.5."""
    t = fma_single(a, -_LOG2_E, _ROUNDER)
    k = t - _ROUNDER
    r = fma_single(k, -_LN2_LOW, fma_single(k, -_LN2_HIGH, -a))
    p = fma_single(_E6, r, _E5)
    p = fma_single(p, r, _E4)
    p = fma_single(p, r, _E3)
    p = fma_single(p, r, _E2)
    p = fma_single(p, r, _E1)
    p = fma_single(p, r, _E0)
    return raised_exponent(p, t)


@inlined
def _is_far(x: Any) -> bool:
    far = 0
    for lane in range(x.size):
        far |= 1 if (x[lane] & 0x7FFF) > _FAR else 0
    return far != 0


@helper
def _far_row(x: Any, y: Any, sums: Any, products: Any) -> None:
    """A row's losses in float64."""
    for lane in range(x.size):
        logit = widen(x[lane])
        target = widen(y[lane])
        a = abs(logit)
        e = narrow_exp(a)
        sums[lane] += linear(1.0 - target if logit >= 0.0 else target, a)
        products[lane] = fma(products[lane], e, products[lane] + e)


@helper
def _row(x: Any, y: Any, sums: Any, products: Any) -> None:
    """A row's losses in float32."""
    for lane in range(x.size):
        logit = single_of_bfloat16(x[lane])
        target = single_of_bfloat16(y[lane])
        a = abs(logit)
        e = _exp(a)
        c = _ONE - target if logit >= _ZERO else target
        sums[lane] = fma_single(c, a, sums[lane])
        products[lane] = fma_single(products[lane], e, products[lane] + e)


@helper
def _row_gradient(x: Any, y: Any, g: Any, scale: Any, sums: Any, products: Any) -> int:
    """As ``_row``, with gradients; how many of them float32 cannot decide."""
    open_ = np.int32(0)
    for lane in range(x.size):
        logit = single_of_bfloat16(x[lane])
        target = single_of_bfloat16(y[lane])
        a = abs(logit)
        e = _exp(a)
        away = _ONE - target
        positive = logit >= _ZERO
        c = away if positive else target
        sums[lane] = fma_single(c, a, sums[lane])
        products[lane] = fma_single(products[lane], e, products[lane] + e)
        first = away if positive else away * e
        numerator = fma_single(-target, e if positive else _ONE, first)
        value = numerator * scale / (_ONE + e)
        cancels = abs(numerator) < _CANCELLATION * abs(first)
        # A gradient that is not a normal number is left to float64, zero included.
        small = not abs(value) > np.float32(2.0**-120)
        open_ += near_bfloat16_tie(value) | (np.int32(1) if cancels or small else np.int32(0))
        g[lane] = bfloat16_of_single(value)
    return int(open_)


@helper
def _gradients(x: Any, y: Any, g: Any, scale: float) -> int:
    """A row's gradients in float64; how many of them that cannot decide either."""
    cancelled = 0
    for lane in range(x.size):
        logit = widen(x[lane])
        target = widen(y[lane])
        e = narrow_exp(abs(logit))
        numerator, larger = narrow_numerator(logit, 1.0 - target, target, e)
        value = numerator * scale / (1.0 + e)
        cancelled += 1 if abs(numerator) < NARROW_CANCELLATION * larger else 0
        cancelled += near_tie(value, x[lane])
        g[lane] = narrow(value, x[lane])
    return cancelled


@inlined
def _finish(sums: Any, products: Any, singles: Any, single_products: Any, far: bool) -> float:
    for lane in range(LANES):
        sums[lane] += narrow_log1p(float(single_products[lane])) + float(singles[lane])
    if far:
        for lane in range(LANES):
            sums[lane] += narrow_log1p(products[lane])
    return add_lanes(sums)


@kernel
def sum_bfloat16(
    logits: Any,
    targets: Any,
    gradient: Any,
    with_gradient: bool,
    scale: float,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """See ``fused.sum_loss`` and, with ``with_gradient``, ``fused.sum_loss_and_gradient``."""
    sums, products = np.empty(LANES), np.empty(LANES)
    singles, single_products = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    for chunk in range(first, last):
        total = 0.0
        rest = 0.0
        cancelled = 0
        for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), _BLOCK):
            stop = min(logits.size, start + _BLOCK)
            sums[:] = 0.0
            products[:] = 0.0
            any_far = False
            singles[:] = 0.0
            single_products[:] = 0.0
            for row in range(start, stop, LANES):
                x = logits[row : min(stop, row + LANES)]
                y = targets[row : min(stop, row + LANES)]
                far = _is_far(x)
                any_far |= far
                if far:
                    _far_row(x, y, sums, products)
                elif not with_gradient:
                    _row(x, y, singles, single_products)
                if with_gradient:
                    g = gradient[row : min(stop, row + LANES)]
                    if not far:
                        single = np.float32(scale)
                        far = _row_gradient(x, y, g, single, singles, single_products) != 0
                    if far:
                        cancelled += _gradients(x, y, g, scale)
            value = _finish(sums, products, singles, single_products, any_far)
            total, error = two_sum(total, value)
            rest += error
        partials[chunk, 0] = total
        partials[chunk, 1] = rest
        partials[chunk, 2] = cancelled

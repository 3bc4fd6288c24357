"""exp(−a) and log(1 + e) in float32 (``single_*``), float64 (``narrow_*``) and pairs (``wide_*``).

Guarantees the relative error that each docstring states; ACCURACY.md derives it. No branches, so
that loops over these functions become vector code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .coefficients import (
    ATANH,
    ATANH_REDUCED,
    ATANH_TAIL,
    EXP,
    EXP_SINGLE,
    EXP_TAIL,
    LN2,
    LN2_HIGH,
    LN2_LOW,
    LOG2_E,
)
from .double_double import DD, fast_two_sum, two_product, two_sum
from .intrinsics import as_bits, fma, fma_single, from_bits, inlined, raised_exponent

# Adding this rounds to an integer k, and leaves k in the low bits of the sum.
ROUNDER = 1.5 * 2.0**52
# Wide exp(−a) is clamped at exp(−700), which is normal; what depends on it is marked or raised.
CLAMPED = 700.0
# Narrow exp(−a) is clamped at exp(−560), below 2^-807: beyond, every narrow result underflows with
# the right sign even when target, weight, pos_weight, cotangent and direction are all as large as
# float32 allows, and without such factors nothing on the way is subnormal, which would be slow.
NARROW_CLAMPED = 560.0
# Above this logit it is about to be clamped: where factors may be larger, that may matter.
NARROW_CLAMPING = NARROW_CLAMPED - 10.0
# Bits of sqrt(1/2), for the reduction of 1 + m to [sqrt(1/2), sqrt(2)).
_ROOT_HALF_BITS = 0x3FE6A09E667F3BCD
_ONE_BITS = 0x3FF0000000000000
# ln 2 in two float32.
_SINGLE_LN2_HIGH = np.float32(LN2)
_SINGLE_LN2_LOW = np.float32(LN2 - float(_SINGLE_LN2_HIGH))
_SINGLE_LOG2_E = np.float32(LOG2_E)
_S0, _S1, _S2, _S3, _S4, _S5, _S6 = (np.float32(value) for value in EXP_SINGLE)


@inlined
def clamped(a: float, at: float) -> float:
    """min(a, at), NaN passed on."""
    return at if a > at else a


@inlined
def narrow_exp(a: float) -> float:
    """exp(−a) for a ≥ 0, relative error < 2^-44; NaN of any payload is passed on."""
    a = clamped(a, NARROW_CLAMPED)
    t = fma(a, -LOG2_E, ROUNDER)
    k = t - ROUNDER
    r = fma(k, -LN2, -a)
    p = fma(EXP[9], r, EXP[8])
    p = fma(p, r, EXP[7])
    p = fma(p, r, EXP[6])
    p = fma(p, r, EXP[5])
    p = fma(p, r, EXP[4])
    p = fma(p, r, EXP[3])
    p = fma(p, r, EXP[2])
    p = fma(p, r, EXP[1])
    p = fma(p, r, EXP[0])
    return p * from_bits((as_bits(t) + 1023) << 52)


@inlined
def single_exp(a: Any, rounder: Any) -> Any:
    """exp(−a)·2^j in float32 for 0 ≤ a ≤ 128, relative error < 2^-22.5, rounder = 1.5·2^23 + j."""
    t = fma_single(a, -_SINGLE_LOG2_E, rounder)
    k = t - rounder
    r = fma_single(k, -_SINGLE_LN2_LOW, fma_single(k, -_SINGLE_LN2_HIGH, -a))
    p = fma_single(_S6, r, _S5)
    p = fma_single(p, r, _S4)
    p = fma_single(p, r, _S3)
    p = fma_single(p, r, _S2)
    p = fma_single(p, r, _S1)
    p = fma_single(p, r, _S0)
    return raised_exponent(p, t)


@inlined
def narrow_softplus(e: float) -> float:
    """log(1 + e) for 0 ≤ e ≤ 1, relative error < 2^-42: 2·atanh(e/(2 + e))."""
    s = e / (2.0 + e)
    u = s * s
    h = fma(ATANH[8], u, ATANH[7])
    h = fma(h, u, ATANH[6])
    h = fma(h, u, ATANH[5])
    h = fma(h, u, ATANH[4])
    h = fma(h, u, ATANH[3])
    h = fma(h, u, ATANH[2])
    h = fma(h, u, ATANH[1])
    h = fma(h, u, ATANH[0])
    return h * s


@inlined
def narrow_log1p(m: float) -> float:
    """log(1 + m) for 0 ≤ m < 2^52, relative error < 2^-47.

    With 2^k the power of two that brings 1 + m into [sqrt(1/2), sqrt(2)), f − 1 = m·2^-k + 2^-k − 1
    keeps every digit of a small m.
    """
    shifted = as_bits(1.0 + m) + (_ONE_BITS - _ROOT_HALF_BITS)
    exponent = shifted >> 52
    inverse = from_bits((2046 - exponent) << 52)
    k = from_bits(exponent | 0x4330000000000000) - (2.0**52 + 1023.0)
    f = fma(m, inverse, inverse - 1.0)
    s = f / (2.0 + f)
    u = s * s
    h = fma(ATANH_REDUCED[6], u, ATANH_REDUCED[5])
    h = fma(h, u, ATANH_REDUCED[4])
    h = fma(h, u, ATANH_REDUCED[3])
    h = fma(h, u, ATANH_REDUCED[2])
    h = fma(h, u, ATANH_REDUCED[1])
    h = fma(h, u, ATANH_REDUCED[0])
    return fma(k, LN2, h * s)


@inlined
def wide_exp(a: float) -> DD:
    """exp(−a) for a ≥ 0 as a pair, relative error < 2^-64."""
    r, rl, tail, scale = wide_reduced(clamped(a, CLAMPED), 0)
    return wide_expanded(r, rl, tail, scale)


@inlined
def wide_reduced(a: float, raised: int) -> tuple[float, float, float, float]:
    """The pair r = −a − k·ln 2, r·(exp's terms from r⁵/120 on)/r⁴, and 2^(k + raised).

    Long loops run faster in two: a processor looks ahead no further than through one or two
    elements of the whole.
    """
    t = fma(a, -LOG2_E, ROUNDER)
    k = t - ROUNDER
    exact = fma(k, -LN2_HIGH, -a)
    r = fma(k, -LN2_LOW, exact)
    rl = fma(k, -LN2_LOW, exact - r)
    q = fma(EXP_TAIL[8], r, EXP_TAIL[7])
    q = fma(q, r, EXP_TAIL[6])
    q = fma(q, r, EXP_TAIL[5])
    q = fma(q, r, EXP_TAIL[4])
    q = fma(q, r, EXP_TAIL[3])
    q = fma(q, r, EXP_TAIL[2])
    q = fma(q, r, EXP_TAIL[1])
    q = fma(q, r, EXP_TAIL[0])
    return r, rl, r * q, from_bits((as_bits(t) << 52) + (_ONE_BITS + (raised << 52)))


@inlined
def wide_expanded(r: float, rl: float, tail: float, scale: float) -> DD:
    """The exponential from what ``wide_reduced`` returns: Horner's last steps, in pairs."""
    h, low = fast_two_sum(1.0 / 24.0, tail)
    low += _REST_24
    h, low = horner_step(h, low, r, rl, 1.0 / 6.0, _REST_6)
    h, low = horner_step(h, low, r, rl, 0.5, 0.0)
    h, low = horner_step(h, low, r, rl, 1.0, 0.0)
    h, low = horner_step(h, low, r, rl, 1.0, 0.0)
    h, low = fast_two_sum(h, low)
    return h * scale, low * scale


# 1/24, 1/6 and 2/3 beyond their float64.
_REST_2_3 = 2.0**-54 / 1.5
_REST_24 = 2.0**-58 / 1.5
_REST_6 = 2.0**-56 / 1.5


@inlined
def horner_step(h: float, low: float, r: float, rl: float, c: float, rest: float) -> DD:
    """C + rest + (h + low)·(r + rl), for a c above the product; the low part is not normalised."""
    p, e = two_product(h, r)
    s, f = fast_two_sum(c, p)
    return s, f + (e + fma(low, r, fma(h, rl, rest)))


@inlined
def wide_softplus(eh: float, el: float) -> DD:
    """log(1 + e) for the pair −1/3 < e ≤ 1, relative error < 2^-57."""
    dh = 2.0 + eh
    dl = ((2.0 - dh) + eh) + el
    inverse = 1.0 / dh
    s = eh * inverse
    sl = (fma(-s, dh, eh) + fma(-s, dl, el)) * inverse
    u, ul = two_product(s, s)
    ul = fma(2.0 * s, sl, ul)
    h = fma(ATANH_TAIL[10], u, ATANH_TAIL[9])
    h = fma(h, u, ATANH_TAIL[8])
    h = fma(h, u, ATANH_TAIL[7])
    h = fma(h, u, ATANH_TAIL[6])
    h = fma(h, u, ATANH_TAIL[5])
    h = fma(h, u, ATANH_TAIL[4])
    h = fma(h, u, ATANH_TAIL[3])
    h = fma(h, u, ATANH_TAIL[2])
    h = fma(h, u, ATANH_TAIL[1])
    h = fma(h, u, ATANH_TAIL[0])
    # s·(2 + u·(2/3 + u·h)), the sums and products in pairs.
    c, cl = fast_two_sum(2.0 / 3.0, u * h)
    m, ml = two_product(u, c)
    ml += fma(ul, c, u * (cl + _REST_2_3))
    t, tl = fast_two_sum(2.0, m)
    p, pl = two_product(s, t)
    return fast_two_sum(p, pl + fma(s, tl + ml, sl * t))


@inlined
def wide_log1p(mh: float, ml: float) -> DD:
    """log(1 + m) for the pair 0 ≤ m < 2^52, relative error < 2^-57; see ``narrow_log1p``."""
    shifted = as_bits(1.0 + mh) + (_ONE_BITS - _ROOT_HALF_BITS)
    exponent = shifted >> 52
    inverse = from_bits((2046 - exponent) << 52)
    k = from_bits(exponent | 0x4330000000000000) - (2.0**52 + 1023.0)
    f, rest = two_sum(mh * inverse, inverse - 1.0)
    f, rest = fast_two_sum(f, fma(ml, inverse, rest))
    curve, curve_rest = wide_softplus(f, rest)
    # k·LN2_HIGH is exact.
    value, error = two_sum(k * LN2_HIGH, curve)
    return fast_two_sum(value, fma(k, LN2_LOW, error + curve_rest))

"""e^−t and the four functions of slow/enclosure.py in double-double, for Numba.

Guarantees: (high, low, exponent) with the relative error of ``FUNCTION_ERROR`` at most, proved in
bound.md, for every float64 t ≥ 0. Compiled without branches, so that it vectorises.
"""

# mypy: allow-untyped-defs
# Numba infers the types of what it compiles.

from __future__ import annotations

from .compiled import inlined
from .double_double import (
    add_small,
    divide,
    fast_two_sum,
    float_bits,
    fma,
    multiply,
    power_of_two,
    split,
    two_product,
    two_sum,
)
from .tables import (
    EXP2H,
    EXP2L,
    EXP3H,
    EXP3L,
    EXP4H,
    EXP4L,
    EXP5,
    EXP6,
    EXP7,
    EXP8,
    EXP9,
    EXP10,
    INVERSE,
    LAST_SMALL_STEP,
    LN2_STEP_1,
    LN2_STEP_2,
    LN2_STEP_3,
    LOG2H,
    LOG2L,
    LOG3H,
    LOG3L,
    LOG4H,
    LOG4L,
    LOG5H,
    LOG5L,
    LOG6,
    LOG7,
    LOG8,
    LOG9,
    LOG10,
    LOG11,
    LOG12,
    LOG13,
    LOG_HIGH,
    LOG_LOW,
    POWER_HIGH,
    POWER_LOW,
    SMALL_HIGH,
    SMALL_LOW,
    STEPS_PER_UNIT,
)

FUNCTION_ERROR = 2.0**-96
# Beyond it e^−t is below 2^-43000, which no product with three float64 brings back into any format:
# only its sign matters, and the function may as well be evaluated here.
LARGEST_T = 30000.0
# Below it t² would come too near to underflow.
LEAST_SQUARED = 2.0**-330
_ROUNDER = 6755399441055744.0  # 1.5·2^52: adding it rounds to an integer, held in the low bits
# E enters 1 + E no smaller than this: what it loses is 2^-200, relatively.
_LEAST_EXPONENT = -200


@inlined
def exponential(t):
    """(ph, pl, qh, ql, n, k): e^−t = 2^n·P·(1 + q), 2^n·P = 2^(−k/512), |q| < 2^-10.5."""
    shifted = t * STEPS_PER_UNIT + _ROUNDER
    k = shifted - _ROUNDER
    steps = float_bits(shifted) & 0x3FFFFFF  # k < 2^25, from the low bits
    j = -steps & 511
    n = -steps >> 9
    ah = fma(k, LN2_STEP_1, -t)  # exact: the product is, and the difference by Sterbenz
    bh, bl = two_product(k, LN2_STEP_2)
    rh, rl = two_sum(ah, bh)
    rh, rl = fast_two_sum(rh, rl + fma(k, LN2_STEP_3, bl))
    tail = EXP5 + rh * (EXP6 + rh * (EXP7 + rh * (EXP8 + rh * (EXP9 + rh * EXP10))))
    sh, sl = fast_two_sum(EXP4H, rh * tail)
    sh, sl = fast_two_sum(sh, sl + EXP4L)
    sh, sl = multiply(rh, rl, sh, sl)
    sh, sl = add_small(EXP3H, EXP3L, sh, sl)
    sh, sl = multiply(rh, rl, sh, sl)
    sh, sl = add_small(EXP2H, EXP2L, sh, sl)
    sh, sl = multiply(rh, rl, sh, sl)
    sh, sl = add_small(1.0, 0.0, sh, sl)
    qh, ql = multiply(rh, rl, sh, sl)
    return POWER_HIGH[j], POWER_LOW[j], qh, ql, n, steps


@inlined
def significand(ph, pl, qh, ql):
    """P·(1 + q)."""
    h, low = multiply(ph, pl, qh, ql)
    return add_small(ph, pl, h, low)


@inlined
def log_one_plus(eh, el):
    """log(1 + E) for 0 < E ≤ 1.01 in double-double."""
    shifted = eh * 256.0 + _ROUNDER
    j = float_bits(shifted) & 511
    inverse = INVERSE[j]
    p, e = two_product(eh, inverse)
    e = fma(el, inverse, e)
    rh, rl = two_sum(inverse - 1.0, p)
    rh, rl = fast_two_sum(rh, rl + e)
    tail = LOG10 - rh * (LOG11 - rh * (LOG12 - rh * LOG13))
    tail = LOG6 - rh * (LOG7 - rh * (LOG8 - rh * (LOG9 - rh * tail)))
    sh, sl = fast_two_sum(LOG5H, -rh * tail)
    sh, sl = fast_two_sum(sh, sl + LOG5L)
    sh, sl = multiply(-rh, -rl, sh, sl)
    sh, sl = add_small(LOG4H, LOG4L, sh, sl)
    sh, sl = multiply(-rh, -rl, sh, sl)
    sh, sl = add_small(LOG3H, LOG3L, sh, sl)
    sh, sl = multiply(-rh, -rl, sh, sl)
    sh, sl = add_small(LOG2H, LOG2L, sh, sl)
    sh, sl = multiply(-rh, -rl, sh, sl)
    sh, sl = add_small(1.0, 0.0, sh, sl)
    sh, sl = multiply(rh, rl, sh, sl)
    return add_small(LOG_HIGH[j], LOG_LOW[j], sh, sl)


@inlined
def softplus_tail(t):
    """log(1 + e^−t); its exponent is e^−t's, so that nothing underflows."""
    ph, pl, qh, ql, n, _ = exponential(min(t, LARGEST_T))
    eh, el = significand(ph, pl, qh, ql)
    least = max(n, _LEAST_EXPONENT)
    scale, back = power_of_two(least), power_of_two(-least)
    h, low = log_one_plus(eh * scale, el * scale)
    return h * back, low * back, n


@inlined
def sigmoid_tail_or_half_tanh(t):
    """σ(−t) = E/(1 + E) for t ≥ 1, tanh(t/2) = (1 − E)/(1 + E) for 0 < t < 1.

    With the relative error as a fourth result: far below ``FUNCTION_ERROR`` for small t, where
    tanh(t/2) is next to t/2 and the difference must be told from nothing.
    """
    ph, pl, qh, ql, n, steps = exponential(min(t, LARGEST_T))
    least = max(n, _LEAST_EXPONENT)
    scale, back = power_of_two(least), power_of_two(-least)
    ph, pl = ph * scale, pl * scale
    h, low = multiply(ph, pl, qh, ql)
    eh, el = add_small(ph, pl, h, low)
    k = min(steps, LAST_SMALL_STEP)
    ah, al = add_small(SMALL_HIGH[k], SMALL_LOW[k], h, low)  # E − 1, relatively, for t < 1
    large = t >= 1.0
    dh, dl = add_small(1.0 if large else 2.0, 0.0, eh if large else ah, el if large else al)
    h, low = divide(eh * back if large else -ah, el * back if large else -al, dh, dl)
    # tanh(t/2) = t/2·(1 − t²/12 + …), the next term below t²·2^-86
    small = t < 2.0**-40
    mantissa, exponent = split(t)
    square = max(t, LEAST_SQUARED) * max(t, LEAST_SQUARED)
    error = square * (2.0**-54 if t >= LEAST_SQUARED else 1.0)
    h = 0.5 * mantissa if small else h
    low = -h * (square / 12.0) if small else low
    exponent = exponent if small else (n if large else 0)
    return h, low, exponent, error if small else FUNCTION_ERROR


@inlined
def bell_or_square(t):
    """σ(t)·σ(−t) for t ≥ 1, tanh²(t/2) = 1 − 4·σ(t)·σ(−t) for 0 < t < 1."""
    h, low, n, _ = sigmoid_tail_or_half_tanh(t)
    large = t >= 1.0
    scale = power_of_two(max(n, _LEAST_EXPONENT))
    oh, ol = add_small(1.0, 0.0, -h * scale, -low * scale)
    h, low = multiply(h, low, oh if large else h, ol if large else low)
    return h, low, n if large else 2 * n

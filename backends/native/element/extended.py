"""Loss and gradient in the logits in extended precision: the rung between pairs and quad-double.

Soft targets bring y within 2^-10 of σ(x) in one element of five hundred, and saturation brings
results near the smallest normal. A result takes a tenth of a microsecond, and comes with whether it
can be trusted.
"""

from __future__ import annotations

import math

from ..arithmetic import double_double as pairs
from ..arithmetic.coefficients import INVERSE_FACTORIALS, LN2_PARTS, LOG2_E
from ..arithmetic.double_double import DD
from ..arithmetic.functions import CLAMPED, horner_step
from ..arithmetic.intrinsics import fma, helper, out_of_line, power
from ..arithmetic.underflow import lowered_pair, raised_exp
from .double_double import RAISED_FROM
from .float64 import shares
from .quantities import LOSS

# Numerators that cancel further than this keep less than 58 correct bits.
_CANCELLATION = 2.0**-40
_HALVINGS = 4
# Terms of exp's series from this one on are below 2^-54 of the sum: float64 is enough for them.
_PLAIN_FROM = 7
# From here on exp(−a), times such coefficients, is below half of the smallest float64.
_VANISHED = 990.0
_HINT = 2.0**-900
# Coefficients between these, and their products, keep what is raised in float64's range.
_SAFE_LOW = 2.0**-40
_SAFE_HIGH = 2.0**40


@helper
def extended_power(a: float) -> tuple[float, float, int]:
    """The pair t and the integer k with exp(−a) = t·2^k, 0 ≤ a < 20 000, relative error < 2^-98."""
    k = float(math.floor(0.5 - a * LOG2_E))
    p, p_rest = pairs.two_product(k, -LN2_PARTS[0])
    r, r_rest = pairs.two_sum(-a, p)
    q, q_rest = pairs.two_product(k, -LN2_PARTS[1])
    r, r_rest = pairs.dd_plus(r, r_rest, p_rest, 0.0)
    r, r_rest = pairs.dd_plus(r, r_rest, q, q_rest - k * LN2_PARTS[2])
    r *= 2.0**-_HALVINGS
    r_rest *= 2.0**-_HALVINGS
    # exp(r) − 1 by its series, doubled by (1 + t)² − 1 = 2t + t².
    t, t_rest = INVERSE_FACTORIALS[13][0], 0.0
    for i in range(12, _PLAIN_FROM - 1, -1):
        t = fma(t, r, INVERSE_FACTORIALS[i][0])
    for i in range(_PLAIN_FROM - 1, -1, -1):
        t, t_rest = horner_step(
            t, t_rest, r, r_rest, INVERSE_FACTORIALS[i][0], INVERSE_FACTORIALS[i][1]
        )
    t, t_rest = pairs.dd_times(t, t_rest, r, r_rest)
    for _ in range(_HALVINGS):
        t, t_rest = horner_step(t, t_rest, t, t_rest, 2.0 * t, 2.0 * t_rest)
    t, t_rest = pairs.dd_plus(1.0, 0.0, t, t_rest)
    return t, t_rest, int(k)


@helper
def extended_exp(a: float) -> DD:
    """exp(−a) for 0 ≤ a < 700 as a pair, relative error < 2^-98, or 2^-1074 in all beyond 670."""
    t, t_rest, k = extended_power(a)
    scale = power(k)
    return t * scale, t_rest * scale


@helper
def extended_gradient(
    x: float, y: float, p: float, scale: float, scale_rest: float
) -> tuple[float, float, bool]:
    """(scale + scale_rest) times the gradient, its rest, and whether they can be trusted."""
    out_of_line()
    if not (abs(x) < CLAMPED and abs(y) < math.inf and abs(p) < math.inf):
        return 0.0, 0.0, False
    e, e_rest = (1.0, 0.0) if x == 0.0 else extended_exp(abs(x))
    away, away_rest = pairs.two_sum(1.0, -y)
    towards, towards_rest = pairs.two_product(p, y)
    if x >= 0.0:
        towards, towards_rest = pairs.dd_times(towards, towards_rest, e, e_rest)
    else:
        away, away_rest = pairs.dd_times(away, away_rest, e, e_rest)
    n, n_rest = pairs.dd_plus(away, away_rest, -towards, -towards_rest)
    if x == 0.0 and n == 0.0:  # exactly, as logits that are all zero have it at targets of 1/2
        return 0.0, 0.0, True
    d, d_rest = pairs.fast_two_sum(1.0, e)
    q, q_rest = pairs.wide_quotient(n, n_rest, d, d_rest + e_rest)
    value, rest = pairs.dd_times(q, q_rest, scale, scale_rest)
    trusted = abs(n) > _CANCELLATION * abs(away) and 2.0**-900 < abs(value) < math.inf
    return value, rest, trusted


@helper
def extended_tail(
    quantity: int, x: float, y: float, w: float, p: float, scale: float, scale_rest: float
) -> tuple[float, float, bool]:
    """Loss or (scale + scale_rest) times the gradient beyond the reach of exp(−|x|) in float64.

    Returns the value, its rest, and whether they can be trusted. There, log(1 + e) is e, 1 + e is
    1, and beside a share that stays e is nothing.
    """
    out_of_line()
    a = abs(x)
    away, away_rest = pairs.two_sum(1.0, -y)
    towards, towards_rest = pairs.two_product(p, y)
    positive = x >= 0.0
    steady, moving = shares(x, away, towards)
    steady_rest = away_rest if positive else -towards_rest
    moving_rest = -towards_rest if positive else away_rest
    large = abs(steady) + abs(moving)
    small = abs(steady) if steady != 0.0 else abs(moving)
    factor, factor_rest = w, 0.0
    if quantity != LOSS:
        factor, factor_rest = pairs.dd_times(scale, scale_rest, w, 0.0)
    trusted = RAISED_FROM <= a < 2.0**900 and small > _SAFE_LOW and large < _SAFE_HIGH
    trusted = trusted and _SAFE_LOW < abs(factor) < _SAFE_HIGH
    trusted = trusted and (towards != 0.0 or y == 0.0 or p == 0.0)  # no product that underflowed
    if not trusted:
        return 0.0, 0.0, False
    if steady != 0.0:
        value, rest = pairs.dd_times(steady, steady_rest, factor, factor_rest)
        # What e adds is nothing, but for a tie: a hint of it.
        hint = moving - steady
        if quantity == LOSS:
            value, rest = pairs.dd_times(value, rest, x, 0.0)
            hint = large
        return value, rest + hint * factor * _HINT, True
    sign = -1.0 if quantity == LOSS and positive else 1.0
    if a > _VANISHED:
        return sign * moving * factor * 0.0, 0.0, True
    e, e_rest = raised_exp(a)
    moving, moving_rest = pairs.dd_times(sign * moving, sign * moving_rest, factor, factor_rest)
    e, e_rest = pairs.dd_times(e, e_rest, moving, moving_rest)
    value, rest = lowered_pair(e, e_rest)
    return value, rest, True

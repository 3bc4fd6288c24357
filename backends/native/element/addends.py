"""The two products that a summed quantity of an element consists of, with exponents of their own.

    loss, gradients in weight and pos_weight: (1 − y)·softplus(x) + p·y·softplus(−x)
    gradient in the logits: (1 − y)·σ(x) − p·y·σ(−x)
    gradient in the targets: −softplus(x) + p·softplus(−x)

times the other factors. Both functions are positive, so that nothing cancels within a product: all
that cancels does so in the sum. Relative error of each product below 2^-90, over the whole range.
"""

from __future__ import annotations

import math
from fractions import Fraction

from ..arithmetic.double_double import DD, dd_plus, dd_times, fast_two_sum, two_sum, wide_quotient
from ..arithmetic.functions import horner_step
from ..arithmetic.intrinsics import apart, fma, helper, inlined, out_of_line, power
from .extended import extended_power
from .quantities import GRAD_LOGITS, GRAD_POS_WEIGHT, GRAD_TARGETS, GRAD_WEIGHT, Element

# (a + b)·2^k, a in [1/2, 1] or 0.
Scaled = tuple[float, float, int]

# From here on exp(−a) is *faint*: no product of five float64 brings it above 2^-9000.
FAINT_FROM = 1.0e4
# 1/(2n + 1) as pairs: 2·atanh(s)/(2·s) in powers of s², to within 2^-107 where s ≤ 1/3.
_ODD = tuple((1.0 / n, float(Fraction(1, n) - Fraction(1.0 / n))) for n in range(1, 2 * 32, 2))
# So many of them are enough where s² is below _FEW_BELOW.
_FEW, _FEW_BELOW = 9, 2.0**-12
# Terms from these on are below 2^-48 of the sum: float64 is enough for them.
_PLAIN_FROM, _FEW_PLAIN_FROM = 14, 4


@inlined
def scaled(a: float, b: float, k: int) -> Scaled:
    """(a + b)·2^k with its head in [1/2, 1)."""
    head, shift = apart(a)
    return 0.5 * head, b * power(-shift - 1), k + shift + 1


@inlined
def times(left: Scaled, right: Scaled) -> Scaled:
    """The product, relative error below 2^-101."""
    a, b = dd_times(left[0], left[1], right[0], right[1])
    return scaled(a, b, left[2] + right[2])


@inlined
def factor(value: float) -> Scaled:
    """A finite float64, exactly."""
    return scaled(value, 0.0, 0)


@helper
def softplus_share(e: float, e_rest: float) -> DD:
    """log(1 + e)/e for 0 ≤ e ≤ 1, relative error below 2^-98: 2/(2 + e) times a series in s²."""
    out_of_line()
    d, d_rest = two_sum(2.0, e)
    d_rest += e_rest
    s, s_rest = wide_quotient(e, e_rest, d, d_rest)
    u, u_rest = dd_times(s, s_rest, s, s_rest)
    last, plain = (len(_ODD) - 1, _PLAIN_FROM) if u > _FEW_BELOW else (_FEW, _FEW_PLAIN_FROM)
    h, h_rest = _ODD[last][0], 0.0
    for n in range(last - 1, plain - 1, -1):
        h = fma(h, u, _ODD[n][0])
    for n in range(plain - 1, -1, -1):
        h, h_rest = horner_step(h, h_rest, u, u_rest, _ODD[n][0], _ODD[n][1])
    q, q_rest = wide_quotient(2.0, 0.0, d, d_rest)
    return dd_times(h, h_rest, q, q_rest)


@helper
def _functions(quantity: int, a: float) -> tuple[Scaled, Scaled]:
    """The function of x and that of −x for x = a ≥ 0; the second is 0 where it is faint."""
    out_of_line()
    nothing = 0.0, 0.0, 0
    if a >= FAINT_FROM:
        return (factor(1.0) if quantity == GRAD_LOGITS else factor(a)), nothing
    t, t_rest, k = extended_power(a)
    scale = power(k)
    e, e_rest = t * scale, t_rest * scale
    if quantity == GRAD_LOGITS:
        d, d_rest = fast_two_sum(1.0, e)
        near, near_rest = wide_quotient(1.0, 0.0, d, d_rest + e_rest)
        far, far_rest = dd_times(t, t_rest, near, near_rest)
        return scaled(near, near_rest, 0), scaled(far, far_rest, k)
    share, share_rest = softplus_share(e, e_rest)
    far, far_rest = dd_times(t, t_rest, share, share_rest)
    near, near_rest = dd_plus(a, 0.0, far * scale, far_rest * scale)
    return scaled(near, near_rest, 0), scaled(far, far_rest, k)


@helper
def coefficients(quantity: int, of: Element) -> tuple[Scaled, Scaled]:
    """What the functions of x and of −x are multiplied by, for finite operands.

    ``of.w`` is left out of the gradient in it.
    """
    away, away_rest = two_sum(1.0, -of.y)
    up = scaled(away, away_rest, 0)
    down = times(factor(of.p), factor(of.y))
    if quantity == GRAD_POS_WEIGHT:
        up, down = factor(0.0), factor(of.y)
    if quantity == GRAD_TARGETS:
        up, down = factor(-1.0), factor(of.p)
    if quantity == GRAD_LOGITS:
        down = -down[0], -down[1], down[2]
    common = factor(of.c)
    if quantity != GRAD_WEIGHT:
        common = times(common, factor(of.w))
    return times(common, up), times(common, down)


@helper
def addends(quantity: int, of: Element) -> tuple[Scaled, Scaled, float, float]:
    """The products with the functions of x and of −x, and the sign of each where it is faint.

    A faint product is returned as 0. Operands are finite, but that the logit may be infinite for
    the gradient in the logits.
    """
    out_of_line()
    up, down = coefficients(quantity, of)
    if up[0] == 0.0 and down[0] == 0.0:
        return up, down, 0.0, 0.0
    near, far = _functions(quantity, abs(of.x))
    positive = of.x >= 0.0
    faint = FAINT_FROM <= abs(of.x) < math.inf
    first, second = times(up, near if positive else far), times(down, far if positive else near)
    up_sign = up[0] if faint and not positive else 0.0
    down_sign = down[0] if faint and positive else 0.0
    return first, second, up_sign, down_sign

"""One element of float64 results: every quantity as a pair, with a mark where pairs do not suffice.

The formulas are those of ``float64.py``. Marked are cancellation, products that leave float64's
range on the way, results near or below the smallest normal, and infinities (see ``ladder.py``).
"""

from __future__ import annotations

import math

from ..arithmetic.double_double import (
    DD,
    dd_plus,
    dd_times,
    fast_two_sum,
    two_product,
    two_sum,
    wide_quotient,
)
from ..arithmetic.functions import CLAMPED
from ..arithmetic.intrinsics import as_bits, fma, inlined
from . import quantities as q
from .float64 import shares
from .quantities import Element

# From here on exp(−a), divided by a count, may be near the smallest normal: it is kept raised (see
# ``underflow.py``). Beside a share that stays, and is not faint itself, it is nothing.
RAISED_FROM = 640.0
FAINT = 2.0**-820
WIDE_CANCELLATION = 2.0**-10
TARGETS_CANCELLATION = 2.0**-4
# From here on exp(−a) is below half of the smallest float64: nothing, unless weighted.
VANISHED = 746.0

# Value, rest and mark.
Marked = tuple[float, float, int]

# Beyond these, products of four operands may leave float64's range on the way.
_SAFE_LOW = 2.0**-240
_SAFE_HIGH = 2.0**240
_EXPONENT = 0x7FF0000000000000
_LOW_BITS = (1023 - 240) << 52
_HIGH_BITS = (1023 + 239) << 52
# A result below this may have lost its rest to underflow.
_TINY = 2.0**-900
# Above this logit exp(−a) is about to be clamped.
_CLAMPING = CLAMPED - 10.0


@inlined
def _out_of_range(factor: float, value: float) -> int:
    """1 where a result, or the factor of it that x enters, may have overflowed or underflowed."""
    a, b = abs(value), abs(factor)
    small = a if a < b else b
    return 0 if (a < math.inf and small > _TINY) else 1


@inlined
def range_signs(value: float) -> int:
    """Less than 0 where a coefficient is unsafe, or 0."""
    exponent = as_bits(value) & _EXPONENT
    return (exponent - _LOW_BITS) | (_HIGH_BITS - exponent)


@inlined
def unsafe(value: float) -> int:
    """1 where a coefficient may take a product of several out of range, or is infinite."""
    a = abs(value)
    return 1 if (a < _SAFE_LOW or a > _SAFE_HIGH) and a != 0.0 else 0


@inlined
def unsafe_product(of: Element) -> int:
    """1 where p·y may take a product of several out of range, or has underflowed."""
    towards = of.p * of.y
    lost = towards == 0.0 and of.p != 0.0 and of.y != 0.0
    return 1 if lost else unsafe(towards)


@inlined
def out_of_range(of: Element) -> int:
    """1 where w, p or p·y may take a product out of range, or a negative p makes terms cancel."""
    return 1 if of.p < 0.0 else unsafe(of.w) | unsafe(of.p) | unsafe_product(of)


@inlined
def _clamp_matters(x: float, steady: float, decaying: float) -> int:
    """Whether a clamped exp(−|x|), times ``decaying``, is more than nothing beside ``steady``."""
    return 1 if abs(x) > _CLAMPING and abs(steady) <= abs(decaying) * _TINY else 0


@inlined
def _coefficient(away: float, away_rest: float, p: float, y: float) -> DD:
    towards, towards_rest = two_product(p, y)
    s, s_rest = dd_plus(away, away_rest, towards, towards_rest)
    return (1.0 if p == 1.0 else s), (0.0 if p == 1.0 else s_rest)


@inlined
def _inner(of: Element, sp: DD) -> tuple[float, float, float]:
    """The loss before ``weight``, relative error < 2^-56, and S, 0 only if the loss is."""
    away, away_rest = two_sum(1.0, -of.y)
    towards, towards_rest = two_product(of.p, of.y)
    c = away if of.x >= 0.0 else towards
    c_rest = away_rest if of.x >= 0.0 else towards_rest
    s, s_rest = _coefficient(away, away_rest, of.p, of.y)
    line, line_rest = dd_times(c, c_rest, abs(of.x), 0.0)
    curve, curve_rest = dd_times(s, s_rest, sp[0], sp[1])
    inner, rest = dd_plus(line, line_rest, curve, curve_rest)
    return inner, rest, s


@inlined
def _loss(of: Element, sp: DD, vanished: float) -> Marked:
    """The loss."""
    inner, inner_rest, s = _inner(of, sp)
    value, value_rest = dd_times(of.w, 0.0, inner, inner_rest)
    steady = 1.0 - of.y if of.x >= 0.0 else of.p * of.y
    gone = abs(of.x) > vanished and steady == 0.0
    result = 0.0 if gone else value + 0.0
    rest = 0.0 if gone else value_rest
    needed = _clamp_matters(of.x, steady, 1.0) | _out_of_range(inner, value)
    needed = 0 if gone or of.w == 0.0 or s == 0.0 else needed
    needed = 1 if abs(of.x) == math.inf or value != value else needed
    return result, rest, needed


@inlined
def _grad_logits(of: Element, e: DD, s: DD, vanished: float) -> Marked:
    """The derivative in x times the scale."""
    away, away_rest = two_sum(1.0, -of.y)
    towards, towards_rest = two_product(of.p, of.y)
    positive = of.x >= 0.0
    up, up_rest = (1.0 if positive else e[0]), (0.0 if positive else e[1])
    down, down_rest = (e[0] if positive else 1.0), (e[1] if positive else 0.0)
    u, u_rest = dd_times(away, away_rest, up, up_rest)
    down_term, down_term_rest = dd_times(towards, towards_rest, down, down_rest)
    numerator, numerator_rest = dd_plus(u, u_rest, -down_term, -down_term_rest)
    d, d_rest = fast_two_sum(1.0, e[0])
    q, q_rest = wide_quotient(numerator, numerator_rest, d, d_rest + e[1])
    scale, scale_rest = dd_times(s[0], s[1], of.w, 0.0)
    value, value_rest = dd_times(q, q_rest, scale, scale_rest)
    steady = away if positive else towards
    decaying = towards if positive else away
    gone = abs(of.x) > vanished and steady == 0.0
    result = value * 0.0 if gone else value
    rest = 0.0 if gone else value_rest
    near = abs(numerator) < WIDE_CANCELLATION * abs(u) and of.x != 0.0
    needed = _clamp_matters(of.x, steady, decaying) | _out_of_range(q, value)
    needed = 1 if near else needed
    exact_zero = numerator == 0.0 and (of.x == 0.0 or away + towards == 0.0)
    needed = 0 if gone or exact_zero or scale == 0.0 else needed
    needed = 1 if value != value else needed
    return result, rest, needed


@inlined
def _grad_targets(of: Element, sp: DD, s: DD) -> Marked:
    """The derivative in y times the scale."""
    a = abs(of.x)
    excess, excess_rest = two_sum(of.p, -1.0)
    curve, curve_rest = dd_times(excess, excess_rest, sp[0], sp[1])
    line, line_rest = two_product(-1.0 if of.x >= 0.0 else of.p, a)
    t, t_rest = dd_plus(line, line_rest, curve, curve_rest)
    plain = of.p == 1.0
    near = abs(t) < TARGETS_CANCELLATION * abs(line) and not plain
    t = -of.x if plain else t
    t_rest = 0.0 if plain else t_rest
    scale, scale_rest = dd_times(s[0], s[1], of.w, 0.0)
    value, rest = dd_times(t, t_rest, scale, scale_rest)
    needed = 1 if near or (of.p == 0.0 and a > _CLAMPING) else _out_of_range(value, value)
    needed = 0 if (t == 0.0 or scale == 0.0) and a < math.inf else needed
    return value, rest, 1 if value != value else needed


@inlined
def _grad_weight(of: Element, sp: DD, s: DD) -> Marked:
    """The derivative in w times the scale."""
    inner, inner_rest, total = _inner(of, sp)
    value, rest = dd_times(inner, inner_rest, s[0], s[1])
    needed = _out_of_range(inner, value) | (1 if abs(of.x) > _CLAMPING else 0)
    needed = 0 if (s[0] == 0.0 or total == 0.0) and abs(of.x) < math.inf else needed
    return value, rest, 1 if value != value else needed


@inlined
def _grad_pos_weight(of: Element, sp: DD, s: DD) -> Marked:
    """The derivative in p times the scale."""
    t, t_rest = dd_plus(sp[0], sp[1], abs(of.x) if of.x < 0.0 else 0.0, 0.0)
    scale, scale_rest = dd_times(s[0], s[1], of.w, 0.0)
    scale, scale_rest = dd_times(scale, scale_rest, of.y, 0.0)
    value, rest = dd_times(t, t_rest, scale, scale_rest)
    needed = _out_of_range(value, value) | unsafe(of.y) | (1 if of.x > _CLAMPING else 0)
    zero = s[0] == 0.0 or of.w == 0.0 or of.y == 0.0
    needed = 0 if zero and abs(of.x) < math.inf else needed
    return value, rest, needed


@inlined
def _hessian(of: Element, e: DD, s: DD) -> Marked:
    """The second derivative in x along v, times the scale."""
    away, away_rest = two_sum(1.0, -of.y)
    c, c_rest = _coefficient(away, away_rest, of.p, of.y)
    d, d_rest = fast_two_sum(1.0, e[0])
    d_rest += e[1]
    q, q_rest = wide_quotient(e[0], e[1], d, d_rest)
    q, q_rest = wide_quotient(q, q_rest, d, d_rest)
    bend, bend_rest = dd_times(c, c_rest, q, q_rest)
    scale, scale_rest = dd_times(s[0], s[1], of.w, 0.0)
    scale, scale_rest = dd_times(scale, scale_rest, of.v, 0.0)
    value, rest = dd_times(bend, bend_rest, scale, scale_rest)
    needed = _out_of_range(bend, value) | (1 if abs(of.x) > _CLAMPING else 0)
    needed = 0 if c == 0.0 or scale == 0.0 else needed
    return value, rest, 1 if not abs(of.y) < math.inf else needed


@inlined
def wide_element(quantity: int, of: Element, e: DD, sp: DD, s: DD, vanished: float) -> Marked:
    """One quantity as a pair, and 1 where pairs do not suffice.

    ``e`` is exp(−|x|), ``sp`` log(1 + e), ``s`` what gradients are multiplied by. Beyond
    ``vanished`` exp(−|x|) contributes nothing.
    """
    if quantity == q.LOSS:
        return _loss(of, sp, vanished)
    if quantity == q.GRAD_LOGITS:
        return _grad_logits(of, e, s, vanished)
    if quantity == q.GRAD_TARGETS:
        return _grad_targets(of, sp, s)
    if quantity == q.GRAD_WEIGHT:
        return _grad_weight(of, sp, s)
    if quantity == q.GRAD_POS_WEIGHT:
        return _grad_pos_weight(of, sp, s)
    return _hessian(of, e, s)


@inlined
def plain_gradient(x: float, y: float, e: DD, scale: DD) -> tuple[float, bool]:
    """``scale`` times the unweighted gradient in the logits, and whether pairs do not suffice."""
    away, away_rest = two_sum(1.0, -y)
    positive = x >= 0.0
    steady, moving = shares(x, away, y)
    moved, moved_rest = two_product(moving, e[0])
    moved_rest += moving * e[1] + (0.0 if positive else away_rest) * e[0]
    n, n_rest = two_sum(steady, moved)
    n_rest += (away_rest if positive else 0.0) + moved_rest
    d, d_rest = fast_two_sum(1.0, e[0])
    q, q_rest = wide_quotient(n, n_rest, d, d_rest + e[1])
    value, _ = dd_times(q, q_rest, scale[0], scale[1])
    return value, abs(n) < WIDE_CANCELLATION * abs(moved) and x != 0.0


@inlined
def plain_line(x: float, y: float) -> tuple[float, float, float]:
    """The linear term of an unweighted loss, its rest, and the share that it has of x."""
    away, away_rest = two_sum(1.0, -y)
    steady, _ = shares(x, away, y)
    line, rest = two_product(steady, x)
    return line, rest + (away_rest if x >= 0.0 else 0.0) * x, steady


@inlined
def one_factor_more(m: float, m_rest: float, e: float, e_rest: float) -> DD:
    """(1 + m)·(1 + e) − 1 = m + e + m·e, the last being the smallest."""
    total, error = two_sum(m, e)
    product, product_rest = two_product(m, e)
    total, more = fast_two_sum(total, product)
    m_rest = fma(m_rest, e, fma(m, e_rest, m_rest)) + (e_rest + product_rest)
    return total, m_rest + (error + more)

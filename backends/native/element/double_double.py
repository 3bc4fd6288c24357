"""One element of float64 results: every quantity as a pair, with a mark where pairs do not suffice.

The formulas are those of ``float64.py``. Marked are CANCELLED gradients in the logits (evaluated by
``extended.py``), and as BEYOND other cancellation, products that leave float64's range on the way,
results near or below the smallest normal, and infinities (see ``quad_double.py``).
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
from ..arithmetic.intrinsics import inlined
from .quantities import BEYOND, CANCELLED

# From here on exp(−a), divided by a count, may be near the smallest normal: it is kept raised (see
# ``underflow.py``). Beside a share that stays, and is not faint itself, it is nothing.
RAISED_FROM = 640.0
FAINT = 2.0**-820
WIDE_CANCELLATION = 2.0**-10
TARGETS_CANCELLATION = 2.0**-4
# From here on exp(−a) is below half of the smallest float64.
VANISHED = 746.0

# Value, rest and mark.
Marked = tuple[float, float, int]

# Beyond these, products of four operands may leave float64's range on the way.
_SAFE_LOW = 2.0**-240
_SAFE_HIGH = 2.0**240
# A result below this may have lost its rest to underflow.
_TINY = 2.0**-900
# Above this logit exp(−a) is about to be clamped.
_CLAMPING = CLAMPED - 10.0
# With weights below _SAFE_HIGH, exp(−a) contributes nothing beyond this logit.
WEIGHTED_VANISHED = 2300.0


@inlined
def _out_of_range(value: float) -> int:
    """Whether a result may have overflowed or lost digits to underflow on the way."""
    a = abs(value)
    return 0 if (a < math.inf and a > _TINY) else BEYOND


@inlined
def unsafe(value: float) -> int:
    """BEYOND where a coefficient may take a product of several out of range."""
    a = abs(value)
    return BEYOND if (a < _SAFE_LOW or a > _SAFE_HIGH) and a != 0.0 else 0


@inlined
def _clamp_matters(x: float, steady: float, decaying: float) -> int:
    """Whether a clamped exp(−|x|), times ``decaying``, is more than nothing beside ``steady``."""
    return BEYOND if abs(x) > _CLAMPING and abs(steady) <= abs(decaying) * _TINY else 0


@inlined
def _coefficient(away: float, away_rest: float, p: float, y: float) -> DD:
    towards, towards_rest = two_product(p, y)
    s, s_rest = dd_plus(away, away_rest, towards, towards_rest)
    return (1.0 if p == 1.0 else s), (0.0 if p == 1.0 else s_rest)


@inlined
def _inner(x: float, y: float, p: float, sp: float, sp_rest: float) -> DD:
    """The loss before ``weight``, relative error < 2^-56."""
    away, away_rest = two_sum(1.0, -y)
    towards, towards_rest = two_product(p, y)
    c = away if x >= 0.0 else towards
    c_rest = away_rest if x >= 0.0 else towards_rest
    s, s_rest = _coefficient(away, away_rest, p, y)
    line, line_rest = dd_times(c, c_rest, abs(x), 0.0)
    curve, curve_rest = dd_times(s, s_rest, sp, sp_rest)
    return dd_plus(line, line_rest, curve, curve_rest)


@inlined
def wide_loss(
    x: float, y: float, w: float, p: float, sp: float, sp_rest: float, vanished: float
) -> Marked:
    """The loss."""
    inner, inner_rest = _inner(x, y, p, sp, sp_rest)
    value, value_rest = dd_times(w, 0.0, inner, inner_rest)
    steady = 1.0 - y if x >= 0.0 else p * y
    gone = abs(x) > vanished and steady == 0.0
    result = 0.0 if gone else value + 0.0
    rest = 0.0 if gone else value_rest
    needed = _clamp_matters(x, steady, 1.0) | _out_of_range(value)
    needed = 0 if gone or w == 0.0 or inner == 0.0 else needed
    needed = BEYOND if abs(x) == math.inf or value != value or w != w else needed
    return result, rest, needed


@inlined
def wide_grad_logits(
    x: float,
    y: float,
    w: float,
    p: float,
    e: float,
    e_rest: float,
    s: float,
    s_rest: float,
    vanished: float,
) -> Marked:
    """The derivative in x times the scale."""
    away, away_rest = two_sum(1.0, -y)
    towards, towards_rest = two_product(p, y)
    positive = x >= 0.0
    up, up_rest = (1.0 if positive else e), (0.0 if positive else e_rest)
    down, down_rest = (e if positive else 1.0), (e_rest if positive else 0.0)
    u, u_rest = dd_times(away, away_rest, up, up_rest)
    down_term, down_term_rest = dd_times(towards, towards_rest, down, down_rest)
    numerator, numerator_rest = dd_plus(u, u_rest, -down_term, -down_term_rest)
    d, d_rest = fast_two_sum(1.0, e)
    q, q_rest = wide_quotient(numerator, numerator_rest, d, d_rest + e_rest)
    scale, scale_rest = dd_times(s, s_rest, w, 0.0)
    value, value_rest = dd_times(q, q_rest, scale, scale_rest)
    steady = away if positive else towards
    decaying = towards if positive else away
    gone = abs(x) > vanished and steady == 0.0
    result = value * 0.0 if gone else value
    rest = 0.0 if gone else value_rest
    near = abs(numerator) < WIDE_CANCELLATION * abs(u) and x != 0.0
    needed = _clamp_matters(x, steady, decaying) | _out_of_range(value)
    needed = CANCELLED if near else needed
    exact_zero = numerator == 0.0 and not near
    needed = 0 if gone or exact_zero or scale == 0.0 else needed
    needed = BEYOND if value != value else needed
    return result, rest, needed


@inlined
def wide_grad_targets(
    x: float, w: float, p: float, sp: float, sp_rest: float, s: float, s_rest: float
) -> Marked:
    """The derivative in y times the scale."""
    a = abs(x)
    excess, excess_rest = two_sum(p, -1.0)
    curve, curve_rest = dd_times(excess, excess_rest, sp, sp_rest)
    line, line_rest = two_product(-1.0 if x >= 0.0 else p, a)
    t, t_rest = dd_plus(line, line_rest, curve, curve_rest)
    plain = p == 1.0
    near = abs(t) < TARGETS_CANCELLATION * abs(line) and not plain
    t = -x if plain else t
    t_rest = 0.0 if plain else t_rest
    scale, scale_rest = dd_times(s, s_rest, w, 0.0)
    value, rest = dd_times(t, t_rest, scale, scale_rest)
    needed = BEYOND if near or (p == 0.0 and a > _CLAMPING) else _out_of_range(value)
    needed = 0 if (t == 0.0 or scale == 0.0) and a < math.inf else needed
    return value, rest, needed


@inlined
def wide_grad_weight(
    x: float, y: float, p: float, sp: float, sp_rest: float, s: float, s_rest: float
) -> Marked:
    """The derivative in w times the scale."""
    inner, inner_rest = _inner(x, y, p, sp, sp_rest)
    value, rest = dd_times(inner, inner_rest, s, s_rest)
    needed = _out_of_range(value) | (BEYOND if abs(x) > _CLAMPING else 0)
    needed = 0 if s == 0.0 and abs(x) < math.inf else needed
    return value, rest, needed


@inlined
def wide_grad_pos_weight(
    x: float, y: float, w: float, sp: float, sp_rest: float, s: float, s_rest: float
) -> Marked:
    """The derivative in p times the scale."""
    t, t_rest = dd_plus(sp, sp_rest, abs(x) if x < 0.0 else 0.0, 0.0)
    scale, scale_rest = dd_times(s, s_rest, w, 0.0)
    scale, scale_rest = dd_times(scale, scale_rest, y, 0.0)
    value, rest = dd_times(t, t_rest, scale, scale_rest)
    needed = _out_of_range(value) | (BEYOND if x > _CLAMPING else 0)
    needed = 0 if scale == 0.0 and abs(x) < math.inf else needed
    return value, rest, needed


@inlined
def wide_hessian(
    x: float,
    y: float,
    w: float,
    p: float,
    e: float,
    e_rest: float,
    s: float,
    s_rest: float,
    v: float,
) -> Marked:
    """The second derivative in x along v, times the scale."""
    away, away_rest = two_sum(1.0, -y)
    c, c_rest = _coefficient(away, away_rest, p, y)
    d, d_rest = fast_two_sum(1.0, e)
    d_rest += e_rest
    q, q_rest = wide_quotient(e, e_rest, d, d_rest)
    q, q_rest = wide_quotient(q, q_rest, d, d_rest)
    c, c_rest = dd_times(c, c_rest, q, q_rest)
    scale, scale_rest = dd_times(s, s_rest, w, 0.0)
    scale, scale_rest = dd_times(scale, scale_rest, v, 0.0)
    value, rest = dd_times(c, c_rest, scale, scale_rest)
    needed = _out_of_range(value) | (BEYOND if abs(x) > _CLAMPING else 0)
    needed = 0 if c == 0.0 or scale == 0.0 else needed
    return value, rest, needed

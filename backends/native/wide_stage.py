"""All quantities of a block for float64 results: pairs of float64 inside.

Marks what pairs cannot do (deep cancellation, products that leave float64's range on the way,
results near or below the smallest normal, infinities) for ``careful.py``.
"""

from __future__ import annotations

import math
from typing import Any

from bce_conformance.backends.native.block import (
    E_REST,
    FAR,
    GRAD_LOGITS,
    GRAD_POS_WEIGHT,
    GRAD_TARGETS,
    GRAD_WEIGHT,
    HESSIAN,
    LENGTH,
    LOSS,
    MARK,
    NEAR,
    RESTS,
    RESULTS,
    S_REST,
    SP,
    SP_REST,
    E,
    P,
    S,
    V,
    W,
    X,
    Y,
)
from bce_conformance.backends.native.core import (
    HELD,
    VANISHED,
    WIDE_CANCELLATION,
    wide_exp,
    wide_quotient,
    wide_softplus,
)
from bce_conformance.backends.native.primitives import (
    DD,
    dd_plus,
    dd_times,
    fast_two_sum,
    helper,
    inlined,
    two_product,
    two_sum,
)

# Beyond these, products of four operands may leave float64's range on the way.
_SAFE_LOW = 2.0**-240
_SAFE_HIGH = 2.0**240
# A result below this may have lost its rest to underflow.
_TINY = 2.0**-900
# Above this logit exp(−a) is about to be held.
_HOLDING = HELD - 10.0
# With weights below _SAFE_HIGH, exp(−a) contributes nothing beyond this logit.
_WEIGHTED_VANISHED = 2300.0

# Where results go.
_LOSS = RESULTS + LENGTH * LOSS
_LOSS_REST = RESTS + LENGTH * LOSS
_GRAD_LOGITS = RESULTS + LENGTH * GRAD_LOGITS
_GRAD_LOGITS_REST = RESTS + LENGTH * GRAD_LOGITS
_GRAD_TARGETS = RESULTS + LENGTH * GRAD_TARGETS
_GRAD_TARGETS_REST = RESTS + LENGTH * GRAD_TARGETS
_GRAD_WEIGHT = RESULTS + LENGTH * GRAD_WEIGHT
_GRAD_WEIGHT_REST = RESTS + LENGTH * GRAD_WEIGHT
_GRAD_POS_WEIGHT = RESULTS + LENGTH * GRAD_POS_WEIGHT
_GRAD_POS_WEIGHT_REST = RESTS + LENGTH * GRAD_POS_WEIGHT
_HESSIAN = RESULTS + LENGTH * HESSIAN
_HESSIAN_REST = RESTS + LENGTH * HESSIAN


@inlined
def _out_of_range(value: float) -> int:
    """Whether a result may have overflowed or lost digits to underflow on the way."""
    a = abs(value)
    return 0 if (a < math.inf and a > _TINY) else FAR


@inlined
def _unsafe(value: float) -> int:
    a = abs(value)
    return FAR if (a < _SAFE_LOW or a > _SAFE_HIGH) and a != 0.0 else 0


@inlined
def _held_matters(x: float, steady: float, decaying: float) -> int:
    """Whether a held exp(−|x|), times ``decaying``, is more than nothing beside ``steady``."""
    return FAR if abs(x) > _HOLDING and abs(steady) <= abs(decaying) * _TINY else 0


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


@helper
def _exps(b: Any, n: int) -> None:
    for i in range(n):
        b[E + i], b[E_REST + i] = wide_exp(abs(b[X + i]))


@helper
def _softpluses(b: Any, n: int) -> None:
    for i in range(n):
        b[SP + i], b[SP_REST + i] = wide_softplus(b[E + i], b[E_REST + i])


@helper
def _ranges(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        needed = (
            _unsafe(b[W + i]) + _unsafe(b[P + i]) + _unsafe(b[P + i] * b[Y + i]) + _unsafe(b[S + i])
        )
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _losses(b: Any, n: int, vanished: float) -> int:
    marked = 0
    for i in range(n):
        inner, inner_rest = _inner(b[X + i], b[Y + i], b[P + i], b[SP + i], b[SP_REST + i])
        value, value_rest = dd_times(b[W + i], 0.0, inner, inner_rest)
        steady = 1.0 - b[Y + i] if b[X + i] >= 0.0 else b[P + i] * b[Y + i]
        gone = abs(b[X + i]) > vanished and steady == 0.0
        b[_LOSS + i] = 0.0 if gone else value + 0.0
        b[_LOSS_REST + i] = 0.0 if gone else value_rest
        needed = _held_matters(b[X + i], steady, 1.0) | _out_of_range(value)
        needed = 0 if gone or b[W + i] == 0.0 or inner == 0.0 else needed
        needed = (
            1 if abs(b[X + i]) == math.inf or value != value or b[W + i] != b[W + i] else needed
        )
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _grad_logits(b: Any, n: int, vanished: float) -> int:
    marked = 0
    for i in range(n):
        away, away_rest = two_sum(1.0, -b[Y + i])
        towards, towards_rest = two_product(b[P + i], b[Y + i])
        positive = b[X + i] >= 0.0
        up, up_rest = (1.0 if positive else b[E + i]), (0.0 if positive else b[E_REST + i])
        down, down_rest = (b[E + i] if positive else 1.0), (b[E_REST + i] if positive else 0.0)
        u, u_rest = dd_times(away, away_rest, up, up_rest)
        v, v_rest = dd_times(towards, towards_rest, down, down_rest)
        numerator, numerator_rest = dd_plus(u, u_rest, -v, -v_rest)
        d, d_rest = fast_two_sum(1.0, b[E + i])
        q, q_rest = wide_quotient(numerator, numerator_rest, d, d_rest + b[E_REST + i])
        scale, scale_rest = dd_times(b[S + i], b[S_REST + i], b[W + i], 0.0)
        value, value_rest = dd_times(q, q_rest, scale, scale_rest)
        steady = away if positive else towards
        decaying = towards if positive else away
        gone = abs(b[X + i]) > vanished and steady == 0.0
        b[_GRAD_LOGITS + i] = value * 0.0 if gone else value
        b[_GRAD_LOGITS_REST + i] = 0.0 if gone else value_rest
        near = abs(numerator) < WIDE_CANCELLATION * abs(u) and b[X + i] != 0.0
        needed = _held_matters(b[X + i], steady, decaying) | _out_of_range(value)
        needed = NEAR if near else needed
        exact_zero = numerator == 0.0 and not near
        needed = 0 if gone or exact_zero or scale == 0.0 else needed
        needed = FAR if value != value else needed
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _grad_targets(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        a = abs(b[X + i])
        excess, excess_rest = two_sum(b[P + i], -1.0)
        curve, curve_rest = dd_times(excess, excess_rest, b[SP + i], b[SP_REST + i])
        line, line_rest = two_product(-1.0 if b[X + i] >= 0.0 else b[P + i], a)
        t, t_rest = dd_plus(line, line_rest, curve, curve_rest)
        plain = b[P + i] == 1.0
        near = abs(t) < WIDE_CANCELLATION * abs(line) and not plain
        t = -b[X + i] if plain else t
        t_rest = 0.0 if plain else t_rest
        scale, scale_rest = dd_times(b[S + i], b[S_REST + i], b[W + i], 0.0)
        b[_GRAD_TARGETS + i], b[_GRAD_TARGETS_REST + i] = dd_times(t, t_rest, scale, scale_rest)
        needed = (
            1 if near or (b[P + i] == 0.0 and a > _HOLDING) else _out_of_range(b[_GRAD_TARGETS + i])
        )
        needed = 0 if (t == 0.0 or scale == 0.0) and a < math.inf else needed
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _grad_weight(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        inner, inner_rest = _inner(b[X + i], b[Y + i], b[P + i], b[SP + i], b[SP_REST + i])
        b[_GRAD_WEIGHT + i], b[_GRAD_WEIGHT_REST + i] = dd_times(
            inner, inner_rest, b[S + i], b[S_REST + i]
        )
        needed = _out_of_range(b[_GRAD_WEIGHT + i]) | (FAR if abs(b[X + i]) > _HOLDING else 0)
        needed = 0 if b[S + i] == 0.0 and abs(b[X + i]) < math.inf else needed
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _grad_pos_weight(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        t, t_rest = dd_plus(
            b[SP + i], b[SP_REST + i], abs(b[X + i]) if b[X + i] < 0.0 else 0.0, 0.0
        )
        scale, scale_rest = dd_times(b[S + i], b[S_REST + i], b[W + i], 0.0)
        scale, scale_rest = dd_times(scale, scale_rest, b[Y + i], 0.0)
        b[_GRAD_POS_WEIGHT + i], b[_GRAD_POS_WEIGHT_REST + i] = dd_times(
            t, t_rest, scale, scale_rest
        )
        needed = _out_of_range(b[_GRAD_POS_WEIGHT + i]) | (FAR if b[X + i] > _HOLDING else 0)
        needed = 0 if scale == 0.0 and abs(b[X + i]) < math.inf else needed
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _hessian(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        away, away_rest = two_sum(1.0, -b[Y + i])
        c, c_rest = _coefficient(away, away_rest, b[P + i], b[Y + i])
        d, d_rest = fast_two_sum(1.0, b[E + i])
        d_rest += b[E_REST + i]
        q, q_rest = wide_quotient(b[E + i], b[E_REST + i], d, d_rest)
        q, q_rest = wide_quotient(q, q_rest, d, d_rest)
        c, c_rest = dd_times(c, c_rest, q, q_rest)
        scale, scale_rest = dd_times(b[S + i], b[S_REST + i], b[W + i], 0.0)
        scale, scale_rest = dd_times(scale, scale_rest, b[V + i], 0.0)
        b[_HESSIAN + i], b[_HESSIAN_REST + i] = dd_times(c, c_rest, scale, scale_rest)
        needed = _out_of_range(b[_HESSIAN + i]) | (FAR if abs(b[X + i]) > _HOLDING else 0)
        needed = 0 if c == 0.0 or scale == 0.0 else needed
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def wide_stage(b: Any, n: int, wanted: Any, weighted: bool) -> int:
    """Fill the wanted results of the first ``n`` elements; returns how many are marked."""
    vanished = _WEIGHTED_VANISHED if weighted else VANISHED
    marked = 0
    _exps(b, n)
    if weighted:
        marked += _ranges(b, n)
    if wanted[LOSS] or wanted[GRAD_WEIGHT] or wanted[GRAD_TARGETS] or wanted[GRAD_POS_WEIGHT]:
        _softpluses(b, n)
    if wanted[LOSS]:
        marked += _losses(b, n, vanished)
    if wanted[GRAD_LOGITS]:
        marked += _grad_logits(b, n, vanished)
    if wanted[GRAD_TARGETS]:
        marked += _grad_targets(b, n)
    if wanted[GRAD_WEIGHT]:
        marked += _grad_weight(b, n)
    if wanted[GRAD_POS_WEIGHT]:
        marked += _grad_pos_weight(b, n)
    if wanted[HESSIAN]:
        marked += _hessian(b, n)
    return marked

"""All quantities of a block for results of float32 and narrower: float64 inside."""

from __future__ import annotations

import math
from typing import Any

from bce_conformance.backends.native.block import (
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
    RESULTS,
    SP,
    E,
    P,
    S,
    V,
    W,
    X,
    Y,
)
from bce_conformance.backends.native.core import (
    NARROW_CANCELLATION,
    linear,
    narrow_exp,
    narrow_numerator,
    narrow_softplus,
)
from bce_conformance.backends.native.primitives import DD, helper, inlined

# Where results go.
_LOSS = RESULTS + LENGTH * LOSS
_GRAD_LOGITS = RESULTS + LENGTH * GRAD_LOGITS
_GRAD_TARGETS = RESULTS + LENGTH * GRAD_TARGETS
_GRAD_WEIGHT = RESULTS + LENGTH * GRAD_WEIGHT
_GRAD_POS_WEIGHT = RESULTS + LENGTH * GRAD_POS_WEIGHT
_HESSIAN = RESULTS + LENGTH * HESSIAN


@inlined
def annihilate(c: float, term: float) -> float:
    """c·term, where a coefficient of zero annihilates an infinite term; NaN passes."""
    product = c * term
    return 0.0 if c == 0.0 and abs(term) == math.inf else product


@inlined
def coefficient(away: float, p: float, towards: float) -> float:
    """S = (1 − y) + p·y, exactly 1 where p is."""
    return 1.0 if p == 1.0 else away + towards


@inlined
def narrow_inner(x: float, y: float, p: float, sp: float) -> float:
    """The loss before ``weight``."""
    away = 1.0 - y
    towards = p * y
    c = away if x >= 0.0 else towards
    return linear(c, abs(x)) + coefficient(away, p, towards) * sp


@inlined
def narrow_slope(x: float, p: float, sp: float) -> DD:
    """p·softplus(−x) − softplus(x), and the magnitude of a term that cancels in it."""
    a = abs(x)
    term = -a if x >= 0.0 else linear(p, a)
    value = (p - 1.0) * sp + term
    return (-x if p == 1.0 else value), (0.0 if p == 1.0 else abs(term))


@inlined
def softplus_negative(x: float, sp: float) -> float:
    """softplus(−x)."""
    return sp + abs(x) if x < 0.0 else sp


@helper
def _exps(b: Any, n: int) -> None:
    for i in range(n):
        b[E + i] = narrow_exp(abs(b[X + i]))


@helper
def _softpluses(b: Any, n: int) -> None:
    for i in range(n):
        b[SP + i] = narrow_softplus(b[E + i])


@helper
def _losses(b: Any, n: int) -> None:
    for i in range(n):
        b[_LOSS + i] = (
            annihilate(b[W + i], narrow_inner(b[X + i], b[Y + i], b[P + i], b[SP + i])) + 0.0
        )


@helper
def _grad_logits(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        numerator, larger = narrow_numerator(
            b[X + i], 1.0 - b[Y + i], b[P + i] * b[Y + i], b[E + i]
        )
        needed = NEAR if abs(numerator) < NARROW_CANCELLATION * larger else 0
        marked += needed
        b[MARK + i] += needed
        b[_GRAD_LOGITS + i] = numerator * (b[S + i] * b[W + i]) / (1.0 + b[E + i])
    return marked


@helper
def _grad_targets(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        slope, larger = narrow_slope(b[X + i], b[P + i], b[SP + i])
        needed = FAR if abs(slope) < NARROW_CANCELLATION * larger else 0
        marked += needed
        b[MARK + i] += needed
        b[_GRAD_TARGETS + i] = annihilate(b[S + i] * b[W + i], slope)
    return marked


@helper
def _grad_weight(b: Any, n: int) -> None:
    for i in range(n):
        b[_GRAD_WEIGHT + i] = annihilate(
            b[S + i], narrow_inner(b[X + i], b[Y + i], b[P + i], b[SP + i])
        )


@helper
def _grad_pos_weight(b: Any, n: int) -> None:
    for i in range(n):
        b[_GRAD_POS_WEIGHT + i] = annihilate(
            b[S + i] * b[W + i] * b[Y + i], softplus_negative(b[X + i], b[SP + i])
        )


@helper
def _hessian(b: Any, n: int) -> None:
    for i in range(n):
        c = coefficient(1.0 - b[Y + i], b[P + i], b[P + i] * b[Y + i])
        d = 1.0 + b[E + i]
        b[_HESSIAN + i] = b[S + i] * b[W + i] * b[V + i] * c * (b[E + i] / (d * d))


@helper
def narrow_stage(b: Any, n: int, wanted: Any) -> int:
    """Fill the wanted results of the first ``n`` elements; returns how many are marked."""
    marked = 0
    _exps(b, n)
    if wanted[LOSS] or wanted[GRAD_WEIGHT] or wanted[GRAD_TARGETS] or wanted[GRAD_POS_WEIGHT]:
        _softpluses(b, n)
    if wanted[LOSS]:
        _losses(b, n)
    if wanted[GRAD_LOGITS]:
        marked += _grad_logits(b, n)
    if wanted[GRAD_TARGETS]:
        marked += _grad_targets(b, n)
    if wanted[GRAD_WEIGHT]:
        _grad_weight(b, n)
    if wanted[GRAD_POS_WEIGHT]:
        _grad_pos_weight(b, n)
    if wanted[HESSIAN]:
        _hessian(b, n)
    return marked


@inlined
def special(quantity: int, x: float, y: float, w: float, p: float, s: float, v: float) -> float:
    """One quantity of an element with an infinite or NaN operand: the limit of the formula."""
    infinite = abs(x) == math.inf
    held = narrow_exp(abs(x))
    e = 0.0 if infinite else held
    sp = narrow_softplus(e)
    if quantity == LOSS:
        return annihilate(w, narrow_inner(x, y, p, sp)) + 0.0
    if quantity == GRAD_LOGITS:
        # The held exponential gives a vanished gradient its sign.
        numerator, _ = narrow_numerator(x, 1.0 - y, p * y, held)
        value = numerator * (s * w) / (1.0 + e)
        return value * 0.0 if infinite and abs(numerator) < 1.0e-200 else value
    if quantity == GRAD_TARGETS:
        slope, _ = narrow_slope(x, p, sp)
        return annihilate(s * w, slope)
    if quantity == GRAD_WEIGHT:
        return annihilate(s, narrow_inner(x, y, p, sp))
    if quantity == GRAD_POS_WEIGHT:
        return annihilate(s * w * y, softplus_negative(x, sp))
    c = coefficient(1.0 - y, p, p * y)
    return s * w * v * c * (e / ((1.0 + e) * (1.0 + e)))

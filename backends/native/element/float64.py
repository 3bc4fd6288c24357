"""One element of results of float32 and narrower: the formulas, in float64.

With a = |x|, e = exp(−a) and softplus(−a) = log(1 + e), the loss is a sum of non-negative terms,

    loss = w·[c·a + s·log(1 + e)],   c = (1 − y) where x ≥ 0 else p·y,   s = (1 − y) + p·y,

and its derivative in x has a numerator with a single subtraction, N/(1 + e):

    N = (1 − y) − p·y·e where x ≥ 0,   N = −p·y + (1 − y)·e elsewhere.

ACCURACY.md has the error budget. No branches, so that loops over these functions become vector
code.
"""

from __future__ import annotations

import math

from ..arithmetic.double_double import DD
from ..arithmetic.functions import narrow_softplus
from ..arithmetic.intrinsics import as_bits, fma, inlined
from .quantities import (
    GRAD_LOGITS,
    GRAD_POS_WEIGHT,
    GRAD_TARGETS,
    GRAD_WEIGHT,
    LOSS,
    Element,
)

# Numerators that cancel further than this are evaluated in pairs.
NARROW_CANCELLATION = 2.0**-16


@inlined
def linear(c: float, a: float) -> float:
    """c·a, where a coefficient of zero annihilates an infinite a."""
    product = c * a
    return product if c != 0.0 else 0.0


@inlined
def shares(x: float, away: float, towards: float) -> DD:
    """What of N stays and what is multiplied by e; ``away`` 1 − y, ``towards`` p·y.

    The first, times x, is also the linear term c·a of the loss.
    """
    positive = x >= 0.0
    return (away if positive else -towards), (-towards if positive else away)


@inlined
def narrow_gradient(
    x: float, away: float, towards: float, e: float, scale: float
) -> tuple[float, float, float]:
    """``scale`` times the gradient in the logits, N, and the magnitude of what of N stays.

    The last cancels where N is small. Every kernel takes its float64 gradients from here, so that
    an element that one evaluates again keeps the bits that another gave it.
    """
    steady, moving = shares(x, away, towards)
    numerator = fma(moving, e, steady)
    return numerator * scale / (1.0 + e), numerator, abs(steady)


@inlined
def cancels(numerator: float, steady: float) -> int:
    """Less than 0 where N cancels too far: the sign bit of |N| − 2^-16·steady."""
    return as_bits(fma(steady, -NARROW_CANCELLATION, abs(numerator)))


@inlined
def suspicion(factor: float) -> int:
    """Less than 0 where ``factor`` is infinite or NaN: its exponent carries into the sign bit."""
    return as_bits(abs(factor)) + (1 << 52)


@inlined
def annihilate(c: float, term: float) -> float:
    """c·term, where a coefficient of zero annihilates an infinite term; NaN passes."""
    product = c * term
    return 0.0 if c == 0.0 and abs(term) == math.inf else product


@inlined
def coefficient(away: float, p: float, towards: float) -> float:
    """S = (1 − y) + p·y, exactly 1 where p is; NaN where y is infinite."""
    return 1.0 if p == 1.0 and abs(towards) < math.inf else away + towards


@inlined
def narrow_inner(x: float, p: float, away: float, towards: float, sp: float) -> float:
    """The loss before ``weight``."""
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


@inlined
def narrow_element(quantity: int, of: Element, e: float, sp: float, s: float) -> tuple[float, int]:
    """One quantity, and 1 where float64 does not decide a float32 of it.

    ``e`` is exp(−|x|), ``sp`` log(1 + e), and ``s`` what gradients are multiplied by. Infinite
    factors are for ``special.py``.
    """
    away = 1.0 - of.y
    towards = of.p * of.y
    if quantity == LOSS:
        inner = narrow_inner(of.x, of.p, away, towards, sp)
        return annihilate(of.w, inner) + 0.0, 0
    if quantity == GRAD_LOGITS:
        value, numerator, steady = narrow_gradient(of.x, away, towards, e, s * of.w)
        return value, 1 if cancels(numerator, steady) < 0 else 0
    if quantity == GRAD_TARGETS:
        slope, larger = narrow_slope(of.x, of.p, sp)
        needed = 1 if abs(slope) < NARROW_CANCELLATION * larger else 0
        return annihilate(s * of.w, slope), needed
    if quantity == GRAD_WEIGHT:
        inner = narrow_inner(of.x, of.p, away, towards, sp)
        return annihilate(s, inner), 0
    if quantity == GRAD_POS_WEIGHT:
        factor = s * of.w * of.y
        return annihilate(factor, softplus_negative(of.x, sp)), 0
    d = 1.0 + e
    total = coefficient(away, of.p, towards)
    return s * of.w * of.v * total * (e / (d * d)), 0


@inlined
def narrow_step(x: float, y: float, e: float, total: float, product: float) -> DD:
    """The linear term of one loss added to ``total``, and Π(1 + e) − 1 with one factor more.

    A share of zero annihilates an infinite logit.
    """
    steady, _ = shares(x, 1.0 - y, y)
    return (
        fma(steady, x, total) if steady != 0.0 else total,
        fma(product, e, product + e),
    )


@inlined
def narrow_loss(x: float, y: float, w: float, p: float, e: float) -> float:
    """One loss for a sum; what stays of a numerator, times x, is its linear term."""
    away = 1.0 - y
    towards = p * y
    steady, _ = shares(x, away, towards)
    line = steady * x if steady != 0.0 else 0.0
    loss = w * fma(away + towards, narrow_softplus(e), line)
    # A weight of 0 annihilates an infinite loss, but no coefficient that is infinite or NaN.
    vanishes = (w == 0.0) & (abs(x) == math.inf) & (abs(away) + abs(towards) < math.inf)
    return 0.0 if vanishes else loss

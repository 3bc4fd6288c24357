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
from ..arithmetic.functions import narrow_exp, narrow_softplus
from ..arithmetic.intrinsics import fma, inlined
from .quantities import GRAD_LOGITS, GRAD_POS_WEIGHT, GRAD_TARGETS, GRAD_WEIGHT, LOSS

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


@inlined
def special(quantity: int, x: float, y: float, w: float, p: float, s: float, v: float) -> float:
    """One quantity of an element with an infinite or NaN operand: the limit of the formula."""
    infinite = abs(x) == math.inf
    clamped = narrow_exp(abs(x))
    e = 0.0 if infinite else clamped
    sp = narrow_softplus(e)
    if quantity == LOSS:
        return annihilate(w, narrow_inner(x, y, p, sp)) + 0.0
    if quantity == GRAD_LOGITS:
        # The clamped exponential gives a vanished gradient its sign.
        value, numerator, _ = narrow_gradient(x, 1.0 - y, p * y, clamped, s * w)
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

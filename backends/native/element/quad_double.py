"""One element of any quantity to 200 bits, for the few inputs where pairs are not enough.

Reached by about one element in a million. Inputs must be finite. Results are a rounded float64 and
the rest, or, where the result is subnormal, the correctly rounded value and 0.
"""

from __future__ import annotations

import math

from ..arithmetic.coefficients import LOG2_E
from ..arithmetic.double_double import DD
from ..arithmetic.intrinsics import floored, helper, out_of_line
from ..arithmetic.quad_double import (
    Quad,
    exponential,
    inverse,
    minus,
    plus,
    quad,
    rounded,
    scaled,
    shortfall,
    softplus,
    times,
)
from . import quantities as q
from .quantities import Element


@helper
def _balance(y: float, towards: Quad) -> Quad:
    """1 − y + towards, no digit being lost where two of the three terms cancel."""
    if abs(y) < 2.0**-200:
        return plus(plus(quad(1.0), towards), quad(-y))
    return plus(plus(quad(1.0), quad(-y)), towards)


@helper
def _numerator(x: float, y: float, p: float, e: Quad) -> Quad:
    """N, relative error < 2^-200 but for what y and p make cancel at the logit that they have."""
    away = plus(quad(1.0), quad(-y))
    towards = times(quad(p), quad(y))
    if abs(x) < 0.25:  # the terms may differ by less than 200 bits of them tell
        less = shortfall(quad(abs(x)))
        moved = times(towards, less) if x >= 0.0 else minus(times(away, less))
        return plus(_balance(y, minus(towards)), moved)
    if x >= 0.0:
        return plus(away, minus(times(towards, e)))
    return plus(times(away, e), minus(towards))


@helper
def _inner(x: float, y: float, p: float, small: Quad) -> Quad:
    """The loss before ``weight``."""
    towards = times(quad(p), quad(y))
    c = plus(quad(1.0), quad(-y)) if x >= 0.0 else towards
    return plus(times(_balance(y, towards), small), times(c, quad(abs(x))))


@helper
def quad_double_element(quantity: int, of: Element, count: float) -> DD:
    """``quantity`` of one element, gradients times c/count, as a rounded value and rest.

    An infinite logit is taken for the gradient in the logits only.
    """
    out_of_line()
    x, y, w, p, cotangent, vector = of
    # Beyond 1e5 no product of five float64 brings exp(−a) back into range: any tiny e will do.
    a = min(abs(x), 1.0e5)
    k = floored(0.5 - a * LOG2_E)
    e = exponential(quad(a), k) if a < 1.0e5 else scaled(quad(1.0), -100_000)
    e = quad(0.0) if abs(x) == math.inf else e
    root = inverse(plus(quad(1.0), e))
    scale = times(quad(cotangent), inverse(quad(count)))
    if quantity == q.GRAD_LOGITS:
        return rounded(times(times(_numerator(x, y, p, e), root), times(scale, quad(w))))
    if quantity == q.HESSIAN:
        total = _balance(y, times(quad(p), quad(y)))
        value = times(times(total, times(e, root)), root)
        return rounded(times(times(value, quad(vector)), times(scale, quad(w))))
    small = softplus(e)
    if quantity == q.GRAD_TARGETS:
        line = times(quad(-1.0 if x >= 0.0 else p), quad(abs(x)))
        value = plus(times(plus(quad(p), quad(-1.0)), small), line)
        value = quad(-x) if p == 1.0 else value
        return rounded(times(value, times(scale, quad(w))))
    if quantity == q.GRAD_POS_WEIGHT:
        value = small if x >= 0.0 else plus(small, quad(abs(x)))
        return rounded(times(times(value, quad(y)), times(scale, quad(w))))
    inner = _inner(x, y, p, small)
    if quantity == q.LOSS and (w == 0.0 or inner[0] == 0.0):
        return 0.0, 0.0  # without the sign of a zero
    return rounded(times(inner, scale if quantity == q.GRAD_WEIGHT else quad(w)))

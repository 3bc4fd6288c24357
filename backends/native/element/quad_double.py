"""One element of any quantity to 200 bits, for the few inputs where pairs are not enough.

Reached by about one element in a million. Inputs must be finite. Results are a rounded float64 and
the rest, or, where the result is subnormal, the correctly rounded value and 0.
"""

from __future__ import annotations

import math

from ..arithmetic.coefficients import LOG2_E
from ..arithmetic.double_double import DD
from ..arithmetic.intrinsics import helper, out_of_line
from ..arithmetic.quad_double import (
    exponential,
    inverse,
    minus,
    plus,
    quad,
    rounded,
    scaled,
    softplus,
    times,
)
from .quantities import GRAD_LOGITS, GRAD_POS_WEIGHT, GRAD_TARGETS, GRAD_WEIGHT, HESSIAN


@helper
def quad_double_element(
    quantity: int,
    x: float,
    y: float,
    w: float,
    p: float,
    cotangent: float,
    count: float,
    vector: float,
) -> DD:
    """``quantity`` of one element, gradients times cotangent/count, as a rounded value and rest."""
    out_of_line()
    a = quad(abs(x))
    k = math.floor(0.5 - min(abs(x), 1.0e5) * LOG2_E)
    # Beyond 1e5 no product of five float64 brings exp(−a) back into range: any tiny e will do.
    e = exponential(a, k) if abs(x) < 1.0e5 else scaled(quad(1.0), -100_000)
    away = plus(quad(1.0), minus(quad(y)))
    towards = times(quad(p), quad(y))
    scale = times(quad(cotangent), inverse(quad(count)))
    if quantity == GRAD_LOGITS:
        if x >= 0.0:
            numerator = plus(away, minus(times(towards, e)))
        else:
            numerator = plus(times(away, e), minus(towards))
        value = times(times(numerator, inverse(plus(quad(1.0), e))), times(scale, quad(w)))
        return rounded(value)
    if quantity == HESSIAN:
        root = inverse(plus(quad(1.0), e))
        value = times(times(plus(away, towards), times(e, root)), root)
        return rounded(times(times(value, quad(vector)), times(scale, quad(w))))
    small = softplus(e)
    large = plus(small, a)
    positive, negative = (large, small) if x >= 0.0 else (small, large)
    if quantity == GRAD_TARGETS:
        value = plus(times(quad(p), negative), minus(positive))
        if p == 1.0:
            value = minus(quad(x))
        return rounded(times(value, times(scale, quad(w))))
    if quantity == GRAD_POS_WEIGHT:
        return rounded(times(times(negative, quad(y)), times(scale, quad(w))))
    inner = plus(times(away, positive), times(towards, negative))
    if quantity == GRAD_WEIGHT:
        return rounded(times(inner, scale))
    return rounded(times(inner, quad(w)))

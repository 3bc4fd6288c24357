"""The last rung: elements with an infinite or NaN operand.

Every quantity is A·f(x) + B·g(x), with A and B products of the other operands, and f and g
positive for every finite x. NaN in x, or in a factor of A or B, makes NaN. An infinite coefficient
makes its term infinite; 0·∞ and ∞ − ∞ are NaN. At x = ±∞ the value is the limit: a coefficient of
exactly zero takes its term away, also where f or g is infinite.
"""

from __future__ import annotations

import math

from ..arithmetic.double_double import DD, dd_plus, two_product, two_sum
from ..arithmetic.intrinsics import helper, inlined, out_of_line
from .quantities import (
    GRAD_LOGITS,
    GRAD_POS_WEIGHT,
    GRAD_TARGETS,
    GRAD_WEIGHT,
    HESSIAN,
    LOSS,
    Element,
)
from .scaled import finite_element


@inlined
def is_nan(of: Element) -> bool:
    """Whether an operand is NaN."""
    operands = of.x != of.x or of.y != of.y or of.w != of.w or of.p != of.p
    return operands or of.c != of.c or of.v != of.v


@inlined
def relevant(quantity: int, of: Element) -> Element:
    """The element with a 1 for each operand that ``quantity`` does not depend on."""
    return Element(
        of.x,
        1.0 if quantity == GRAD_TARGETS else of.y,
        1.0 if quantity == GRAD_WEIGHT else of.w,
        1.0 if quantity == GRAD_POS_WEIGHT else of.p,
        1.0 if quantity == LOSS else of.c,
        of.v if quantity == HESSIAN else 1.0,
    )


@inlined
def is_finite(of: Element) -> bool:
    """Whether all operands are."""
    finite = abs(of.x) < math.inf and abs(of.y) < math.inf and abs(of.w) < math.inf
    return finite and abs(of.p) < math.inf and abs(of.c) < math.inf and abs(of.v) < math.inf


@inlined
def _unit(value: float) -> float:
    """The sign of a finite number, and an infinity: their products neither over- nor underflow."""
    return value if abs(value) == math.inf else float((value > 0.0) - (value < 0.0))


@helper
def _coefficients(quantity: int, of: Element) -> DD:
    """A and B as a sign, a zero, an infinity or NaN."""
    factor = _unit(of.w) * _unit(of.c) * _unit(of.v)
    a = factor * _unit(1.0 - of.y)
    b = factor * _unit(of.p) * _unit(of.y)
    if quantity == GRAD_LOGITS:
        b = -b
    if quantity == GRAD_TARGETS:
        a, b = -factor, factor * _unit(of.p)
    if quantity == GRAD_POS_WEIGHT:
        a, b = 0.0, factor * _unit(of.y)
    return a, b


@inlined
def _bends_down(of: Element) -> bool:
    """Whether (1 − y) + p·y is negative."""
    away, away_rest = two_sum(1.0, -of.y)
    towards, towards_rest = two_product(of.p, of.y)
    total, _ = dd_plus(away, away_rest, towards, towards_rest)
    return total < 0.0


@helper
def special(quantity: int, of: Element, count: float, kept: int) -> DD:
    """One quantity of an element with an infinite operand that it depends on; see ``ladder.py``."""
    out_of_line()
    a, b = _coefficients(quantity, of)
    if not abs(a + b) < math.inf:
        return a + b, 0.0
    if of.x < 0.0:
        a, b = b, a
    if quantity == HESSIAN:
        sign = _unit(of.w) * _unit(of.c) * _unit(of.v)
        return (-0.0 if _bends_down(of) else 0.0) * sign, 0.0
    if a == 0.0:
        return 0.0 if quantity == LOSS else 0.0 * b, 0.0
    if quantity == GRAD_LOGITS:
        return finite_element(quantity, of, count, kept)
    return a * math.inf, 0.0

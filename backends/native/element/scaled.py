"""One element of any quantity as a pair, coefficients taken apart into mantissa and exponent.

The rung between extended and quad-double: whatever coefficients and logits are in size, no product
leaves float64's range, and powers of two come out exactly. A result has a bound of its error, and
is taken only if all within the bound rounds to the same float64, so that it is the nearest one.
"""

from __future__ import annotations

import math

from ..arithmetic.coefficients import LOG2_E
from ..arithmetic.double_double import (
    DD,
    dd_plus,
    dd_times,
    fast_two_sum,
    two_product,
    two_sum,
    wide_quotient,
)
from ..arithmetic.functions import ROUNDER, wide_expanded, wide_reduced, wide_softplus
from ..arithmetic.intrinsics import apart, floored, fma, helper, inlined, out_of_line, power
from ..arithmetic.underflow import rounded_within
from . import quantities as q
from .addends import softplus_share
from .extended import extended_power
from .quad_double import quad_double_element
from .quantities import Element

# (a + b)·2^k.
Scaled = tuple[float, float, int]

# Relative errors: of products of pairs, of exp(−a), of log(1 + exp(−a)) where it is no power series
# of one term, and of both in extended precision.
_PAIR = 2.0**-97
_EXP = 2.0**-61
_SOFTPLUS = 1.25 * 2.0**-57
_EXTENDED = 2.0**-96
# From here on, exp(−a) is known to be between 0 and a power of two.
_UNKNOWN_FROM = 5000.0
# No product of five float64 brings exp(−a) back into range.
_VANISHED = 1.0e5
# From here on, log(1 + e) is e; beside a, it is nothing.
_ONE_TERM = -64
_LINE_ONLY = 64.0
# Below it, a is nothing beside 1; arithmetic with subnormal numbers is slow.
_NOTHING = 2.0**-300
# Beside numbers that are so much larger, all others are a hint of their sign.
_APART = -900


@inlined
def _times(left: Scaled, right: Scaled) -> Scaled:
    a, b = dd_times(left[0], left[1], right[0], right[1])
    return a, b, left[2] + right[2]


@inlined
def _single(value: float) -> Scaled:
    m, k = apart(value)
    return m, 0.0, k


@inlined
def _product(a: float, b: float) -> Scaled:
    (m, j), (n, k) = apart(a), apart(b)
    value, rest = two_product(m, n)
    return value, rest, j + k


@inlined
def _common(quantity: int, of: Element) -> Scaled:
    """What the two terms are both multiplied by, without the count."""
    if quantity == q.LOSS:
        return _single(of.w)
    if quantity == q.GRAD_WEIGHT:
        return _single(of.c)
    common = _product(of.c, of.w)
    return _times(common, _single(of.v)) if quantity == q.HESSIAN else common


@inlined
def _coefficients(quantity: int, of: Element) -> tuple[Scaled, Scaled]:
    """What the functions of x and of −x are multiplied by."""
    if quantity == q.GRAD_TARGETS:
        return _single(-1.0), _single(of.p)
    if quantity == q.GRAD_POS_WEIGHT:
        return _single(0.0), _single(of.y)
    away, rest = two_sum(1.0, -of.y)
    m, k = apart(away)
    a, b, j = _product(of.p, of.y)
    sign = -1.0 if quantity == q.GRAD_LOGITS else 1.0
    return (m, rest * power(-k), k), (sign * a, sign * b, j)


@inlined
def _exponential(a: float, extended: bool) -> tuple[float, float, int, float]:
    """exp(−a) as a pair in [1/2, 2] times a power of two, and its relative error."""
    if a >= _UNKNOWN_FROM:
        k = floored(-min(a, _VANISHED) * LOG2_E) + 1
        return (0.5 if a < math.inf else 0.0), 0.0, k, 1.0
    if a < _NOTHING:
        return 1.0, 0.0, 0, (_NOTHING if a > 0.0 else 0.0)
    if extended:
        t, t_rest, k = extended_power(a)
        return t, t_rest, k, _EXTENDED
    r, rest, tail, _ = wide_reduced(a, 0)
    t, t_rest = wide_expanded(r, rest, tail, 1.0)
    k = int(fma(a, -LOG2_E, ROUNDER) - ROUNDER)
    return t, t_rest, k, _EXP


@inlined
def _softplus(
    a: float, e: Scaled, error: float, extended: bool
) -> tuple[Scaled, float, Scaled, float]:
    """log(1 + exp(−a)) and log(1 + exp(a)), each with its relative error."""
    if extended and a < _UNKNOWN_FROM:
        scale = power(e[2])
        share, share_rest = softplus_share(e[0] * scale, e[1] * scale)
        far, error = _times((share, share_rest, 0), e), 2.0 * error
    elif e[2] < _ONE_TERM:
        far, error = e, min(2.0 * error, 1.0)
    else:
        scale = power(e[2])
        value, rest = wide_softplus(e[0] * scale, e[1] * scale)
        far, error = (value, rest, 0), _SOFTPLUS
    if a >= _LINE_ONLY:
        return far, error, _single(a), 0.0
    if a < _NOTHING:
        return far, error, far, error + 2.0 * _NOTHING
    scale = power(far[2])
    value, rest = dd_plus(a, 0.0, far[0] * scale, far[1] * scale)
    return far, error, (value, rest, 0), error * far[0] * scale / value


@helper
def _sum(
    first: Scaled, first_error: float, second: Scaled, second_error: float
) -> tuple[float, float, int, float]:
    """The sum with its error, from terms with their relative errors."""
    if first[0] == 0.0 or (second[0] != 0.0 and second[2] > first[2]):
        first, second = second, first
        first_error, second_error = second_error, first_error
    scale = power(max(second[2] - first[2], _APART)) if second[0] != 0.0 else 0.0
    value, rest = dd_plus(first[0], first[1], second[0] * scale, second[1] * scale)
    error = abs(first[0]) * (first_error + _PAIR)
    return value, rest, first[2], error + abs(second[0]) * scale * (second_error + _PAIR)


@helper
def _terms(
    quantity: int, of: Element, e: Scaled, e_error: float, extended: bool
) -> tuple[float, float, int, float]:
    """The sum of the two terms, before what they have in common, and its error."""
    up, down = _coefficients(quantity, of)
    stays, moves = (up, down) if of.x >= 0.0 else (down, up)
    if quantity == q.HESSIAN:
        value, rest, k, error = _sum(up, 0.0, down, 0.0)
        a, b = dd_times(value, rest, e[0], e[1])
        return a, b, k + e[2], error * e[0] + abs(a) * e_error
    if quantity == q.GRAD_LOGITS:
        return _sum(stays, 0.0, _times(moves, e), e_error)
    if quantity == q.GRAD_TARGETS and of.p == 1.0:
        return _sum(_times(stays, _single(abs(of.x))), 0.0, _single(0.0), 0.0)
    far, far_error, near, near_error = _softplus(abs(of.x), e, e_error, extended)
    return _sum(_times(stays, near), near_error, _times(moves, far), far_error)


@inlined
def _divisor(quantity: int, e: Scaled, count: float) -> DD:
    """What the sum is divided by: the count, of derivatives in x also 1 + exp(−|x|)."""
    d, rest = (count if quantity != q.LOSS else 1.0), 0.0
    if quantity == q.GRAD_LOGITS or quantity == q.HESSIAN:
        scale = power(e[2])
        one, one_rest = fast_two_sum(1.0, e[0] * scale)
        one_rest += e[1] * scale
        d, rest = dd_times(d, rest, one, one_rest)
        if quantity == q.HESSIAN:
            d, rest = dd_times(d, rest, one, one_rest)
    return d, rest


@helper
def scaled_element(
    quantity: int, of: Element, count: float, kept: int, extended: bool
) -> tuple[float, float, bool]:
    """``quantity`` of one element, gradients times c/count, with its rest, and if it is decided.

    Finite operands, but that the logit may be infinite for the gradient in the logits. The result
    is the nearest float64, and the one of ``quad_double_element``; its rest decides a tie of the
    format with ``kept`` bits. ``extended`` asks for functions to 2^-96, at several times the cost.
    """
    out_of_line()
    common = _common(quantity, of)
    if common[0] == 0.0:
        return 0.0, 0.0, True
    t, t_rest, k, e_error = _exponential(abs(of.x), extended)
    e = t, t_rest, k
    value, rest, k, error = _terms(quantity, of, e, e_error, extended)
    exact = of.x == 0.0 and (quantity == q.GRAD_LOGITS or quantity == q.HESSIAN)
    if value == 0.0 and (exact or error == 0.0):
        return 0.0, 0.0, True
    signed = error <= abs(value)
    value, rest = dd_times(value, rest, common[0], common[1])
    d, d_rest = _divisor(quantity, e, count)
    error = error * abs(common[0]) / d
    value, rest = wide_quotient(value, rest, d, d_rest)
    error += abs(value) * (_PAIR + 2.0 * e_error * power(e[2]))
    return rounded_within(value, rest, error, k + common[2], signed, kept)


@helper
def finite_element(quantity: int, of: Element, count: float, kept: int) -> DD:
    """``quantity`` of one element as its nearest float64 and its rest: see ``scaled_element``."""
    out_of_line()
    value, rest, decided = scaled_element(quantity, of, count, kept, False)
    if not decided:
        value, rest, decided = scaled_element(quantity, of, count, kept, True)
    return (value, rest) if decided else quad_double_element(quantity, of, count)

"""The ladder: one element, any quantity, any format, at the precision that its result takes.

The rungs are float64, double-double, extended and quad-double; infinities and NaN take the limits
of the formulas. Loops over elements stand on one of the first two rungs, and send here what they
mark. A CUDA thread takes every element here.

Kernels hand constants over as ``np.int64``: Numba would compile the rungs anew for each literal.
"""

from __future__ import annotations

import math
from typing import Any

from ..arithmetic.double_double import DD, dd_times, two_sum
from ..arithmetic.functions import (
    NARROW_CLAMPING,
    narrow_exp,
    narrow_softplus,
    wide_exp,
    wide_softplus,
)
from ..arithmetic.half import narrow, near_tie, precision, sticky, widen
from ..arithmetic.intrinsics import fma, helper, inlined, out_of_line
from .double_double import (
    RAISED_FROM,
    VANISHED,
    out_of_range,
    unsafe,
    wide_element,
)
from .extended import extended_gradient, extended_tail
from .float64 import narrow_element
from .quantities import GRAD_LOGITS, LOSS, Element
from .scaled import finite_element
from .special import is_finite, is_nan, relevant, special

# What ``evaluate`` is told of the operands of a call.
WEIGHTED, WIDE = 1, 2

_SMALLEST = 2.0**-1074


@inlined
def is_out_of_range(of: Element, s: float, quantity: int) -> int:
    """1 where coefficients may take products out of float64's range, or make terms cancel."""
    scales = unsafe(s) | unsafe(of.v) if quantity != LOSS else 0
    return out_of_range(of) | scales


@inlined
def scale_of(c: float, count: float) -> DD:
    """c/count, which gradients are multiplied by; exact where the count is 1.

    One that vanishes is the smallest number, which is marked as out of range.
    """
    s = c / count
    rest = fma(-s, count, c) / count
    s = s if (s != 0.0) | (c == 0.0) else math.copysign(_SMALLEST, c)
    return s, rest if abs(s) < math.inf else 0.0


@helper
def from_extended(quantity: int, of: Element, count: float) -> tuple[float, float, bool]:
    """Loss or gradient in the logits in extended precision, and whether that suffices."""
    out_of_line()
    s, s_rest = scale_of(of.c, count)
    if not is_finite(of):
        return 0.0, 0.0, False
    if abs(of.x) >= RAISED_FROM:
        value, rest, trusted = extended_tail(quantity, of.x, of.y, of.w, of.p, s, s_rest)
        if trusted:
            return value, rest, True
    if quantity == LOSS or is_out_of_range(of, s, quantity):
        return 0.0, 0.0, False
    scale, scale_rest = dd_times(s, s_rest, of.w, 0.0)
    return extended_gradient(of.x, of.y, of.p, scale, scale_rest)


@helper
def beyond_pairs(quantity: int, of: Element, count: float, kept: int) -> DD:
    """One quantity where pairs do not suffice: a value and its rest, gradients over ``count``.

    The rest decides a tie of the format with ``kept`` bits.
    """
    out_of_line()
    of = relevant(quantity, of)
    if is_nan(of):
        return math.nan, 0.0
    if not is_finite(of):
        return special(quantity, of, count, kept)
    if quantity in (LOSS, GRAD_LOGITS):
        value, rest, trusted = from_extended(quantity, of, count)
        if trusted:
            return value, rest
    return finite_element(quantity, of, count, kept)


@helper
def from_pairs(quantity: int, of: Element, count: float, weighted: bool, kept: int) -> DD:
    """One quantity from double-double on."""
    out_of_line()
    s = scale_of(of.c, count)
    e = wide_exp(abs(of.x))
    vanished = math.inf if weighted else VANISHED
    value, rest, needed = wide_element(quantity, of, e, wide_softplus(e[0], e[1]), s, vanished)
    needed |= is_out_of_range(of, s[0], quantity) if weighted else 0
    if needed or abs(of.x) == math.inf:
        return beyond_pairs(quantity, of, count, kept)
    return value, rest


@inlined
def first_rung(
    quantity: int, of: Element, e: float, sp: float, s: float, like: Any
) -> tuple[float, bool]:
    """One quantity of float32 or narrower, and whether float64 does not decide it."""
    value, needed = narrow_element(quantity, of, e, sp, s)
    return value, needed != 0 or is_open(value, like)


@inlined
def is_open(value: float, like: Any) -> bool:
    """Whether a value is near a tie of a half format, or not finite and so to be settled."""
    return near_tie(value, like) != 0 or not abs(value) < math.inf


@inlined
def _is_suspicious(quantity: int, of: Element, s: float, checks: int) -> bool:
    """Whether a result of float32 or narrower is not for float64 to decide, as its factors are."""
    if checks == 0:
        return False
    if checks & WIDE and (is_out_of_range(of, s, quantity) or abs(of.x) > NARROW_CLAMPING):
        return True
    return of.p < 0.0 or not is_finite(of)


@inlined
def in_float64(
    quantity: int, of: Element, count: float, checks: int, like: Any
) -> tuple[float, bool]:
    """One quantity in float64, and whether that settles it; see ``evaluate``."""
    if precision(like) == 53:
        return 0.0, False
    e = narrow_exp(abs(of.x))
    s = of.c / count
    value, needed = first_rung(quantity, of, e, narrow_softplus(e), s, like)
    return value, not (needed or _is_suspicious(quantity, of, s, checks))


@helper
def evaluate(quantity: int, of: Element, count: float, checks: int, like: Any) -> DD:
    """One quantity as a value and its rest, which may be rounded to the format of ``like``.

    Args:
        quantity: one of ``quantities.py``.
        of: the element.
        count: what gradients are divided by.
        checks: ``WEIGHTED`` where w, p, c or v may differ from 1, and ``WIDE`` where an operand
            may have numbers that float32 has not; their sum, or 0.
        like: an element of the result's format (see ``half.widen``).
    """
    out_of_line()
    kept = precision(like)
    if kept == 53:
        return from_pairs(quantity, of, count, (checks & WEIGHTED) != 0, kept)
    value, is_settled = in_float64(quantity, of, count, checks, like)
    if not is_settled:
        value, rest = from_pairs(quantity, of, count, checks != 0, kept)
        value = sticky(value, rest)
    return value, 0.0


@helper
def exact(element: Any) -> float:
    """The float64 value of an array element."""
    return widen(element)


@helper
def added(total: float, rest: float, value: float, more: float) -> DD:
    """The pair total + rest, plus value + more."""
    total, error = two_sum(total, value)
    return total, rest + more + error


@helper
def rounded(total: float, rest: float, count: float, like: Any) -> Any:
    """(total + rest)/count in the format of ``like``; a zero keeps its sign."""
    q = total / count
    if not abs(total) < math.inf:
        return narrow(q, like)
    error = (fma(-q, count, total) + rest) / count
    return narrow(q if error == 0.0 else q + error, like)

"""One element, any quantity, any format, at the precision that its result takes.

The rungs are float64, double-double, extended and quad-double; infinities and NaN take the limits
of the formulas. A CUDA thread evaluates this, so that results are those of the processor up to how
the device rounds its fused operations.
"""

from __future__ import annotations

import math
from typing import Any

from ..arithmetic.double_double import DD, dd_times, two_sum
from ..arithmetic.functions import narrow_exp, narrow_softplus, wide_exp, wide_softplus
from ..arithmetic.half import narrow, near_tie, sticky, widen
from ..arithmetic.intrinsics import fma, helper
from ..compiled import kernel
from .double_double import (
    VANISHED,
    WEIGHTED_VANISHED,
    Marked,
    unsafe,
    wide_grad_logits,
    wide_grad_pos_weight,
    wide_grad_targets,
    wide_grad_weight,
    wide_hessian,
    wide_loss,
)
from .extended import extended_gradient
from .float64 import (
    NARROW_CANCELLATION,
    annihilate,
    coefficient,
    narrow_gradient,
    narrow_inner,
    narrow_slope,
    softplus_negative,
    special,
)
from .quad_double import quad_double_element
from .quantities import (
    BEYOND,
    CANCELLED,
    GRAD_LOGITS,
    GRAD_POS_WEIGHT,
    GRAD_TARGETS,
    GRAD_WEIGHT,
    LOSS,
)


@helper
def _narrow(
    quantity: int, x: float, y: float, w: float, p: float, s: float, v: float
) -> tuple[float, int]:
    """As ``stage_float64.py`` has it, with its mark."""
    e = narrow_exp(abs(x))
    sp = narrow_softplus(e)
    if quantity == LOSS:
        return annihilate(w, narrow_inner(x, y, p, sp)) + 0.0, 0
    if quantity == GRAD_LOGITS:
        value, numerator, steady = narrow_gradient(x, 1.0 - y, p * y, e, s * w)
        return value, CANCELLED if abs(numerator) < NARROW_CANCELLATION * steady else 0
    if quantity == GRAD_TARGETS:
        slope, larger = narrow_slope(x, p, sp)
        return annihilate(s * w, slope), BEYOND if abs(slope) < NARROW_CANCELLATION * larger else 0
    if quantity == GRAD_WEIGHT:
        return annihilate(s, narrow_inner(x, y, p, sp)), 0
    if quantity == GRAD_POS_WEIGHT:
        return annihilate(s * w * y, softplus_negative(x, sp)), 0
    d = 1.0 + e
    return s * w * v * coefficient(1.0 - y, p, p * y) * (e / (d * d)), 0


@helper
def _wide(
    quantity: int,
    x: float,
    y: float,
    w: float,
    p: float,
    s: float,
    s_rest: float,
    v: float,
    vanished: float,
) -> Marked:
    """As ``stage_double_double.py`` has it."""
    e, e_rest = wide_exp(abs(x))
    sp, sp_rest = wide_softplus(e, e_rest)
    if quantity == LOSS:
        return wide_loss(x, y, w, p, sp, sp_rest, vanished)
    if quantity == GRAD_LOGITS:
        return wide_grad_logits(x, y, w, p, e, e_rest, s, s_rest, vanished)
    if quantity == GRAD_TARGETS:
        return wide_grad_targets(x, w, p, sp, sp_rest, s, s_rest)
    if quantity == GRAD_WEIGHT:
        return wide_grad_weight(x, y, p, sp, sp_rest, s, s_rest)
    if quantity == GRAD_POS_WEIGHT:
        return wide_grad_pos_weight(x, y, w, sp, sp_rest, s, s_rest)
    return wide_hessian(x, y, w, p, e, e_rest, s, s_rest, v)


@kernel
def evaluate(
    quantity: int,
    x: float,
    y: float,
    w: float,
    p: float,
    c: float,
    v: float,
    count: float,
    weighted: bool,
    like: Any,
) -> DD:
    """``quantity`` of one element as a value and its rest; gradients times ``c/count``.

    ``like`` is an element of the result's format (see ``half.widen``). What is returned may
    be rounded to it directly.
    """
    s = c / count
    s_rest = fma(-s, count, c) / count
    wide = narrow(1.0 + 2.0**-50, like) != narrow(1.0, like)
    if not wide:
        value, needed = _narrow(quantity, x, y, w, p, s, v)
        if not needed and not near_tie(value, like):
            return value, 0.0
    vanished = WEIGHTED_VANISHED if weighted else VANISHED
    value, rest, needed = _wide(quantity, x, y, w, p, s, s_rest, v, vanished)
    if weighted:
        needed += unsafe(w) + unsafe(p) + unsafe(p * y) + unsafe(s)
    if needed == CANCELLED:
        scale, scale_rest = dd_times(s, s_rest, w, 0.0)
        value, rest, trusted = extended_gradient(x, y, p, scale, scale_rest)
        needed = 0 if trusted else BEYOND
    if needed:
        finite = abs(x) < math.inf and abs(y) < math.inf and abs(w) < math.inf
        finite = finite and abs(p) < math.inf and abs(c) < math.inf and abs(v) < math.inf
        if finite:
            value, rest = quad_double_element(quantity, x, y, w, p, c, count, v)
        else:
            value, rest = special(quantity, x, y, w, p, s, v), 0.0
    if quantity == LOSS:
        value += 0.0
    return (value, rest) if wide else (sticky(value, rest), 0.0)


@kernel
def exact(element: Any) -> float:
    """The float64 value of an array element."""
    return widen(element)


@kernel
def added(total: float, rest: float, value: float, more: float) -> DD:
    """The pair total + rest, plus value + more."""
    total, error = two_sum(total, value)
    return total, rest + more + error


@kernel
def rounded(total: float, rest: float, count: float, like: Any) -> Any:
    """(total + rest)/count in the format of ``like``."""
    if not abs(total) < math.inf:
        return narrow(total / count, like)
    q = total / count
    return narrow(q + (fma(-q, count, total) + rest) / count, like)

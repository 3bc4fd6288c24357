"""As ``fused.py`` for float64: pairs inside, and an exact sum.

What this cannot do (deep cancellation, results near the smallest normal and below) is marked, left
out of the sum, and evaluated one by one afterwards: no element's bits depend on another's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bce_conformance.backends.native.block import GRAD_LOGITS, LOSS
from bce_conformance.backends.native.caching import kernel
from bce_conformance.backends.native.careful import careful
from bce_conformance.backends.native.core import (
    HELD,
    VANISHED,
    WIDE_CANCELLATION,
    shares,
    wide_expanded,
    wide_log1p,
    wide_quotient,
    wide_reduced,
)
from bce_conformance.backends.native.fused import BLOCK, CHUNK, GROUP, LANES, quotient
from bce_conformance.backends.native.narrow_stage import special
from bce_conformance.backends.native.primitives import (
    DD,
    dd_times,
    fast_two_sum,
    fma,
    helper,
    inlined,
    out_of_line,
    two_product,
    two_sum,
)
from bce_conformance.backends.native.refined import refined_far, refined_gradient

# From here on a loss or gradient may be near the smallest normal; nothing below is marked for it.
_LOW = HELD - 10.0
# Shares below this may have no more weight there than exp(−|x|), and lose digits when multiplied.
_FAINT = 2.0**-900
# Only targets far outside [0, 1] have such shares.
_HUGE = 2.0**100

# The buffer of a thread: rows of sums and products with their rests, groups of exp(−|x|) with its.
_RESTS = LANES
_PRODUCTS = 2 * LANES
_PRODUCT_RESTS = 3 * LANES
_EXPS = 4 * LANES
_EXP_RESTS = _EXPS + GROUP
_TAILS = _EXP_RESTS + GROUP
_SCALES = _TAILS + GROUP
_SIZE = _SCALES + GROUP


@inlined
def _is_open(x: float, y: float) -> bool:
    """Whether this is beyond the vector code: exp(−|x|) at its smallest decides, or y is huge.

    Where a share of the linear term stays, and no faint one, exp(−|x|) is nothing beside it beyond
    _LOW; where none does, all vanishes beyond VANISHED.
    """
    share = _share(x, y)
    decides = (share < _FAINT) & ((share > 0.0) | (abs(x) < VANISHED))
    return (abs(x) >= _LOW) & (decides | (share > _HUGE))


@inlined
def _share(x: float, y: float) -> float:
    steady, _ = shares(x, 1.0 - y, y)
    return abs(steady)


@helper
def _exps(x: Any, y: Any, b: Any, marks: Any) -> None:
    for i in range(x.size):
        b[_EXPS + i], b[_EXP_RESTS + i], b[_TAILS + i], b[_SCALES + i] = wide_reduced(abs(x[i]))
        marks[i] = _is_open(x[i], y[i])
    for i in range(x.size):
        e, e_rest = wide_expanded(b[_EXPS + i], b[_EXP_RESTS + i], b[_TAILS + i], b[_SCALES + i])
        beyond = abs(x[i]) >= _LOW
        b[_EXPS + i] = 0.0 if beyond else e
        b[_EXP_RESTS + i] = 0.0 if beyond else e_rest


@inlined
def _sum_row(x: Any, y: Any, exps: Any, exp_rests: Any, b: Any) -> None:
    """Add the losses of a row to its lanes: c·|x| exactly, log(1 + e) as a product."""
    for lane in range(x.size):
        away, away_rest = two_sum(1.0, -y[lane])
        steady, _ = shares(x[lane], away, y[lane])
        steady_rest = away_rest if x[lane] >= 0.0 else 0.0
        line, line_rest = two_product(steady, x[lane])
        line_rest += steady_rest * x[lane]
        # Also a zero that annihilates an infinite logit.
        left_out = (abs(x[lane]) >= _LOW) & (abs(steady) < _FAINT)
        b[lane], error = two_sum(b[lane], 0.0 if left_out else line)
        b[_RESTS + lane] += error + (0.0 if left_out else line_rest)
        # m + e + m·e, the last being the smallest.
        e, e_rest = exps[lane], exp_rests[lane]
        m, m_rest = b[_PRODUCTS + lane], b[_PRODUCT_RESTS + lane]
        total, error = two_sum(m, e)
        product, product_rest = two_product(m, e)
        total, more = fast_two_sum(total, product)
        m_rest = fma(m_rest, e, fma(m, e_rest, m_rest)) + (e_rest + product_rest)
        b[_PRODUCTS + lane] = total
        b[_PRODUCT_RESTS + lane] = m_rest + (error + more)


@helper
def _sums(x: Any, y: Any, b: Any) -> None:
    for at in range(0, x.size, LANES):
        row = slice(at, min(x.size, at + LANES))
        exps = b[_EXPS + at : _EXPS + at + LANES]
        exp_rests = b[_EXP_RESTS + at : _EXP_RESTS + at + LANES]
        _sum_row(x[row], y[row], exps, exp_rests, b)


@helper
def _gradients(x: Any, y: Any, g: Any, scale: float, scale_rest: float, b: Any, marks: Any) -> None:
    for i in range(x.size):
        e = b[_EXPS + i]
        e_rest = b[_EXP_RESTS + i]
        away, away_rest = two_sum(1.0, -y[i])
        positive = x[i] >= 0.0
        steady, moving = shares(x[i], away, y[i])
        moved, moved_rest = two_product(moving, e)
        moved_rest += moving * e_rest + (0.0 if positive else away_rest) * e
        n, n_rest = two_sum(steady, moved)
        n_rest += (away_rest if positive else 0.0) + moved_rest
        d, d_rest = fast_two_sum(1.0, e)
        q, q_rest = wide_quotient(n, n_rest, d, d_rest + e_rest)
        value, _ = dd_times(q, q_rest, scale, scale_rest)
        gone = (abs(x[i]) >= _LOW) & (steady == 0.0)
        g[i] = moving * 0.0 if gone else value
        near = abs(n) < WIDE_CANCELLATION * abs(moved) and x[i] != 0.0
        marks[i] = marks[i] or near


@inlined
def _finish(b: Any, width: int) -> DD:
    """Add up one block's lanes, in a fixed tree."""
    for lane in range(width):
        curve, curve_rest = wide_log1p(b[_PRODUCTS + lane], b[_PRODUCT_RESTS + lane])
        b[lane], error = two_sum(b[lane], curve)
        b[_RESTS + lane] += error + curve_rest
    half = LANES // 2
    while half:
        for lane in range(half):
            total, error = two_sum(b[lane], b[lane + half])
            b[lane] = total
            b[_RESTS + lane] = b[_RESTS + lane] + b[_RESTS + lane + half] + error
        half //= 2
    return b[0], b[_RESTS]


@helper
def _decided(quantity: int, x: float, y: float, count: float) -> DD:
    """Loss or gradient of one element as ``refined`` or, where that does not suffice, otherwise."""
    out_of_line()
    scale = 1.0 / count
    scale_rest = fma(-scale, count, 1.0) / count
    value, rest, trusted = refined_far(quantity, x, y, 1.0, 1.0, scale, scale_rest)
    if not trusted and quantity == GRAD_LOGITS:
        value, rest, trusted = refined_gradient(x, y, 1.0, scale, scale_rest)
    if trusted:
        return value, rest
    if abs(x) < math.inf and abs(y) < math.inf:
        return careful(quantity, x, y, 1.0, 1.0, 1.0, count, 0.0)
    return special(quantity, x, y, 1.0, 1.0, scale, 0.0), 0.0


@helper
def _decide(
    x: Any, y: Any, g: Any, with_gradient: bool, count: float, marks: Any, total: float, rest: float
) -> DD:
    """Evaluate the marked ones of a few elements; the sum with their losses."""
    out_of_line()
    for i in range(x.size):
        if marks[i]:
            if abs(x[i]) >= _LOW and _share(x[i], y[i]) < _FAINT:
                value, more = _decided(LOSS, x[i], y[i], 1.0)
                total, error = two_sum(total, value)
                rest += error + more
            if with_gradient:
                g[i], _ = _decided(GRAD_LOGITS, x[i], y[i], count)
    return total, rest


@helper
def _chunk(
    logits: Any,
    targets: Any,
    gradient: Any,
    with_gradient: bool,
    count: float,
    chunk: int,
    b: Any,
    marks: Any,
) -> DD:
    """See ``fused._chunk``; here nothing is left to be repaired."""
    words = marks.view(np.int64)
    scale = 1.0 / count
    scale_rest = fma(-scale, count, 1.0) / count
    total = 0.0
    rest = 0.0
    for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
        stop = min(logits.size, start + BLOCK)
        b[:_EXPS] = 0.0
        for at in range(start, stop, GROUP):
            x = logits[at : min(stop, at + GROUP)]
            y = targets[at : min(stop, at + GROUP)]
            g = gradient[at : min(stop, at + GROUP)]
            _exps(x, y, b, marks)
            _sums(x, y, b)
            if with_gradient:
                _gradients(x, y, g, scale, scale_rest, b, marks)
            for word in range((x.size + 7) // 8):
                if words[word]:
                    i = slice(8 * word, min(x.size, 8 * word + 8))
                    total, rest = _decide(
                        x[i], y[i], g[i], with_gradient, count, marks[i], total, rest
                    )
        value, error = _finish(b, min(LANES, stop - start))
        total, carried = two_sum(total, value)
        rest += error + carried
    return total, rest


@kernel
def sum_wide(
    logits: Any,
    targets: Any,
    gradient: Any,
    with_gradient: bool,
    count: float,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """Write the sums of the losses of chunks ``first`` to ``last`` into ``partials[chunk, :]``.

    With ``with_gradient``, also the gradient in the logits over ``count``.
    """
    b = np.empty(_SIZE)
    marks = np.zeros(GROUP, np.bool_)
    for chunk in range(first, last):
        partials[chunk, 0], partials[chunk, 1] = _chunk(
            logits, targets, gradient, with_gradient, count, chunk, b, marks
        )


@kernel
def sum_small_wide(
    logits: Any, targets: Any, gradient: Any, with_gradient: bool, count: float, out: Any
) -> int:
    """See ``fused.sum_small``; not 0 either where the sum overflows, and the mean may not."""
    b = np.empty(_SIZE)
    marks = np.zeros(GROUP, np.bool_)
    total, rest = _chunk(logits, targets, gradient, with_gradient, count, 0, b, marks)
    out[0] = quotient(total, rest, count)
    return int(abs(total) == math.inf)

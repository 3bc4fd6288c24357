"""As ``sum_float32.py`` for float16 and bfloat16: float32 inside wherever that decides the result.

Sixteen lanes for eight. A gradient's float32 comes with a bound of its error; where the two ends
of that interval round to different numbers of the format, the element is evaluated in float64.
Either way the gradient is correctly rounded. bfloat16 logits beyond 40 send their group through
``bfloat16_tails.py``. Sums are good to 2^-19.5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arithmetic.double_double import two_sum
from ..arithmetic.functions import narrow_exp, narrow_log1p, single_exp
from ..arithmetic.half import half_of_single, narrow, near_tie, noted, single_of_half, sticky, widen
from ..arithmetic.intrinsics import fma, fma_single, helper, inlined, out_of_line
from ..arithmetic.underflow import quotient
from ..compiled import kernel
from ..element.extended import extended_gradient
from ..element.float64 import NARROW_CANCELLATION, narrow_gradient
from .bfloat16_tails import TAIL_SIZE, TOTALS, tail_exps, tail_gradients, tail_lane, tail_sums
from .sum_float32 import CHUNK, EXPS, GROUP, LANES, PRODUCTS, add_lanes

_BLOCK = 4 * GROUP

_ONE = np.float32(1)
_ZERO = np.float32(0)
_ROUNDER = np.float32(1.5 * 2.0**23)
# exp(−a) is clamped here: for float16, all results beyond vanish with the right sign, and nothing
# on the way is subnormal, which would be slow.
_CLAMPED = np.float32(40)
# The bits of 40 as a bfloat16.
_TAILS_FROM = np.int16(0x4220)
# The error of a gradient is below this, times |gradient| + scale·e.
_MARGIN = np.float32(2.0**-21)


@helper
def _has_tails(x: Any) -> bool:
    seen = np.int16(0)
    for i in range(x.size):
        seen = noted(seen, x[i], _TAILS_FROM)
    return bool(seen < 0)


@helper
def _exps(x: Any, s: Any) -> None:
    for i in range(x.size):
        a = abs(single_of_half(x[i]))
        s[EXPS + i] = single_exp(_CLAMPED if a > _CLAMPED else a, _ROUNDER)


@inlined
def _added(x: Any, y: Any, e: Any, total: Any, product: Any) -> tuple[Any, Any]:
    steady = _ONE - y if x >= _ZERO else -y
    return (
        fma_single(steady, x, total) if steady != _ZERO else total,
        fma_single(product, e, product + e),
    )


@helper
def _sums(x: Any, y: Any, s: Any) -> None:
    if x.size == GROUP:
        for lane in range(LANES):
            total, product = s[lane], s[PRODUCTS + lane]
            for row in range(GROUP // LANES):
                i = lane + row * LANES
                total, product = _added(
                    single_of_half(x[i]), single_of_half(y[i]), s[EXPS + i], total, product
                )
            s[lane], s[PRODUCTS + lane] = total, product
    else:
        for i in range(x.size):
            lane = i % LANES
            s[lane], s[PRODUCTS + lane] = _added(
                single_of_half(x[i]),
                single_of_half(y[i]),
                s[EXPS + i],
                s[lane],
                s[PRODUCTS + lane],
            )


@helper
def _gradients(x: Any, y: Any, g: Any, scale: Any, s: Any, marks: Any) -> None:
    """Gradients, and a mark on each that float32 cannot decide."""
    reach = scale * _MARGIN
    for i in range(x.size):
        logit = single_of_half(x[i])
        target = single_of_half(y[i])
        e = s[EXPS + i]
        away = _ONE - target
        positive = logit >= _ZERO
        numerator = fma_single(-target if positive else away, e, away if positive else -target)
        value = numerator * (scale / (_ONE + e))
        margin = fma_single(e, reach, abs(value) * _MARGIN)
        low = half_of_single(value - margin, x[i])
        high = half_of_single(value + margin, x[i])
        g[i] = low
        marks[i] = low != high


@helper
def _decide(x: Any, y: Any, g: Any, count: float, marks: Any) -> bool:
    """Evaluate the marked ones of a few gradients in float64 or, where that does not do, in pairs.

    Returns whether one stays undecided.
    """
    out_of_line()
    scale = 1.0 / count
    undecided = False
    for i in range(x.size):
        if marks[i]:
            logit = widen(x[i])
            target = widen(y[i])
            e = narrow_exp(abs(logit))
            value, numerator, steady = narrow_gradient(logit, 1.0 - target, target, e, scale)
            g[i] = narrow(value, x[i])
            cancelled = abs(numerator) < NARROW_CANCELLATION * steady
            if cancelled or near_tie(value, x[i]) != 0:
                scale_rest = fma(-scale, count, 1.0) / count
                value, rest, trusted = extended_gradient(logit, target, 1.0, scale, scale_rest)
                g[i] = narrow(sticky(value, rest), x[i])
                undecided = undecided or not trusted
    return undecided


@helper
def _decide_all(x: Any, y: Any, g: Any, count: float, marks: Any, words: Any) -> bool:
    """As ``_decide`` for a group, whose marks are seen eight at a time in ``words``."""
    undecided = False
    for word in range(words.size):
        if words[word]:
            eight = slice(8 * word, min(x.size, 8 * word + 8))
            undecided |= _decide(x[eight], y[eight], g[eight], count, marks[eight])
    return undecided


@inlined
def _finish(b: Any, s: Any, tails: bool, width: int) -> float:
    for lane in range(width):
        b[lane] = narrow_log1p(float(s[PRODUCTS + lane])) + float(s[lane])
    b[width:] = 0.0
    if tails:
        for lane in range(width):
            b[lane] += tail_lane(s, lane)
    return add_lanes(b)


@helper
def _chunk(
    logits: Any,
    targets: Any,
    gradient: Any,
    with_gradient: bool,
    count: float,
    has_tails: bool,
    chunk: int,
    b: Any,
    s: Any,
    marks: Any,
) -> tuple[float, float, int]:
    """See ``sum_float32._chunk``."""
    words = marks.view(np.int64)
    scale = np.float32(1.0 / count)
    total = 0.0
    rest = 0.0
    undecided = 0
    for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), _BLOCK):
        stop = min(logits.size, start + _BLOCK)
        s[:EXPS] = 0.0
        s[TOTALS:] = 0.0
        any_tails = False
        for at in range(start, stop, GROUP):
            x = logits[at : min(stop, at + GROUP)]
            y = targets[at : min(stop, at + GROUP)]
            tails = has_tails and _has_tails(x)
            if tails:
                any_tails = True
                tail_exps(x, s)
                tail_sums(x, y, s)
            else:
                _exps(x, s)
                _sums(x, y, s)
            if with_gradient:
                g = gradient[at : min(stop, at + GROUP)]
                if tails:
                    tail_gradients(x, y, g, scale, s, marks)
                else:
                    _gradients(x, y, g, scale, s, marks)
                if _decide_all(x, y, g, count, marks, words[: (x.size + 7) // 8]):
                    undecided |= 1 << ((at - chunk * CHUNK) // GROUP)
        total, error = two_sum(total, _finish(b, s, any_tails, min(LANES, stop - start)))
        rest += error
    return total, rest, undecided


@kernel
def sum_half(
    logits: Any,
    targets: Any,
    gradient: Any,
    with_gradient: bool,
    count: float,
    has_tails: bool,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """See ``sum_float32.sum_single``; gradients are divided by ``count``.

    ``has_tails`` says whether the format has logits for which float32 does not reach: bfloat16.
    """
    b = np.empty(LANES)
    s = np.empty(TAIL_SIZE, np.float32)
    marks = np.zeros(GROUP, np.bool_)
    for chunk in range(first, last):
        partials[chunk, 0], partials[chunk, 1], partials[chunk, 2] = _chunk(
            logits, targets, gradient, with_gradient, count, has_tails, chunk, b, s, marks
        )


@kernel
def sum_small_half(
    logits: Any,
    targets: Any,
    gradient: Any,
    with_gradient: bool,
    count: float,
    has_tails: bool,
    out: Any,
) -> int:
    """See ``sum_float32.sum_small`` and ``sum_half``."""
    b = np.empty(LANES)
    s = np.empty(TAIL_SIZE, np.float32)
    marks = np.zeros(GROUP, np.bool_)
    total, rest, undecided = _chunk(
        logits, targets, gradient, with_gradient, count, has_tails, 0, b, s, marks
    )
    out[0] = narrow(quotient(total, rest, count), out[0])
    return undecided

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
from ..arithmetic.half import half_of_single, narrow, noted, single_of_half, sticky, widen
from ..arithmetic.intrinsics import helper, inlined, out_of_line
from ..arithmetic.underflow import quotient
from ..compiled import default_mode, kernel, restore_mode
from ..element.float32 import single_gradient, single_step
from ..element.ladder import first_rung, from_extended
from ..element.quantities import GRAD_LOGITS, Element
from ..memory.chunks import CHUNK, EXPS, GROUP, LANES, PRODUCTS, add_lanes
from .bfloat16_tails import TAIL_SIZE, TOTALS, tail_exps, tail_gradients, tail_lane, tail_sums

_BLOCK = 4 * GROUP

_ROUNDER = np.float32(1.5 * 2.0**23)
# exp(−a) is clamped here: for float16, all results beyond vanish with the right sign, and nothing
# on the way is subnormal, which would be slow.
_CLAMPED = np.float32(40)
# The bits of 40 as a bfloat16.
_TAILS_FROM = np.int16(0x4220)


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


@helper
def _sums(x: Any, y: Any, s: Any) -> None:
    if x.size == GROUP:
        for lane in range(LANES):
            total, product = s[lane], s[PRODUCTS + lane]
            for row in range(GROUP // LANES):
                i = lane + row * LANES
                total, product = single_step(
                    single_of_half(x[i]), single_of_half(y[i]), s[EXPS + i], total, product
                )
            s[lane], s[PRODUCTS + lane] = total, product
    else:
        for i in range(x.size):
            lane = i % LANES
            s[lane], s[PRODUCTS + lane] = single_step(
                single_of_half(x[i]),
                single_of_half(y[i]),
                s[EXPS + i],
                s[lane],
                s[PRODUCTS + lane],
            )


@helper
def _gradients(x: Any, y: Any, g: Any, scale: Any, s: Any, marks: Any) -> None:
    """Gradients, and a mark on each that float32 cannot decide."""
    for i in range(x.size):
        value, margin = single_gradient(
            single_of_half(x[i]), single_of_half(y[i]), s[EXPS + i], scale
        )
        low = half_of_single(value - margin, x[i])
        high = half_of_single(value + margin, x[i])
        g[i] = low
        marks[i] = low != high


@helper
def _decide(x: Any, y: Any, g: Any, count: float, marks: Any) -> bool:
    """Evaluate the marked ones of a few gradients again; whether one stays undecided."""
    out_of_line()
    scale = 1.0 / count
    undecided = False
    for i in range(x.size):
        if marks[i]:
            of = Element(widen(x[i]), widen(y[i]), 1.0, 1.0, 1.0, 1.0)
            value, needed = first_rung(GRAD_LOGITS, of, narrow_exp(abs(of.x)), 0.0, scale, x[i])
            if needed:
                value, rest, trusted = from_extended(GRAD_LOGITS, of, count)
                value = sticky(value, rest)
                undecided |= not trusted
            g[i] = narrow(value, x[i])
    return undecided


@helper
def _decide_all(x: Any, y: Any, g: Any, count: float, marks: Any, words: Any) -> bool:
    """As ``_decide`` for a group, whose marks are seen eight at a time in ``words``."""
    undecided = False
    for word in range((x.size + 7) // 8):
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
    arrays: Any, with_gradient: bool, has_tails: bool, count: float, chunk: int, buffers: Any
) -> tuple[float, float, int]:
    """See ``sum_float32._chunk``."""
    logits, targets, gradient = arrays
    b, s, marks = buffers
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
                if _decide_all(x, y, g, count, marks, words):
                    undecided |= 1 << ((at - chunk * CHUNK) // GROUP)
        total, error = two_sum(total, _finish(b, s, any_tails, min(LANES, stop - start)))
        rest += error
    return total, rest, undecided


@inlined
def _buffers() -> tuple[Any, Any, Any]:
    return np.empty(LANES), np.empty(TAIL_SIZE, np.float32), np.zeros(GROUP, np.bool_)


@kernel
def sum_half(
    x: Any,
    y: Any,
    g: Any,
    with_gradient: bool,
    has_tails: bool,
    count: float,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """See ``sum_float32.sum_single``.

    ``has_tails`` says whether the format has logits for which float32 does not reach: bfloat16.
    """
    mode = default_mode()
    buffers = _buffers()
    for chunk in range(first, last):
        partials[chunk, 0], partials[chunk, 1], partials[chunk, 2] = _chunk(
            (x, y, g), with_gradient, has_tails, count, chunk, buffers
        )
    restore_mode(mode)


@kernel
def sum_small_half(
    x: Any, y: Any, g: Any, with_gradient: bool, has_tails: bool, count: float, out: Any
) -> bool:
    """See ``sum_float32.sum_small`` and ``sum_half``."""
    mode = default_mode()
    total, rest, undecided = _chunk((x, y, g), with_gradient, has_tails, count, 0, _buffers())
    out[0] = narrow(quotient(total, rest, count), out[0])
    stands = undecided == 0 and abs(total) < np.inf
    restore_mode(mode)
    return stands

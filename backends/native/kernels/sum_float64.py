"""As ``sum_float32.py`` for float64: pairs inside, and an exact sum.

Losses and gradients near the smallest normal and below are kept raised (see ``underflow.py``).
Deep cancellation, and targets next to 0 or 1 where exp(−|x|) vanishes, are marked, left out of the
sum, and evaluated one by one afterwards: no element's bits depend on another's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arithmetic.double_double import (
    DD,
    dd_times,
    two_sum,
)
from ..arithmetic.functions import clamped, wide_expanded, wide_log1p, wide_reduced
from ..arithmetic.intrinsics import fma, helper, inlined, out_of_line
from ..arithmetic.underflow import RAISED, RAISED_CLAMPED, lowered, raised_quotient, with_sign
from ..compiled import default_mode, kernel, restore_mode
from ..element.double_double import FAINT, RAISED_FROM, one_factor_more, plain_gradient, plain_line
from ..element.float64 import shares
from ..element.ladder import beyond_pairs
from ..element.quantities import GRAD_LOGITS, LOSS, Element
from ..memory.chunks import BLOCK, CHUNK, GROUP, LANES

# Only targets far outside [0, 1] have such shares.
_HUGE = 2.0**100

# The buffer of a thread: rows of sums, products and raised sums with their rests, groups of
# exp(−|x|) with its rest; where that is raised, it is in a group of its own, behind.
_RESTS = LANES
_PRODUCTS = 2 * LANES
_PRODUCT_RESTS = 3 * LANES
_RAISED_SUMS = 4 * LANES
_RAISED_RESTS = 5 * LANES
_EXPS = 6 * LANES
_EXP_RESTS = _EXPS + GROUP
_RAISED_EXPS = _EXP_RESTS + GROUP
_RAISED_EXP_RESTS = _RAISED_EXPS + GROUP
_SIZE = _RAISED_EXP_RESTS + GROUP
# Sorts of groups: nothing beyond RAISED_FROM; there only what vanishes; losses that are raised;
# only such ones, with no share of the linear term.
_ORDINARY, _VANISHED, _RAISED, _ALONE = range(4)
# What is left of the exponential between its two loops goes where raised ones do.
_TAILS = _RAISED_EXPS
_SCALES = _RAISED_EXP_RESTS


@inlined
def _is_open(x: float, y: float) -> bool:
    """Whether this is beyond the vector code: exp(−|x|) at its smallest beside a faint share.

    Where no share of the linear term stays, exp(−|x|) is all there is; beside others it is nothing.
    """
    share = _share(x, y)
    return (abs(x) >= RAISED_FROM) & (((share > 0.0) & (share < FAINT)) | (share > _HUGE))


@inlined
def _share(x: float, y: float) -> float:
    steady, _ = shares(x, 1.0 - y, y)
    return abs(steady)


@helper
def _exps(x: Any, y: Any, b: Any, marks: Any) -> int:
    """The first stage of a group: exp(−|x|), raised beyond RAISED_FROM; returns its sort."""
    beyond = 0
    vanished = 0
    for i in range(x.size):
        a = clamped(abs(x[i]), RAISED_CLAMPED)
        raised = RAISED if a >= RAISED_FROM else 0
        b[_EXPS + i], b[_EXP_RESTS + i], b[_TAILS + i], b[_SCALES + i] = wide_reduced(a, raised)
        marks[i] = _is_open(x[i], y[i])
        beyond += raised
        vanished += RAISED if a == RAISED_CLAMPED else 0
    if beyond == 0:
        for i in range(x.size):
            b[_EXPS + i], b[_EXP_RESTS + i] = wide_expanded(
                b[_EXPS + i], b[_EXP_RESTS + i], b[_TAILS + i], b[_SCALES + i]
            )
        return _ORDINARY
    if beyond == vanished:
        for i in range(x.size):
            e, e_rest = wide_expanded(
                b[_EXPS + i], b[_EXP_RESTS + i], b[_TAILS + i], b[_SCALES + i]
            )
            b[_EXPS + i] = 0.0 if abs(x[i]) >= RAISED_FROM else e
            b[_EXP_RESTS + i] = 0.0 if abs(x[i]) >= RAISED_FROM else e_rest
        return _VANISHED
    return _ALONE if _expand_raised(x, y, b, marks) == x.size else _RAISED


@inlined
def _is_alone(x: float, y: float) -> bool:
    """Whether no share stays, so that beyond RAISED_FROM exp(−|x|) is all there is."""
    return y == (1.0 if x > 0.0 else 0.0)


@helper
def _expand_raised(x: Any, y: Any, b: Any, marks: Any) -> int:
    """exp(−|x|) where it is wanted, 0 in the other place; how many are raised and alone."""
    alone = 0
    for i in range(x.size):
        e, e_rest = wide_expanded(b[_EXPS + i], b[_EXP_RESTS + i], b[_TAILS + i], b[_SCALES + i])
        beyond = abs(x[i]) >= RAISED_FROM
        b[_EXPS + i] = 0.0 if beyond else e
        b[_EXP_RESTS + i] = 0.0 if beyond else e_rest
        raised = beyond and not marks[i]
        b[_RAISED_EXPS + i] = e if raised else 0.0
        b[_RAISED_EXP_RESTS + i] = e_rest if raised else 0.0
        alone += 1 if raised and _is_alone(x[i], y[i]) else 0
    b[_RAISED_EXPS + x.size : _RAISED_EXPS + GROUP] = 0.0
    b[_RAISED_EXP_RESTS + x.size : _RAISED_EXP_RESTS + GROUP] = 0.0
    return alone


@inlined
def _sum_row(x: Any, y: Any, exps: Any, exp_rests: Any, b: Any) -> None:
    """Add the losses of a row to its lanes: c·|x| exactly, log(1 + e) as a product."""
    for lane in range(x.size):
        line, line_rest, steady = plain_line(x[lane], y[lane])
        # Also a zero that annihilates an infinite logit.
        left_out = (abs(x[lane]) >= RAISED_FROM) & (abs(steady) < FAINT)
        b[lane], error = two_sum(b[lane], 0.0 if left_out else line)
        b[_RESTS + lane] += error + (0.0 if left_out else line_rest)
        b[_PRODUCTS + lane], b[_PRODUCT_RESTS + lane] = one_factor_more(
            b[_PRODUCTS + lane], b[_PRODUCT_RESTS + lane], exps[lane], exp_rests[lane]
        )


@helper
def _sums(x: Any, y: Any, b: Any) -> None:
    for at in range(0, x.size, LANES):
        row = slice(at, min(x.size, at + LANES))
        exps = b[_EXPS + at : _EXPS + at + LANES]
        exp_rests = b[_EXP_RESTS + at : _EXP_RESTS + at + LANES]
        _sum_row(x[row], y[row], exps, exp_rests, b)


@helper
def _raised_sums(b: Any) -> None:
    """Add what of a group is raised to the lanes."""
    for lane in range(LANES):
        total, rest = b[_RAISED_SUMS + lane], b[_RAISED_RESTS + lane]
        for row in range(GROUP // LANES):
            i = lane + row * LANES
            total, error = two_sum(total, b[_RAISED_EXPS + i])
            rest += error + b[_RAISED_EXP_RESTS + i]
        b[_RAISED_SUMS + lane], b[_RAISED_RESTS + lane] = total, rest


@helper
def _vanished_gradients(x: Any, y: Any, g: Any) -> None:
    """Zeros, with their signs, where nothing is left."""
    for i in range(x.size):
        gone = (abs(x[i]) >= RAISED_FROM) & _is_alone(x[i], y[i])
        g[i] = with_sign(0.0, -x[i]) if gone else g[i]


@helper
def _raised_gradients(x: Any, y: Any, g: Any, scale: DD, b: Any) -> None:
    """Gradients of which only exp(−|x|) is left, the other share being 1."""
    for i in range(x.size):
        e = b[_RAISED_EXPS + i]
        value, rest = dd_times(e, b[_RAISED_EXP_RESTS + i], scale[0], scale[1])
        alone = (e != 0.0) & _is_alone(x[i], y[i])
        g[i] = with_sign(lowered(value, rest), -x[i]) if alone else g[i]


@helper
def _gradients(x: Any, y: Any, g: Any, scale: DD, b: Any, marks: Any) -> None:
    for i in range(x.size):
        g[i], needed = plain_gradient(x[i], y[i], (b[_EXPS + i], b[_EXP_RESTS + i]), scale)
        marks[i] = marks[i] or needed


@inlined
def _finish(b: Any, width: int) -> DD:
    """Add up one block's lanes."""
    for lane in range(width):
        curve, curve_rest = wide_log1p(b[_PRODUCTS + lane], b[_PRODUCT_RESTS + lane])
        b[lane], error = two_sum(b[lane], curve)
        b[_RESTS + lane] += error + curve_rest
    return _add_lanes(b[: 2 * LANES])


@helper
def _add_lanes(b: Any) -> DD:
    """The sum of a row of pairs, in a fixed tree."""
    half = LANES // 2
    while half:
        for lane in range(half):
            total, error = two_sum(b[lane], b[lane + half])
            b[lane] = total
            b[_RESTS + lane] = b[_RESTS + lane] + b[_RESTS + lane + half] + error
        half //= 2
    return b[0], b[_RESTS]


@helper
def _climb(
    x: Any, y: Any, g: Any, with_gradient: bool, count: float, marks: Any, total: float, rest: float
) -> DD:
    """Evaluate the marked ones of a few elements above pairs; the sum with their losses."""
    out_of_line()
    for i in range(x.size):
        if marks[i]:
            of = Element(x[i], y[i], 1.0, 1.0, 1.0, 1.0)
            if abs(x[i]) >= RAISED_FROM and _share(x[i], y[i]) < FAINT:
                value, more = beyond_pairs(np.int64(LOSS), of, count, np.int64(53))
                total, error = two_sum(total, value)
                rest += error + more
            if with_gradient:
                g[i], _ = beyond_pairs(np.int64(GRAD_LOGITS), of, count, np.int64(53))
    return total, rest


@helper
def _chunk(
    arrays: Any, with_gradient: bool, count: float, chunk: int, b: Any, marks: Any
) -> tuple[float, float, float, float]:
    """The sum of one chunk's losses as a pair, and that of those that are raised."""
    logits, targets, gradient = arrays
    words = marks.view(np.int64)
    inverse = 1.0 / count
    scale = inverse, fma(-inverse, count, 1.0) / count
    total = 0.0
    rest = 0.0
    raised = 0.0
    raised_rest = 0.0
    for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
        stop = min(logits.size, start + BLOCK)
        b[:_EXPS] = 0.0
        any_raised = False
        for at in range(start, stop, GROUP):
            x = logits[at : min(stop, at + GROUP)]
            y = targets[at : min(stop, at + GROUP)]
            g = gradient[at : min(stop, at + GROUP)]
            sort = _exps(x, y, b, marks)
            if sort != _ALONE:
                _sums(x, y, b)
            if sort >= _RAISED:
                any_raised = True
                _raised_sums(b)
            if with_gradient:
                if sort != _ALONE:
                    _gradients(x, y, g, scale, b, marks)
                if sort == _VANISHED:
                    _vanished_gradients(x, y, g)
                if sort >= _RAISED:
                    _raised_gradients(x, y, g, scale, b)
            for word in range((x.size + 7) // 8):
                if words[word]:
                    i = slice(8 * word, min(x.size, 8 * word + 8))
                    total, rest = _climb(
                        x[i], y[i], g[i], with_gradient, count, marks[i], total, rest
                    )
        value, error = _finish(b, min(LANES, stop - start))
        total, carried = two_sum(total, value)
        rest += error + carried
        if any_raised:
            value, error = _add_lanes(b[_RAISED_SUMS:_EXPS])
            raised, carried = two_sum(raised, value)
            raised_rest += error + carried
    return total, rest, raised, raised_rest


@kernel
def sum_wide(
    x: Any, y: Any, g: Any, with_gradient: bool, count: float, first: int, last: int, partials: Any
) -> None:
    """Write what ``combine`` needs of chunks ``first`` to ``last`` into ``partials[chunk, :]``.

    With ``with_gradient``, also the gradient in the logits over ``count``.
    """
    mode = default_mode()
    b = np.empty(_SIZE)
    marks = np.zeros(GROUP, np.bool_)
    for chunk in range(first, last):
        partials[chunk, 0], partials[chunk, 1], partials[chunk, 2], partials[chunk, 3] = _chunk(
            (x, y, g), with_gradient, count, chunk, b, marks
        )
    restore_mode(mode)


@kernel
def combine(partials: Any, count: float) -> float:
    """The sum of all losses over ``count``, rounded to float64; partials are used up."""
    mode = default_mode()
    total, rest, raised, raised_rest = 0.0, 0.0, 0.0, 0.0
    for chunk in range(partials.shape[0]):
        total, error = two_sum(total, partials[chunk, 0])
        rest += error + partials[chunk, 1]
        raised, error = two_sum(raised, partials[chunk, 2])
        raised_rest += error + partials[chunk, 3]
    partials[0, 0] = raised_quotient(total, rest, raised, raised_rest, count)
    restore_mode(mode)
    return partials[0, 0]


@kernel
def sum_small_wide(x: Any, y: Any, g: Any, with_gradient: bool, count: float, out: Any) -> bool:
    """See ``sum_float32.sum_small``."""
    mode = default_mode()
    b = np.empty(_SIZE)
    marks = np.zeros(GROUP, np.bool_)
    total, rest, raised, raised_rest = _chunk((x, y, g), with_gradient, count, 0, b, marks)
    out[0] = raised_quotient(total, rest, raised, raised_rest, count)
    stands = abs(total) < math.inf
    restore_mode(mode)
    return stands

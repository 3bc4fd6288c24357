"""The two passes that training spends its time in: unweighted sum, and sum with gradient.

float32, contiguous. Guarantees bits of a gradient that depend on its element and the scale only,
and bits of a sum that depend on the elements and their order only: neither depends on threads,
memory, the width of the machine's vectors, or what else is wanted.

A row of hard targets goes through three loops over sixteen elements at a time (see
``vector_float32.py``), through a buffer that stays in the fastest cache: reduce, expand, divide.
Per element there is neither a logarithm nor a branch: log(1 + e) is summed as the logarithm of a
product. A row that has anything else in it (a soft target, a logit beyond the limit, NaN), or next
to no loss, is summed in float64. Of gradients, float64 decides just the elements that are not hard,
or beyond the limit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arithmetic import vectors as v
from ..arithmetic.double_double import two_sum
from ..arithmetic.functions import narrow_exp, narrow_log1p
from ..arithmetic.half import narrow, widen
from ..arithmetic.intrinsics import as_bits, helper, inlined, out_of_line
from ..arithmetic.underflow import quotient
from ..arithmetic.vector_exp import expanded, reduced
from ..compiled import default_mode, kernel, restore_mode
from ..element import vector_float32 as element
from ..element.float64 import cancels, narrow_gradient, narrow_step
from ..memory.chunks import BLOCK, CHUNK, LANES
from .each_float32 import decide

# A row: WIDTH sums and products of ROW/WIDTH elements each. Those of a block's rows are its lanes.
ROW = BLOCK * v.WIDTH // LANES
# Operands are fetched this many elements ahead.
_AHEAD = ROW
# A row whose products, less 1, add up to less is summed in float64: below, what the rests of the
# products lose is too much beside it. It is a loss of 2^-12 an element.
_LEAST = np.float32(2.0**-3 * element.START)
# Rows that are not whole are filled with this logit for target 0, or the limit, whose losses
# vanish beside a row's if it is not less.
_PADDING = np.float32(60)
_LEAST_LIMIT = np.float32(40)
# Gradients beyond it are infinite, as those of infinite targets are.
_HUGE = 2.0**1000
# A thread's buffer of float32: what the three loops hand on, a row that is not whole, gradients
# that are not final, and the sums of rows, behind them those that nobody wants.
_R, _ROOT, _REST, _X, _Y, _G = (ROW * row for row in range(6))
_SUMS = ROW * 6
_SUM_RESTS, _FACTORS, _FACTOR_RESTS = (_SUMS + (LANES + v.WIDTH) * row for row in range(1, 4))
_SINGLE_SIZE = _SUMS + (LANES + v.WIDTH) * 4
# And of float64: sums and products of the columns of rows, and exp(−|x|).
_PRODUCTS = ROW
_EXPS = 2 * ROW
_SIZE = 3 * ROW


@inlined
def _reduce(x: int, y: int, n: int, s: int) -> tuple[Any, Any, Any, Any]:
    """The first loop: the linear terms' sum as a pair, the largest −|x|, and what is soft."""
    total, rest = element.offset(), element.zero()
    largest, soft = element.zero(), element.zero()
    for i in range(0, n, v.WIDTH):
        logit, target = v.load(x, i), v.load(y, i)
        minus_a = v.negative(logit)
        largest = v.larger_bits(largest, minus_a)
        soft = v.bitwise_or(soft, element.softness(target))
        total, rest = element.linear_step(element.mirrored(logit, target), total, rest)
        r, exp_rest, root = reduced(minus_a)
        v.store(s, _R + i, r)
        v.store(s, _REST + i, exp_rest)
        v.store(s, _ROOT + i, root)
    return total, rest, largest, soft


@inlined
def _expand(x: int, y: int, n: int, with_gradient: bool, s: int) -> tuple[Any, Any]:
    """The second: exponentials, and their products as pairs; the next row is fetched meanwhile."""
    product, rest = element.start(), element.zero()
    for i in range(0, n, v.WIDTH):
        v.prefetch(x, _AHEAD + i)
        v.prefetch(y, _AHEAD + i)
        e, e_rest = expanded(v.load(s, _R + i), v.load(s, _REST + i), v.load(s, _ROOT + i))
        if with_gradient:
            v.store(s, _R + i, e)
            v.store(s, _REST + i, e_rest)
        product, rest = element.product_step(e, e_rest, product, rest)
    return product, rest


@inlined
def _divide(x: int, y: int, g: int, n: int, scale: Any, scale_rest: Any, s: int) -> None:
    """The third: gradients."""
    scale, scale_rest = v.splat(scale), v.splat(scale_rest)
    for i in range(0, n, v.WIDTH):
        e, e_rest = v.load(s, _R + i), v.load(s, _REST + i)
        value = element.gradient(v.load(x, i), v.load(y, i), e, e_rest, scale, scale_rest)
        v.store(g, i, value)


@helper
def _vectors(
    x: int, y: int, g: int, n: int, with_gradient: bool, scaling: Any, s: int, at: int
) -> tuple[bool, bool]:
    """``n`` elements, a multiple of WIDTH, in float32, their sums left at ``at``.

    x, y, g and s are addresses. Returns whether their loss has to be summed in float64, and whether
    some of their gradients have to be evaluated there; if so, the others are left in the buffer.
    """
    single, single_rest, limit = scaling[:3]
    total, rest, largest, soft = _reduce(x, y, n, s)
    is_special = v.any_bit(soft) or not v.largest_magnitude(largest) <= limit
    if is_special and not with_gradient:
        return True, True
    product, product_rest = _expand(x, y, n, with_gradient, s)
    if with_gradient:
        _divide(x, y, s + 4 * _G if is_special else g, n, single, single_rest, s)
    v.store(s, _SUMS + at, total)
    v.store(s, _SUM_RESTS + at, rest)
    v.store(s, _FACTORS + at, product)
    v.store(s, _FACTOR_RESTS + at, product_rest)
    # A lower bound of the row's loss, as log(1 + m) is not far below m.
    linear = v.subtract(total, element.offset())
    factors = v.add(v.subtract(product, element.start()), product_rest)
    return is_special or not v.lane_sum(v.add(linear, factors)) >= _LEAST, is_special


@inlined
def _is_hard(x: Any, y: Any, limit: Any) -> bool:
    """Whether an element's gradient is for float32."""
    return ((y == np.float32(0)) | (y == np.float32(1))) & (abs(x) <= limit)


@inlined
def _has_hard_targets(y: int, n: int) -> bool:
    """Whether one of a row's targets is 0 or 1."""
    least = element.softness(v.load(y, 0))
    for i in range(v.WIDTH, n, v.WIDTH):
        least = v.smaller_bits(least, element.softness(v.load(y, i)))
    return v.any_zero(least)


@helper
def _losses(x: Any, y: Any, b: Any) -> None:
    """The losses of a row, added to sums and products of its own columns, and exp(−|x|)."""
    for i in range(x.size):
        logit = widen(x[i])
        e = narrow_exp(abs(logit))
        b[_EXPS + i] = e
        b[i], b[_PRODUCTS + i] = narrow_step(logit, widen(y[i]), e, b[i], b[_PRODUCTS + i])


@helper
def _gradients(x: Any, y: Any, g: Any, scale: float, b: Any) -> bool:
    """Gradients in float64; whether one is left undecided."""
    undecided = 0
    for i in range(x.size):
        target = widen(y[i])
        value, numerator, steady = narrow_gradient(
            widen(x[i]), 1.0 - target, target, b[_EXPS + i], scale
        )
        undecided |= cancels(numerator, steady) | as_bits(_HUGE - abs(value))
        g[i] = narrow(value, x[i])
    return undecided < 0


@helper
def _keep(x: Any, y: Any, g: Any, single: Any, limit: Any) -> None:
    """Replace the gradients of hard elements by those in ``single``."""
    for i in range(x.size):
        value, other = single[i], g[i]  # read in any case: no branch
        g[i] = value if _is_hard(x[i], y[i], limit) else other


@inlined
def _copy(source: int, target: int, n: int) -> None:
    given, received = v.array_at(source, n), v.array_at(target, n)
    for i in range(n):
        received[i] = given[i]


@helper
def _pad(x: int, y: int, n: int, limit: Any, s: int) -> int:
    """Copy a row that is not whole, and fill its last vector with losses that are nothing.

    Returns how many elements it has now.
    """
    padded = (n + v.WIDTH - 1) // v.WIDTH * v.WIDTH
    v.store(s, _X + padded - v.WIDTH, v.splat(-min(limit, _PADDING)))
    v.store(s, _Y + padded - v.WIDTH, element.zero())
    _copy(x, s + 4 * _X, n)
    _copy(y, s + 4 * _Y, n)
    return padded


@helper
def _wide_row(
    row: Any, whole: Any, with_gradient: bool, has_hard: bool, scaling: Any, s: int, b: Any
) -> bool:
    """A row in float64, but for the gradients of hard elements; whether one is left undecided.

    Args:
        row: addresses of logits, targets and gradients, and their number.
        whole: addresses of logits and targets with all of the last vector, and their number.
        with_gradient: whether gradients are wanted.
        has_hard: whether those of hard elements are in the buffer already.
        scaling: see ``_scaling``.
        s: the address of the buffer of float32.
        b: the buffer of float64.
    """
    out_of_line()
    n = row[3]
    x, y = v.array_at(row[0], n), v.array_at(row[1], n)
    _losses(x, y, b)
    if not with_gradient:
        return False
    g = v.array_at(row[2], n)
    undecided = _gradients(x, y, g, scaling[3], b)
    if not has_hard and _has_hard_targets(*whole[1:]):
        _vectors(whole[0], whole[1], s + 4 * _G, whole[2], True, scaling, s, LANES)
        has_hard = True
    if has_hard:
        _keep(x, y, g, v.array_at(s + 4 * _G, n), scaling[2])
    return undecided


@helper
def _row(row: Any, with_gradient: bool, scaling: Any, s: int, at: int, b: Any) -> tuple[bool, bool]:
    """A row (see ``_wide_row``): whether float64 sums it, else its sums are left at ``at``.

    Also whether float64 does not decide one of its gradients.
    """
    x, y, g, n = row
    limit = scaling[2]
    whole = x, y, n
    target = g
    if n < ROW:
        whole = s + 4 * _X, s + 4 * _Y, _pad(x, y, n, limit, s)
        target = s + 4 * _G
    # Rows with a soft target among the first ones seldom have a hard one.
    is_hard = not v.any_bit(element.softness(v.load(whole[1], 0)))
    is_wide = is_special = True
    if is_hard:
        is_wide, is_special = _vectors(
            whole[0], whole[1], target, whole[2], with_gradient, scaling, s, at
        )
        is_wide |= n < ROW and limit < _LEAST_LIMIT
    if with_gradient and n < ROW and not is_special:
        _copy(target, g, n)
    if not is_wide:
        return False, False
    wants = with_gradient and is_special
    return True, _wide_row(row, whole, wants, is_hard, scaling, s, b)


@helper
def _finish(s: Any, rows: int, b: Any, columns: int, width: int) -> float:
    """Add up a block: the sums of ``rows`` rows, and ``width`` columns of float64."""
    for column in range(width):
        b[column] += narrow_log1p(b[_PRODUCTS + column])
    for lane in range(rows * v.WIDTH):
        factors = (float(s[_FACTORS + lane]) - element.START) + float(s[_FACTOR_RESTS + lane])
        line = (float(s[_SUMS + lane]) - element.OFFSET) + float(s[_SUM_RESTS + lane])
        b[lane] += line + narrow_log1p(factors / element.START)
    half = columns // 2
    while half:
        for column in range(half):
            b[column] += b[column + half]
        half //= 2
    return b[0]


@helper
def _block(
    x: int, y: int, g: int, n: int, with_gradient: bool, scaling: Any, s: Any, b: Any
) -> tuple[float, int]:
    """The sum of the losses of ``n`` elements, at most BLOCK, and a bit for each undecided row.

    x, y and g are addresses.
    """
    single = v.address(s, 0)
    columns = ROW
    while columns >= 2 * n and columns > v.WIDTH:
        columns //= 2
    b[:columns] = 0.0
    b[_PRODUCTS : _PRODUCTS + columns] = 0.0
    rows = 0
    width = 0
    undecided = 0
    for at in range(0, 4 * n, 4 * ROW):
        size = min(ROW, n - at // 4)
        row = x + at, y + at, g + at, size
        is_wide, is_undecided = _row(row, with_gradient, scaling, single, rows * v.WIDTH, b)
        if is_wide:
            width = max(width, size)
        else:
            rows += 1
        undecided |= is_undecided << at // (4 * ROW)
    return _finish(s, rows, b, columns, width), undecided


@helper
def _chunk(
    arrays: Any, with_gradient: bool, scaling: Any, chunk: int, s: Any, b: Any
) -> tuple[float, float, int]:
    """The sum of one chunk's losses as a pair, and a bit for each undecided row."""
    x, y, g = arrays
    total = 0.0
    rest = 0.0
    undecided = 0
    for start in range(chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK), BLOCK):
        places = v.address(x, start), v.address(y, start), v.address(g, start)
        n = min(BLOCK, x.size - start)
        value, rows = _block(*places, n, with_gradient, scaling, s, b)
        total, error = two_sum(total, value)
        rest += error
        undecided |= rows << (start - chunk * CHUNK) // ROW
    return total, rest, undecided


@inlined
def _scaling(scale: float) -> tuple[Any, Any, Any, float]:
    """What gradients are multiplied by, as a pair of float32, the limit it sets, and itself."""
    single, rest = element.split_scale(scale)
    return single, rest, element.limit_of(scale), scale


@inlined
def _buffer() -> Any:
    """A thread's buffer of float32, which starts with a cache line."""
    raw = np.empty(_SINGLE_SIZE + 16, np.float32)
    skipped = -v.address(raw, 0) % 64 // 4
    return raw[skipped : skipped + _SINGLE_SIZE]


@kernel
def sum_single(
    x: Any,
    y: Any,
    g: Any,
    with_gradient: bool,
    cotangent: float,
    count: float,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """Write the sums of the losses of chunks ``first`` to ``last`` into ``partials[chunk, :]``.

    With ``with_gradient``, write the gradient in the logits, times ``cotangent`` over ``count``,
    into ``g``. ``partials[chunk, 2]`` becomes a number with a bit for each row of the chunk, set
    where ``decide`` has to evaluate an element's gradient.
    """
    mode = default_mode()
    s = _buffer()
    b = np.empty(_SIZE)
    scaling = _scaling(cotangent / count)
    for chunk in range(first, last):
        partials[chunk, 0], partials[chunk, 1], partials[chunk, 2] = _chunk(
            (x, y, g), with_gradient, scaling, chunk, s, b
        )
    restore_mode(mode)


@kernel
def sum_small(x: Any, y: Any, g: Any, with_gradient: bool, count: float, out: Any) -> bool:
    """As ``sum_single`` for one chunk, its sum over ``count`` rounded into ``out[0]``.

    Returns whether the result stands.
    """
    mode = default_mode()
    s = _buffer()
    b = np.empty(_SIZE)
    scaling = _scaling(1.0 / count)
    total, rest, undecided = _chunk((x, y, g), with_gradient, scaling, 0, s, b)
    out[0] = narrow(quotient(total, rest, count), out[0])
    stands = undecided == 0 and abs(total) < math.inf
    restore_mode(mode)
    return stands


def sum_and_decide(
    x: Any,
    y: Any,
    g: Any,
    with_gradient: bool,
    cotangent: float,
    count: float,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """As ``sum_single``, and all gradients decided."""
    sum_single(x, y, g, with_gradient, cotangent, count, first, last, partials)
    if partials[first:last, 2].any():
        decide(x, y, g, cotangent, count, ROW, first, last, partials)
        partials[first:last, 2] = 0

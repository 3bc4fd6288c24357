"""Any call, any layout, any dtype: blocks are gathered, evaluated, scattered and summed.

One compiled function serves them all, because operands come as numbers (see ``strided.py``).
Guarantees bits that depend on the elements and their order only, and temporaries of a few blocks
for each thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arithmetic.double_double import DD, dd_times, two_sum
from ..arithmetic.half import near_tie, sticky
from ..arithmetic.intrinsics import fma, helper, inlined
from ..arithmetic.underflow import raised_quotient
from ..compiled import kernel
from ..element.extended import extended_gradient, extended_tail
from ..element.float64 import special
from ..element.quad_double import quad_double_element
from ..element.quantities import CANCELLED, GRAD_LOGITS, LOSS, QUANTITIES
from ..memory.strided import BFLOAT16, FLOAT16, FLOAT64, transfer
from .block import LENGTH, MARK, RESTS, RESULTS, S_REST, SIZE, C, P, S, V, W, X, Y
from .stage_double_double import wide_stage
from .stage_float64 import narrow_stage

# One partial sum is kept for each chunk: the unit that threads share out.
CHUNK = 32 * LENGTH
INPUTS = 6
# A quantity's plan starts here in the descriptor.
OUTPUTS = INPUTS


@inlined
def gather(plans: Any, shape: Any, start: int, n: int, b: Any) -> None:
    """Read ``n`` elements of every input from ``start`` on into the block."""
    for operand in range(INPUTS):
        row = b[operand * LENGTH : operand * LENGTH + n]
        if plans[operand, 1]:
            transfer(plans[operand], shape, start, row, True)


@inlined
def divide_cotangents(b: Any, n: int, count: float) -> None:
    """S = C/count as a pair; exact where count is 1."""
    for i in range(n):
        q = b[C + i] / count
        rest = fma(-q, count, b[C + i]) / count
        b[S + i] = q
        b[S_REST + i] = rest if abs(q) < np.inf else 0.0


@helper
def _decided(
    quantity: int, x: float, y: float, w: float, p: float, c: float, count: float, v: float
) -> DD:
    """One quantity of a finite element, at whatever precision it takes."""
    if quantity in (LOSS, GRAD_LOGITS):
        scale = c / count
        value, rest, trusted = extended_tail(
            quantity, x, y, w, p, scale, fma(-scale, count, c) / count
        )
        if trusted:
            return value, rest
    return quad_double_element(quantity, x, y, w, p, c, count, v)


@helper
def repair(b: Any, n: int, wanted: Any, count: float) -> None:
    """Evaluate the marked elements again, one by one."""
    for i in range(n):
        if b[MARK + i] == 0.0:
            continue
        x, y, w, p, c, v = b[X + i], b[Y + i], b[W + i], b[P + i], b[C + i], b[V + i]
        finite = abs(x) < np.inf and abs(y) < np.inf and abs(w) < np.inf
        finite = finite and abs(p) < np.inf and abs(c) < np.inf and abs(v) < np.inf
        if b[MARK + i] == CANCELLED:
            scale, scale_rest = dd_times(b[S + i], b[S_REST + i], w, 0.0)
            value, rest, trusted = extended_gradient(x, y, p, scale, scale_rest)
            if trusted:
                b[RESULTS + GRAD_LOGITS * LENGTH + i] = value
                b[RESTS + GRAD_LOGITS * LENGTH + i] = rest
                continue
        for quantity in range(QUANTITIES):
            if wanted[quantity]:
                value, rest = special(quantity, x, y, w, p, b[S + i], v), 0.0
                if finite:
                    value, rest = _decided(quantity, x, y, w, p, c, count, v)
                b[RESULTS + quantity * LENGTH + i] = value + 0.0 if quantity == LOSS else value
                b[RESTS + quantity * LENGTH + i] = rest


@inlined
def _near_ties(b: Any, n: int, wanted: Any, like: Any) -> int:
    ties = 0
    for quantity in range(QUANTITIES):
        if wanted[quantity]:
            for i in range(n):
                ties += near_tie(b[RESULTS + quantity * LENGTH + i], like)
    return ties


@helper
def _decide_ties(b: Any, n: int, wanted: Any, code: int, count: float) -> int:
    """Evaluate a block in pairs where a half precision's rounding hangs on more than float64.

    Which block an element shares does not matter: the others round the same either way.
    """
    ties = _near_ties(b, n, wanted, np.int16(0)) if code == FLOAT16 else 0
    ties = _near_ties(b, n, wanted, np.uint16(0)) if code == BFLOAT16 else ties
    if not ties:
        return 0
    b[MARK : MARK + n] = 0.0
    if wide_stage(b, n, wanted, True):
        repair(b, n, wanted, count)
    for quantity in range(QUANTITIES):
        for i in range(quantity * LENGTH, quantity * LENGTH + n):
            b[RESULTS + i] = sticky(b[RESULTS + i], b[RESTS + i])
    b[RESTS:] = 0.0
    return ties


@inlined
def _sum(b: Any, n: int) -> DD:
    """The sum of a block's losses as a pair, in a fixed tree of exact additions."""
    values = b[RESULTS : RESULTS + LENGTH]
    rests = b[RESTS : RESTS + LENGTH]
    values[n:] = 0.0
    rests[n:] = 0.0
    half = LENGTH // 2
    while half:
        for i in range(half):
            total, error = two_sum(values[i], values[i + half])
            values[i] = total
            rests[i] = rests[i] + rests[i + half] + error
        half //= 2
    return values[0], rests[0]


@kernel
def evaluate(
    plans: Any,
    shape: Any,
    size: int,
    wanted: Any,
    code: int,
    weighted: bool,
    count: float,
    summed: bool,
    length: int,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """Evaluate chunks ``first`` to ``last`` of ``length`` elements each, in C order of ``shape``.

    Args:
        plans: descriptor, a row for each input and each quantity (see ``strided.transfer``); an
            address of 0 leaves an input at 1, and a quantity unwritten.
        shape: of the logits, dimensions merged.
        size: number of elements in all.
        wanted: for each quantity, whether it is computed.
        code: the format of the results (see ``strided.CODES``).
        weighted: whether weight, pos_weight, cotangent or vector may differ from 1.
        count: what gradients are divided by.
        summed: whether losses are summed into ``partials[chunk, :]``.
        length: a multiple of LENGTH.
        first: first chunk.
        last: one past the last chunk.
        partials: sums with their rests.
    """
    wide = code == FLOAT64
    b = np.ones(SIZE)
    b[RESTS:] = 0.0
    for chunk in range(first, last):
        total = 0.0
        rest = 0.0
        for start in range(chunk * length, min(size, (chunk + 1) * length), LENGTH):
            n = min(LENGTH, size - start)
            b[MARK : MARK + n] = 0.0
            gather(plans, shape, start, n, b)
            divide_cotangents(b, n, count)
            marked = wide_stage(b, n, wanted, weighted) if wide else narrow_stage(b, n, wanted)
            if marked:
                repair(b, n, wanted, count)
            _decide_ties(b, n, wanted, code, count)
            for quantity in range(QUANTITIES):
                row = RESULTS + quantity * LENGTH
                if plans[OUTPUTS + quantity, 1]:
                    transfer(plans[OUTPUTS + quantity], shape, start, b[row : row + n], False)
            if summed:
                value, error = _sum(b, n)
                total, carried = two_sum(total, value)
                rest += error + carried
        if summed:
            partials[chunk, 0] = total
            partials[chunk, 1] = rest


@kernel
def combine(partials: Any, count: float) -> float:
    """The sum of all partial sums and rests, divided by ``count`` and rounded to float64."""
    total = 0.0
    rest = 0.0
    for chunk in range(partials.shape[0]):
        total, error = two_sum(total, partials[chunk, 0])
        rest += error + partials[chunk, 1]
    return raised_quotient(total, rest, 0.0, 0.0, count)

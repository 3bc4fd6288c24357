"""Any call, any layout, any dtype: blocks are gathered, evaluated, scattered and summed.

One compiled function serves them all, because operands come as numbers (see ``strided.py``).
Guarantees bits that depend on the elements and their order only, and temporaries of a few blocks
for each thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arithmetic.double_double import two_sum
from ..arithmetic.half import near_tie, precision, sticky
from ..arithmetic.intrinsics import as_bits, helper, inlined
from ..arithmetic.underflow import raised_quotient
from ..compiled import default_mode, kernel, restore_mode
from ..element.ladder import beyond_pairs, from_pairs, is_open, scale_of
from ..element.quantities import QUANTITIES
from ..memory.strided import BFLOAT16, FLOAT16, FLOAT64, transfer
from .block import ASIDE, LENGTH, MARK, RESTS, RESULTS, S_REST, SIZE, C, S, element_at
from .stages import NOTHING, narrow_stage, wide_stage

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
    """S = C/count as a pair."""
    for i in range(n):
        b[S + i], b[S_REST + i] = scale_of(b[C + i], count)


@inlined
def _is_marked(b: Any, i: int, quantity: int) -> bool:
    return (int(b[MARK + i]) >> 2 * quantity) % 4 != 0


@helper
def _settle_wide(b: Any, n: int, wanted: Any, count: float) -> None:
    """Evaluate what is marked again, from the rung above pairs on."""
    for i in range(n):
        if b[MARK + i] == 0.0:
            continue
        for quantity in range(QUANTITIES):
            if wanted[quantity] and _is_marked(b, i, quantity):
                value, rest = beyond_pairs(quantity, element_at(b, i), count, np.int64(53))
                b[RESULTS + quantity * LENGTH + i] = value
                b[RESTS + quantity * LENGTH + i] = rest


@inlined
def _near_ties(b: Any, n: int, wanted: Any, like: Any) -> int:
    """How many results are near a tie of the format of ``like``."""
    ties = 0
    for quantity in range(QUANTITIES):
        if wanted[quantity]:
            for i in range(n):
                ties += near_tie(b[RESULTS + quantity * LENGTH + i], like)
    return ties


@helper
def _settle_narrow(b: Any, n: int, wanted: Any, count: float, marked: int, like: Any) -> None:
    """Evaluate in pairs what is marked, not finite, or near a tie of the format of ``like``."""
    if not marked and not _near_ties(b, n, wanted, like):
        return
    for quantity in range(QUANTITIES):
        if wanted[quantity]:
            for i in range(n):
                at = RESULTS + quantity * LENGTH + i
                if _is_marked(b, i, quantity) or is_open(b[at], like):
                    value, rest = from_pairs(
                        quantity, element_at(b, i), count, True, precision(like)
                    )
                    b[at] = sticky(value, rest)


@inlined
def evaluate_block(b: Any, n: int, wanted: Any, code: int, checks: int, count: float) -> None:
    """Fill the wanted results of the first ``n`` elements, and their rests for float64 results."""
    b[MARK : MARK + n] = 0.0
    divide_cotangents(b, n, count)
    if code == FLOAT64:
        if wide_stage(b, n, wanted, checks != NOTHING):
            _settle_wide(b, n, wanted, count)
        return
    marked = narrow_stage(b, n, wanted, checks)
    if code == FLOAT16:
        _settle_narrow(b, n, wanted, count, marked, np.int16(0))
    elif code == BFLOAT16:
        _settle_narrow(b, n, wanted, count, marked, np.uint16(0))
    else:
        _settle_narrow(b, n, wanted, count, marked, np.float32(0))


@inlined
def _sum(b: Any, n: int, code: int) -> tuple[float, float, bool]:
    """The sum of a block's losses as a pair, in a fixed tree of exact additions; if any is < 0.

    The tree leaves its errors in the rests. A narrow loss has no rest and leaves the last block's.
    """
    values = b[RESULTS : RESULTS + LENGTH]
    rests = b[RESTS : RESTS + LENGTH]
    values[n:] = 0.0
    rests[n if code == FLOAT64 else 0 :] = 0.0
    signs = 0
    for i in range(n):
        signs |= as_bits(values[i])
    half = LENGTH // 2
    while half:
        for i in range(half):
            total, error = two_sum(values[i], values[i + half])
            values[i] = total
            rests[i] = rests[i] + rests[i + half] + error
        half //= 2
    return values[0], rests[0], signs < 0


@kernel
def evaluate(
    plans: Any,
    shape: Any,
    size: int,
    wanted: Any,
    code: int,
    checks: int,
    count: float,
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
        checks: for float64 results, NOTHING where weight, pos_weight, cotangent and vector are 1,
            else HARMLESS; for others, NOTHING where these are also finite, and pos_weight not
            negative; WEIGHTS and ALL_FACTORS where the weights, or all of them, may be otherwise;
            WIDE_OPERANDS where an operand beside the logits may have values beyond float32's.
        count: what gradients are divided by.
        length: of a chunk, a multiple of LENGTH.
        first: first chunk.
        last: one past the last chunk.
        partials: where the losses' sums and rests go, and 1 where one is negative, a row a chunk;
            without rows, nowhere.
    """
    mode = default_mode()
    summed = partials.shape[0] > 0
    b = np.ones(SIZE)
    b[RESTS:ASIDE] = 0.0
    for chunk in range(first, last):
        total = 0.0
        rest = 0.0
        signed = False
        for start in range(chunk * length, min(size, (chunk + 1) * length), LENGTH):
            n = min(LENGTH, size - start)
            gather(plans, shape, start, n, b)
            evaluate_block(b, n, wanted, code, checks, count)
            for quantity in range(QUANTITIES):
                row = RESULTS + quantity * LENGTH
                if plans[OUTPUTS + quantity, 1]:
                    transfer(plans[OUTPUTS + quantity], shape, start, b[row : row + n], False)
            if summed:
                value, error, negative = _sum(b, n, code)
                signed |= negative
                total, carried = two_sum(total, value)
                rest += error + carried
        if summed:
            partials[chunk, 0] = total
            partials[chunk, 1] = rest
            partials[chunk, 2] = signed
    restore_mode(mode)


@kernel
def combine(partials: Any, count: float) -> float:
    """The sum of all partial sums and rests over ``count``, as float64; partials are used up."""
    mode = default_mode()
    total = 0.0
    rest = 0.0
    for chunk in range(partials.shape[0]):
        total, error = two_sum(total, partials[chunk, 0])
        rest += error + partials[chunk, 1]
    partials[0, 0] = raised_quotient(total, rest, 0.0, 0.0, count)
    restore_mode(mode)
    return partials[0, 0]

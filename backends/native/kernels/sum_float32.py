"""The two passes that training spends its time in: unweighted sum, and sum with gradient.

float32, contiguous. Guarantees bits that depend on the elements and their order only: not on
threads, memory or the width of the machine's vectors. Per element there is neither a logarithm nor
a branch: log(1 + e) is summed as the logarithm of a product, Π(1 + e) − 1 being accumulated without
cancellation. A row goes through both stages before the next: bursts of a page and more from each
array in turn, as longer stages make them, cost a third of the time where the arrays are in memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arithmetic.double_double import two_sum
from ..arithmetic.functions import narrow_exp, narrow_log1p
from ..arithmetic.half import narrow, widen
from ..arithmetic.intrinsics import helper, inlined
from ..arithmetic.underflow import quotient
from ..compiled import default_mode, kernel, restore_mode
from ..element.float64 import cancels, narrow_gradient, narrow_step
from ..memory.strided import transfer

# A block is ROWS rows of LANES elements; lane l sums the elements at l, l + LANES, l + 2·LANES, …
LANES = 256
ROWS = 32
BLOCK = LANES * ROWS
# One partial sum is kept for each chunk: the unit that threads share out.
CHUNK = 2 * BLOCK
# So many elements are marked together where one of them is to be repaired.
GROUP = 4 * LANES
# The buffer of a thread: a row of sums, a row of products, a group of exp(−|x|), at constant
# offsets, so that the compiler sees that they do not overlap.
PRODUCTS = LANES
EXPS = 2 * LANES
SIZE = EXPS + GROUP


@helper
def _losses(x: Any, y: Any, b: Any, with_exps: bool) -> None:
    """The first stage of a row: losses, added to the lanes, and exp(−|x|) for the second."""
    for i in range(x.size):
        logit = widen(x[i])
        e = narrow_exp(abs(logit))
        if with_exps:
            b[EXPS + i] = e
        b[i], b[PRODUCTS + i] = narrow_step(logit, widen(y[i]), e, b[i], b[PRODUCTS + i])


@helper
def _gradients(x: Any, y: Any, g: Any, scale: float, b: Any) -> bool:
    """The second: gradients; whether float64 cannot decide one of them."""
    cancelled = 0
    for i in range(x.size):
        target = widen(y[i])
        value, numerator, steady = narrow_gradient(
            widen(x[i]), 1.0 - target, target, b[EXPS + i], scale
        )
        cancelled |= cancels(numerator, steady)
        g[i] = narrow(value, x[i])
    return cancelled < 0


@inlined
def _finish(b: Any, width: int) -> float:
    """Add up one block's lanes, in a fixed tree."""
    for lane in range(width):
        b[lane] += narrow_log1p(b[PRODUCTS + lane])
    return add_lanes(b)


@inlined
def add_lanes(b: Any) -> float:
    """The sum of the first LANES numbers, in a fixed tree."""
    half = LANES // 2
    while half:
        for lane in range(half):
            b[lane] += b[lane + half]
        half //= 2
    return b[0]


@helper
def _chunk(
    arrays: Any, with_gradient: bool, count: float, chunk: int, b: Any
) -> tuple[float, float, int]:
    """The sum of one chunk's losses as a pair, and a bit for each group with one undecided."""
    logits, targets, gradient = arrays
    scale = 1.0 / count
    total = 0.0
    rest = 0.0
    undecided = 0
    for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
        stop = min(logits.size, start + BLOCK)
        b[:EXPS] = 0.0
        for at in range(start, stop, LANES):
            x = logits[at : min(stop, at + LANES)]
            y = targets[at : min(stop, at + LANES)]
            _losses(x, y, b, with_gradient)
            if with_gradient:
                g = gradient[at : min(stop, at + LANES)]
                if _gradients(x, y, g, scale, b):
                    undecided |= 1 << ((at - chunk * CHUNK) // GROUP)
        total, error = two_sum(total, _finish(b, min(LANES, stop - start)))
        rest += error
    return total, rest, undecided


@kernel
def sum_single(
    x: Any, y: Any, g: Any, with_gradient: bool, count: float, first: int, last: int, partials: Any
) -> None:
    """Write the sums of the losses of chunks ``first`` to ``last`` into ``partials[chunk, :]``.

    With ``with_gradient``, write the gradient in the logits over ``count`` into ``g``.
    ``partials[chunk, 2]`` becomes a number with a bit for each group of the chunk, set where the
    ladder has to decide an element's gradient.
    """
    mode = default_mode()
    b = np.empty(SIZE)
    for chunk in range(first, last):
        partials[chunk, 0], partials[chunk, 1], partials[chunk, 2] = _chunk(
            (x, y, g), with_gradient, count, chunk, b
        )
    restore_mode(mode)


@kernel
def sum_small(x: Any, y: Any, g: Any, with_gradient: bool, count: float, out: Any) -> bool:
    """As ``sum_single`` for one chunk, its sum over ``count`` rounded into ``out[0]``.

    Returns whether the result stands.
    """
    mode = default_mode()
    total, rest, undecided = _chunk((x, y, g), with_gradient, count, 0, np.empty(SIZE))
    out[0] = narrow(quotient(total, rest, count), out[0])
    stands = undecided == 0 and abs(total) < math.inf
    restore_mode(mode)
    return stands


@kernel
def pack(plan: Any, shape: Any, start: int, buffer: Any, out: Any) -> None:
    """Copy ``out.size`` elements of a strided operand, exactly, into the kernels' type."""
    mode = default_mode()
    for at in range(0, out.size, buffer.size):
        row = buffer[: min(buffer.size, out.size - at)]
        transfer(plan, shape, start + at, row, True)
        for i in range(row.size):
            out[at + i] = narrow(row[i], out[at + i])
    restore_mode(mode)


@kernel
def unpack(plan: Any, shape: Any, start: int, buffer: Any, values: Any) -> None:
    """The reverse of ``pack``: copy ``values`` to elements of a strided result."""
    mode = default_mode()
    for at in range(0, values.size, buffer.size):
        row = buffer[: min(buffer.size, values.size - at)]
        for i in range(row.size):
            row[i] = widen(values[at + i])
        transfer(plan, shape, start + at, row, False)
    restore_mode(mode)


@kernel
def rounded(value: float, like: Any) -> None:
    """Store ``value`` in the one-element array ``like``, rounded once."""
    mode = default_mode()
    like[0] = narrow(value, like[0])
    restore_mode(mode)

"""The layout that the sum kernels share: lanes, rows, blocks and chunks; elements in and out of it.

Guarantees that sums are added in one order, whatever the threads, and that elements of any layout
reach the kernels exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arithmetic.half import narrow, widen
from ..arithmetic.intrinsics import inlined
from ..compiled import default_mode, kernel, restore_mode
from .plans import VIEWS, plans_of
from .strided import transfer
from .threads import share

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


@inlined
def add_lanes(b: Any) -> float:
    """The sum of the first LANES numbers, in a fixed tree."""
    half = LANES // 2
    while half:
        for lane in range(half):
            b[lane] += b[lane + half]
        half //= 2
    return b[0]


@kernel
def pack(plan: Any, shape: Any, start: int, buffer: Any, out: Any) -> bool:
    """Copy ``out.size`` elements of a strided operand into the kernels' type.

    Returns whether all of them have the same value there.
    """
    mode = default_mode()
    stands = True
    for at in range(0, out.size, buffer.size):
        row = buffer[: min(buffer.size, out.size - at)]
        transfer(plan, shape, start + at, row, True)
        for i in range(row.size):
            out[at + i] = narrow(row[i], out[at + i])
            stands &= widen(out[at + i]) == row[i] or row[i] != row[i]
    restore_mode(mode)
    return stands


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


def by_chunks(
    rows: tuple[Any, Any, Any], dtype: np.dtype[Any], call: Callable[..., None], partials: Any
) -> bool:
    """Sum operands of any layout, on packed copies of one chunk at a time: the bits of plain ones.

    Args:
        rows: logits, targets and the array that receives the gradient, or None; of one shape.
        dtype: of the logits, and so of the copies.
        call: a sum kernel, as a function of (x, y, g, origin, first, last, partials).
        partials: a row for each chunk.

    Returns:
        Whether ``dtype`` has the value of every target; if not, the results do not stand.
    """
    logits, _, gradient = rows
    plans, shape = plans_of(list(rows), logits.shape)
    inexact: list[int] = []

    def work(first: int, last: int) -> None:
        buffer = np.empty(LANES)
        packed = np.empty((3, min(CHUNK, logits.size)), VIEWS[dtype])
        for chunk in range(first, last):
            if inexact:
                return
            start = chunk * CHUNK
            n = min(CHUNK, logits.size - start)
            x, y, g = packed[0, :n], packed[1, :n], packed[2, :n]
            pack(plans[0], shape, start, buffer, x)
            if not pack(plans[1], shape, start, buffer, y):
                inexact.append(chunk)
                return
            call(x, y, g, start, 0, 1, partials[chunk : chunk + 1])
            if gradient is not None:
                unpack(plans[2], shape, start, buffer, g)

    share(work, len(partials))
    return not inexact

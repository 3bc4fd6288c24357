"""The two passes that training spends its time in, fused: unweighted sum, and sum with gradient.

float32, float16 and bfloat16, contiguous; see ``primitives.widen`` for how the formats are typed.
Guarantees bits that depend on the elements and their order only: not on threads, memory or the
width of the machine's vectors. Per element there is neither a logarithm nor a branch: log(1 + e) is
summed as the logarithm of a product, Π(1 + e) − 1 being accumulated without cancellation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bce_conformance.backends.native.caching import kernel
from bce_conformance.backends.native.core import (
    NARROW_CANCELLATION,
    linear,
    narrow_exp,
    narrow_log1p,
    narrow_numerator,
)
from bce_conformance.backends.native.memory import transfer
from bce_conformance.backends.native.primitives import (
    DD,
    fast_two_sum,
    fma,
    helper,
    inlined,
    narrow,
    near_tie,
    two_sum,
    widen,
)

# A block is ROWS rows of LANES elements; lane l sums the elements at l, l + LANES, l + 2·LANES, …
LANES = 256
ROWS = 32
BLOCK = LANES * ROWS
# One partial sum is kept for each chunk: the unit that threads share out.
CHUNK = 2 * BLOCK


@inlined
def _finish(sums: Any, products: Any, width: int) -> float:
    """Add up one block's lanes, in a fixed tree."""
    for lane in range(width):
        sums[lane] += narrow_log1p(products[lane])
    return add_lanes(sums)


@inlined
def add_lanes(sums: Any) -> float:
    """The sum of LANES numbers, in a fixed tree."""
    half = LANES // 2
    while half:
        for lane in range(half):
            sums[lane] += sums[lane + half]
        half //= 2
    return sums[0]


@helper
def _chunk_loss(logits: Any, targets: Any, chunk: int, sums: Any, products: Any) -> DD:
    """The sum of the losses of one chunk, as a pair."""
    total = 0.0
    rest = 0.0
    for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
        stop = min(logits.size, start + BLOCK)
        sums[:] = 0.0
        products[:] = 0.0
        for row in range(start, stop, LANES):
            x = logits[row : min(stop, row + LANES)]
            y = targets[row : min(stop, row + LANES)]
            for lane in range(x.size):
                logit = widen(x[lane])
                target = widen(y[lane])
                a = abs(logit)
                e = narrow_exp(a)
                c = 1.0 - target if logit >= 0.0 else target
                sums[lane] += linear(c, a)
                products[lane] = fma(products[lane], e, products[lane] + e)
        total, error = two_sum(total, _finish(sums, products, min(LANES, stop - start)))
        rest += error
    return total, rest


@helper
def _chunk_gradient(
    logits: Any,
    targets: Any,
    gradient: Any,
    scale: float,
    chunk: int,
    sums: Any,
    products: Any,
) -> tuple[float, float, int]:
    """As ``_chunk_loss``, with gradients; and how many of them float64 cannot decide."""
    total = 0.0
    rest = 0.0
    cancelled = 0
    for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
        stop = min(logits.size, start + BLOCK)
        sums[:] = 0.0
        products[:] = 0.0
        for row in range(start, stop, LANES):
            x = logits[row : min(stop, row + LANES)]
            y = targets[row : min(stop, row + LANES)]
            g = gradient[row : min(stop, row + LANES)]
            for lane in range(x.size):
                logit = widen(x[lane])
                target = widen(y[lane])
                a = abs(logit)
                e = narrow_exp(a)
                c = 1.0 - target if logit >= 0.0 else target
                sums[lane] += linear(c, a)
                products[lane] = fma(products[lane], e, products[lane] + e)
                numerator, larger = narrow_numerator(logit, 1.0 - target, target, e)
                cancelled += 1 if abs(numerator) < NARROW_CANCELLATION * larger else 0
                value = numerator * scale / (1.0 + e)
                cancelled += near_tie(value, x[lane])
                g[lane] = narrow(value, x[lane])
        total, error = two_sum(total, _finish(sums, products, min(LANES, stop - start)))
        rest += error
    return total, rest, cancelled


@kernel
def sum_loss(logits: Any, targets: Any, first: int, last: int, partials: Any) -> None:
    """Write the sums of the losses of chunks ``first`` to ``last`` into ``partials[chunk, :]``."""
    sums, products = np.empty(LANES), np.empty(LANES)
    for chunk in range(first, last):
        total, rest = _chunk_loss(logits, targets, chunk, sums, products)
        partials[chunk, 0] = total
        partials[chunk, 1] = rest


@kernel
def sum_loss_and_gradient(
    logits: Any,
    targets: Any,
    gradient: Any,
    scale: float,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """As ``sum_loss``, and write ``scale`` times the gradient in the logits into ``gradient``.

    ``partials[chunk, 2]`` becomes the number of elements whose gradient cancels so far, or is so
    near to the middle of two half-precision numbers, that the engine has to evaluate it.
    """
    sums, products = np.empty(LANES), np.empty(LANES)
    for chunk in range(first, last):
        total, rest, cancelled = _chunk_gradient(
            logits, targets, gradient, scale, chunk, sums, products
        )
        partials[chunk, 0] = total
        partials[chunk, 1] = rest
        partials[chunk, 2] = cancelled


@inlined
def _quotient(total: float, rest: float, count: float) -> float:
    """(total + rest)/count, rounded to float64; an infinite total has no meaningful rest."""
    if not abs(total) < np.inf:
        return total
    total, rest = fast_two_sum(total, rest)
    q = total / count
    return q + (fma(-q, count, total) + rest) / count if abs(q) < np.inf else q


@kernel
def small_loss(logits: Any, targets: Any, count: float, out: Any) -> None:
    """The sum of one chunk's losses over ``count``, rounded into ``out[0]``."""
    total, rest = _chunk_loss(logits, targets, 0, np.empty(LANES), np.empty(LANES))
    out[0] = narrow(_quotient(total, rest, count), out[0])


@kernel
def small_loss_and_gradient(
    logits: Any, targets: Any, gradient: Any, count: float, out: Any
) -> int:
    """As ``small_loss``, with the gradient over ``count``; how many gradients need care."""
    total, rest, cancelled = _chunk_gradient(
        logits, targets, gradient, 1.0 / count, 0, np.empty(LANES), np.empty(LANES)
    )
    out[0] = narrow(_quotient(total, rest, count), out[0])
    return cancelled


@kernel
def pack(plan: Any, shape: Any, start: int, buffer: Any, out: Any) -> None:
    """Copy ``out.size`` elements of a strided operand, exactly, into the kernels' type."""
    for at in range(0, out.size, buffer.size):
        row = buffer[: min(buffer.size, out.size - at)]
        transfer(plan, shape, start + at, row, True)
        for i in range(row.size):
            out[at + i] = narrow(row[i], out[at + i])


@kernel
def unpack(plan: Any, shape: Any, start: int, buffer: Any, values: Any) -> None:
    """The reverse of ``pack``: copy ``values`` to elements of a strided result."""
    for at in range(0, values.size, buffer.size):
        row = buffer[: min(buffer.size, values.size - at)]
        for i in range(row.size):
            row[i] = widen(values[at + i])
        transfer(plan, shape, start + at, row, False)


@kernel
def rounded(value: float, like: Any) -> None:
    """Store ``value`` in the one-element array ``like``, rounded once."""
    like[0] = narrow(value, like[0])

"""The pass that training spends its time in: an unweighted sum, perhaps with its gradient.

float32 and narrower, operands one element after the other. Guarantees that the grid, and so every
bit, depends on the number of elements only. A thread adds up its own elements in float64, as
log(1 + e) of several by the logarithm of a product, a block its threads in a fixed tree, and the
block that is done last all blocks in their order: there is one launch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import config, cuda, float64, int64

from ..arithmetic.double_double import two_sum
from ..arithmetic.functions import narrow_exp, narrow_log1p
from ..arithmetic.intrinsics import helper, inlined, out_of_line
from ..element.float64 import cancels, narrow_gradient, narrow_step
from ..element.ladder import added, evaluate, exact, is_open, rounded
from ..element.quantities import GRAD_LOGITS, LOSS, Element
from .compiling import kernel, part
from .sums import in_block

THREADS = 4 if config.ENABLE_CUDASIM else 128
REGISTERS = 64

AT_ONCE = 4
"""Elements that a thread reads before it evaluates the first of them."""

# Products of AT_ONCE times so many factors are below 2^52, for their logarithm.
_ROUNDS = 8


@helper
def _evaluated(quantity: int, logit: float, target: float, count: float, like: Any) -> float:
    """What float64 does not decide: seldom, and so in one place."""
    out_of_line()
    value, _ = evaluate(quantity, Element(logit, target, 1.0, 1.0, 1.0, 1.0), count, 0, like)
    return value


@inlined
def _loss(x: Any, y: Any, e: float, total: float, product: float) -> tuple[float, float]:
    """One loss more in the sum of ``total`` and log(1 + ``product``)."""
    logit, target = exact(x), exact(y)
    if abs(logit) < math.inf and abs(target) < math.inf:
        return narrow_step(logit, target, e, total, product)
    return total + _evaluated(np.int64(LOSS), logit, target, 1.0, x), product


@inlined
def _gradient(x: Any, y: Any, e: float, count: float) -> Any:
    """One gradient in the logits, rounded."""
    logit, target = exact(x), exact(y)
    value, numerator, steady = narrow_gradient(logit, 1.0 - target, target, e, 1.0 / count)
    if cancels(numerator, steady) < 0 or is_open(value, x):
        value = _evaluated(np.int64(GRAD_LOGITS), logit, target, count, x)
    return rounded(value, 0.0, 1.0, x)


@part
def _one(operands: Any, i: int, total: float, product: float) -> tuple[float, float]:
    """The element at ``i``: the sum with its loss, and its gradient written."""
    x, y, count, with_gradient, gradient = operands
    e = narrow_exp(abs(exact(x[i])))
    if with_gradient:
        gradient[i] = _gradient(x[i], y[i], e, count)
    return _loss(x[i], y[i], e, total, product)


@part
def _several(operands: Any, i: int, step: int, total: float, product: float) -> tuple[float, float]:
    """As ``_one``, for AT_ONCE elements from ``i`` on, all of them read first."""
    x, y, count, with_gradient, gradient = operands
    j, k, m = i + step, i + 2 * step, i + 3 * step
    x0, x1, x2, x3 = x[i], x[j], x[k], x[m]
    y0, y1, y2, y3 = y[i], y[j], y[k], y[m]
    e0, e1 = narrow_exp(abs(exact(x0))), narrow_exp(abs(exact(x1)))
    e2, e3 = narrow_exp(abs(exact(x2))), narrow_exp(abs(exact(x3)))
    if with_gradient:
        gradient[i] = _gradient(x0, y0, e0, count)
        gradient[j] = _gradient(x1, y1, e1, count)
        gradient[k] = _gradient(x2, y2, e2, count)
        gradient[m] = _gradient(x3, y3, e3, count)
    total, product = _loss(x0, y0, e0, total, product)
    total, product = _loss(x1, y1, e1, total, product)
    total, product = _loss(x2, y2, e2, total, product)
    return _loss(x3, y3, e3, total, product)


@part
def _finish(partials: Any, count: float, loss: Any, totals: Any, rests: Any) -> None:
    """Write the sum of all blocks over ``count``."""
    cuda.threadfence()
    total, rest = 0.0, 0.0
    for block in range(cuda.threadIdx.x, cuda.gridDim.x, THREADS):
        total, rest = added(total, rest, partials[block, 0], partials[block, 1])
    in_block(total, rest, totals, rests)
    if cuda.threadIdx.x == 0:
        loss[0] = rounded(totals[0], rests[0], count, loss[0])


@kernel(registers=REGISTERS)
def training_pass(
    x: Any,
    y: Any,
    count: float,
    with_gradient: bool,
    loss: Any,
    gradient: Any,
    partials: Any,
    done: Any,
) -> None:
    """Sum all losses over ``count``, and write the gradients of that in the logits.

    Args:
        x: logits, one after the other.
        y: targets, likewise.
        count: 1, or the number of elements.
        with_gradient: whether gradients are wanted.
        loss: its one element receives the sum.
        gradient: receives the gradients; any array where they are not wanted.
        partials: a pair for each block, of what it says nothing is read.
        done: one number, 0 before and after.
    """
    totals = cuda.shared.array(THREADS, float64)
    rests = cuda.shared.array(THREADS, float64)
    ticket = cuda.shared.array(1, int64)
    step = cuda.gridsize(1)
    sum_, sum_rest, total, product = 0.0, 0.0, 0.0, 0.0
    rounds = 0
    i = cuda.grid(1)
    while i < x.size:
        operands = x, y, count, with_gradient, gradient
        if i + (AT_ONCE - 1) * step < x.size:
            total, product = _several(operands, i, step, total, product)
            i += AT_ONCE * step
        else:
            total, product = _one(operands, i, total, product)
            i += step
        rounds += 1
        if rounds == _ROUNDS:
            total, error = two_sum(total, narrow_log1p(product))
            sum_, sum_rest = added(sum_, sum_rest, total, error)
            total, product, rounds = 0.0, 0.0, 0
    total, error = two_sum(total, narrow_log1p(product))
    sum_, sum_rest = added(sum_, sum_rest, total, error)
    in_block(sum_, sum_rest, totals, rests)
    if cuda.threadIdx.x == 0:
        partials[cuda.blockIdx.x, 0] = totals[0]
        partials[cuda.blockIdx.x, 1] = rests[0]
        cuda.threadfence()
        ticket[0] = cuda.atomic.add(done, 0, 1)
    cuda.syncthreads()
    if ticket[0] == cuda.gridDim.x - 1:
        _finish(partials, count, loss, totals, rests)
        done[0] = 0

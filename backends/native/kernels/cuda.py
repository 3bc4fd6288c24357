"""Kernels for CUDA: grid-stride loops over the ladder, and sums that are the same in every run.

**Untested on GPU.** The grid depends on the number of elements only. Every thread adds up its own
elements exactly, each block its threads in a fixed tree, and one thread the blocks.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float64

from ..element.ladder import added, evaluate, exact, rounded

THREADS = 64


@cuda.jit  # type: ignore[untyped-decorator, unused-ignore]
def elements(
    quantity: int, inputs: Any, walks: Any, shape: Any, count: float, weighted: bool, out: Any
) -> None:
    """Write ``quantity`` of every element of ``shape`` into ``out``."""
    x, y, w, p, c, v = inputs
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        ix, iy, iw, ip, ic, iv = 0, 0, 0, 0, 0, 0
        at = i
        for axis in range(shape.size - 1, -1, -1):
            step = at % shape[axis]
            at //= shape[axis]
            ix += step * walks[0, axis]
            iy += step * walks[1, axis]
            iw += step * walks[2, axis]
            ip += step * walks[3, axis]
            ic += step * walks[4, axis]
            iv += step * walks[5, axis]
        value, rest = evaluate(
            quantity,
            exact(x[ix]),
            exact(y[iy]),
            exact(w[iw]),
            exact(p[ip]),
            exact(c[ic]),
            exact(v[iv]),
            count,
            weighted,
            x[ix],
        )
        out[i] = rounded(value, rest, 1.0, x[ix])


@cuda.jit  # type: ignore[untyped-decorator, unused-ignore]
def sums(
    quantity: int,
    inputs: Any,
    walks: Any,
    shape: Any,
    count: float,
    weighted: bool,
    kept: Any,
    size: int,
    partials: Any,
) -> None:
    """Sum ``size`` elements of ``shape``, from the operand offsets ``kept`` on, into partials."""
    totals = cuda.shared.array(THREADS, float64)
    rests = cuda.shared.array(THREADS, float64)
    x, y, w, p, c, v = inputs
    lane = cuda.threadIdx.x
    total, total_rest = 0.0, 0.0
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        ix, iy, iw, ip, ic, iv = kept[0], kept[1], kept[2], kept[3], kept[4], kept[5]
        at = i
        for axis in range(shape.size - 1, -1, -1):
            step = at % shape[axis]
            at //= shape[axis]
            ix += step * walks[0, axis]
            iy += step * walks[1, axis]
            iw += step * walks[2, axis]
            ip += step * walks[3, axis]
            ic += step * walks[4, axis]
            iv += step * walks[5, axis]
        value, rest = evaluate(
            quantity,
            exact(x[ix]),
            exact(y[iy]),
            exact(w[iw]),
            exact(p[ip]),
            exact(c[ic]),
            exact(v[iv]),
            count,
            weighted,
            x[ix],
        )
        total, total_rest = added(total, total_rest, value, rest)
    totals[lane] = total
    rests[lane] = total_rest
    cuda.syncthreads()
    half = THREADS // 2
    while half:
        if lane < half:
            totals[lane], rests[lane] = added(
                totals[lane], rests[lane], totals[lane + half], rests[lane + half]
            )
        cuda.syncthreads()
        half //= 2
    if lane == 0:
        partials[cuda.blockIdx.x, 0] = totals[0]
        partials[cuda.blockIdx.x, 1] = rests[0]


@cuda.jit  # type: ignore[untyped-decorator, unused-ignore]
def finish(partials: Any, count: float, like: Any, out: Any, at: int) -> None:
    """Add up ``partials`` and round their sum over ``count`` into ``out[at]``."""
    if cuda.grid(1) == 0:
        total, rest = 0.0, 0.0
        for block in range(partials.shape[0]):
            total, rest = added(total, rest, partials[block, 0], partials[block, 1])
        out[at] = rounded(total, rest, count, like[0])

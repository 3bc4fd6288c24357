"""Kernels for CUDA: grid-stride loops over the ladder, and sums that are the same in every run.

**Untested on GPU.** The grid depends on the number of elements only. Every thread adds up its own
elements exactly, each block its threads in a fixed tree, and one thread the blocks.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float64

from ..element.ladder import added, evaluate, exact, rounded
from ..element.quantities import Element

THREADS = 64


@cuda.jit(device=True)  # type: ignore[untyped-decorator, unused-ignore]
def _element(
    quantity: int, inputs: Any, walk: Any, count: float, weighted: bool, index: int
) -> Any:
    """``quantity`` of the element at ``index``.

    ``walk`` has the steps of each operand in each dimension, the dimensions, and the offsets of
    the first element.
    """
    x, y, w, p, c, v = inputs
    steps, shape, start = walk
    ix, iy, iw, ip, ic, iv = start[0], start[1], start[2], start[3], start[4], start[5]
    for axis in range(shape.size - 1, -1, -1):
        at = index % shape[axis]
        index //= shape[axis]
        ix += at * steps[0, axis]
        iy += at * steps[1, axis]
        iw += at * steps[2, axis]
        ip += at * steps[3, axis]
        ic += at * steps[4, axis]
        iv += at * steps[5, axis]
    of = Element(exact(x[ix]), exact(y[iy]), exact(w[iw]), exact(p[ip]), exact(c[ic]), exact(v[iv]))
    return evaluate(quantity, of, count, weighted, x[ix])


@cuda.jit  # type: ignore[untyped-decorator, unused-ignore]
def elements(quantity: int, inputs: Any, walk: Any, count: float, weighted: bool, out: Any) -> None:
    """Write ``quantity`` of every element into ``out``."""
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        value, rest = _element(quantity, inputs, walk, count, weighted, i)
        out[i] = rounded(value, rest, 1.0, inputs[0][0])


@cuda.jit  # type: ignore[untyped-decorator, unused-ignore]
def sums(
    quantity: int,
    inputs: Any,
    walk: Any,
    count: float,
    weighted: bool,
    size: int,
    partials: Any,
) -> None:
    """Sum ``size`` elements into partials."""
    totals = cuda.shared.array(THREADS, float64)
    rests = cuda.shared.array(THREADS, float64)
    lane = cuda.threadIdx.x
    total, total_rest = 0.0, 0.0
    for i in range(cuda.grid(1), size, cuda.gridsize(1)):
        value, rest = _element(quantity, inputs, walk, count, weighted, i)
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

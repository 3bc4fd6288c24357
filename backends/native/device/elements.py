"""Kernels for CUDA: grid-stride loops over the ladder, and sums that are the same in every run.

The grid depends on the shapes only. Every thread adds up its own elements exactly, each block its
threads in a fixed tree, and one thread the blocks of a sum. Operands have steps and sizes of any
kind.
"""

from __future__ import annotations

from typing import Any

from numba import config, cuda, float64

from ..element.ladder import added, evaluate, exact, in_float64, rounded
from ..element.quantities import Element
from .compiling import kernel, part
from .sums import in_block

THREADS = 4 if config.ENABLE_CUDASIM else 64


@kernel()
def gathered(source: Any, steps: Any, shape: Any, first: int, out: Any) -> None:
    """Write the numbers of an operand of a shape into ``out``, one after the other, exactly."""
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        at, index = first, i
        for axis in range(shape.size - 1, -1, -1):
            at += index % shape[axis] * steps[axis]
            index //= shape[axis]
        out[i] = exact(source[at])


@part
def _element(
    quantity: int, inputs: Any, walk: Any, count: float, checks: int, index: int, like: Any
) -> Any:
    """``quantity`` of the element at ``index``, for a result of the format of ``like``.

    ``walk`` has the steps of each operand in each dimension, the dimensions, and where the first
    element of each lies.
    """
    x, y, w, p, c, v = inputs
    steps, shape, first = walk
    ix, iy, iw, ip, ic, iv = first[0], first[1], first[2], first[3], first[4], first[5]
    for axis in range(shape.size - 1, -1, -1):
        at = index
        if axis:
            index //= shape[axis]
            at -= index * shape[axis]
        ix += at * steps[0, axis]
        iy += at * steps[1, axis]
        iw += at * steps[2, axis]
        ip += at * steps[3, axis]
        ic += at * steps[4, axis]
        iv += at * steps[5, axis]
    of = Element(exact(x[ix]), exact(y[iy]), exact(w[iw]), exact(p[ip]), exact(c[ic]), exact(v[iv]))
    value, is_settled = in_float64(quantity, of, count, checks, like)
    return (value, 0.0) if is_settled else evaluate(quantity, of, count, checks, like)


@kernel()
def elements(quantity: int, inputs: Any, walk: Any, count: float, checks: int, out: Any) -> None:
    """Write ``quantity`` of every element into ``out``."""
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        value, rest = _element(quantity, inputs, walk, count, checks, i, out[i])
        out[i] = rounded(value, rest, 1.0, out[i])


@kernel()
def sums(
    quantity: int,
    inputs: Any,
    walk: Any,
    count: float,
    checks: int,
    terms: int,
    like: Any,
    partials: Any,
) -> None:
    """Sum each run of ``terms`` elements into its row of ``partials``, a pair for each share.

    The sums are for results of the format of ``like``, an array.
    """
    totals = cuda.shared.array(THREADS, float64)
    rests = cuda.shared.array(THREADS, float64)
    lane = cuda.threadIdx.x
    shares = partials.shape[1]
    for job in range(cuda.blockIdx.x, partials.shape[0] * shares, cuda.gridDim.x):
        run, share = job // shares, job % shares
        total, total_rest = 0.0, 0.0
        for i in range(share * THREADS + lane, terms, shares * THREADS):
            at = run * terms + i
            value, rest = _element(quantity, inputs, walk, count, checks, at, like[0])
            total, total_rest = added(total, total_rest, value, rest)
        in_block(total, total_rest, totals, rests)
        if lane == 0:
            partials[run, share, 0] = totals[0]
            partials[run, share, 1] = rests[0]


@kernel()
def finish(partials: Any, count: float, out: Any) -> None:
    """Add up each row of ``partials`` and round the sum over ``count`` into ``out``."""
    for run in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        total, rest = 0.0, 0.0
        for share in range(partials.shape[1]):
            total, rest = added(total, rest, partials[run, share, 0], partials[run, share, 1])
        out[run] = rounded(total, rest, count, out[run])

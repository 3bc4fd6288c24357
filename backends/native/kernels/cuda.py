"""Kernels for CUDA: grid-stride loops over the ladder, and sums that are the same in every run.

**Untested on GPU.** The grid depends on the shapes only. Every thread adds up its own elements
exactly, each block its threads in a fixed tree, and one thread the blocks of a sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from numba import cuda, float64
from numba.extending import overload

from ..element.ladder import added, evaluate, exact, rounded
from ..element.quantities import Element

THREADS = 64

_PATCHING = Lock()


@contextmanager
def uncontracted() -> Iterator[None]:
    """Have kernels that are compiled meanwhile round each product and each sum.

    NVVM joins them else, and results would not have the processor's bits. Numba has no option for
    it.
    """
    from numba.cuda.cudadrv import nvvm

    with _PATCHING:
        usual = nvvm.compile_ir

        def compile_ir(ir: Any, **options: Any) -> Any:
            return usual(ir, **{**options, "fma": False})

        nvvm.compile_ir = compile_ir
        try:
            yield
        finally:
            nvvm.compile_ir = usual


# The overloads of Numba 0.68 for any number of arguments do not compile for CUDA.
@overload(min, target="cuda")  # type: ignore[untyped-decorator, unused-ignore]
def _min(a: Any, b: Any) -> Any:
    def smaller(a: Any, b: Any) -> Any:
        return b if b < a else a

    return smaller


@overload(max, target="cuda")  # type: ignore[untyped-decorator, unused-ignore]
def _max(a: Any, b: Any) -> Any:
    def larger(a: Any, b: Any) -> Any:
        return b if b > a else a

    return larger


@cuda.jit  # type: ignore[untyped-decorator, unused-ignore]
def gathered(source: Any, steps: Any, shape: Any, first: int, out: Any) -> None:
    """Write the numbers of an operand of a shape into ``out``, one after the other, exactly."""
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        at, index = first, i
        for axis in range(shape.size - 1, -1, -1):
            at += index % shape[axis] * steps[axis]
            index //= shape[axis]
        out[i] = exact(source[at])


@cuda.jit(device=True)  # type: ignore[untyped-decorator, unused-ignore]
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
        at = index % shape[axis]
        index //= shape[axis]
        ix += at * steps[0, axis]
        iy += at * steps[1, axis]
        iw += at * steps[2, axis]
        ip += at * steps[3, axis]
        ic += at * steps[4, axis]
        iv += at * steps[5, axis]
    of = Element(exact(x[ix]), exact(y[iy]), exact(w[iw]), exact(p[ip]), exact(c[ic]), exact(v[iv]))
    return evaluate(quantity, of, count, checks, like)


@cuda.jit  # type: ignore[untyped-decorator, unused-ignore]
def elements(quantity: int, inputs: Any, walk: Any, count: float, checks: int, out: Any) -> None:
    """Write ``quantity`` of every element into ``out``."""
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        value, rest = _element(quantity, inputs, walk, count, checks, i, out[i])
        out[i] = rounded(value, rest, 1.0, out[i])


@cuda.jit  # type: ignore[untyped-decorator, unused-ignore]
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
            partials[run, share, 0] = totals[0]
            partials[run, share, 1] = rests[0]
        cuda.syncthreads()


@cuda.jit  # type: ignore[untyped-decorator, unused-ignore]
def finish(partials: Any, count: float, out: Any) -> None:
    """Add up each row of ``partials`` and round the sum over ``count`` into ``out``."""
    for run in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        total, rest = 0.0, 0.0
        for share in range(partials.shape[1]):
            total, rest = added(total, rest, partials[run, share, 0], partials[run, share, 1])
        out[run] = rounded(total, rest, count, out[run])

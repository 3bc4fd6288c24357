"""Sums of a block's threads, the same in every run."""

from __future__ import annotations

from typing import Any

from numba import cuda

from ..element.ladder import added
from .compiling import part


@part
def in_block(total: float, rest: float, totals: Any, rests: Any) -> None:
    """Leave the sum of a block's threads in the first places of two shared arrays.

    Args:
        total: of the thread.
        rest: what is added to it.
        totals: as many numbers as the block has threads, which is a power of two.
        rests: likewise.
    """
    lane = cuda.threadIdx.x
    cuda.syncthreads()
    totals[lane] = total
    rests[lane] = rest
    cuda.syncthreads()
    half = cuda.blockDim.x // 2
    while half:
        if lane < half:
            totals[lane], rests[lane] = added(
                totals[lane], rests[lane], totals[lane + half], rests[lane + half]
            )
        cuda.syncthreads()
        half //= 2

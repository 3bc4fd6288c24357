"""Gradients in broadcast operands: summed over what the operand was broadcast along.

Guarantees that each element's result and rest are added exactly, in an order that depends on the
shapes only, and that the sum is rounded once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import Array
from ..arithmetic.double_double import two_sum
from ..arithmetic.half import narrow
from ..compiled import default_mode, kernel, restore_mode
from ..element.quantities import QUANTITIES
from ..memory.plans import flat, plans_of, regions_of, unpinned
from ..memory.strided import CODES
from ..memory.threads import share
from .block import LENGTH, RESTS, RESULTS, SIZE, V
from .general import CHUNK, evaluate_block, gather
from .stages import HARMLESS

# Sums are kept for so many elements of the operand at a time; where it has fewer, for each of a few
# parts of the logits.
_PIECE = 8192
_PARTS = 8
# What terms are made smaller by where their sum leaves float64's range.
_LOWERED = 2.0**900


@kernel
def accumulate(
    plans: Any,
    shape: Any,
    wanted: Any,
    code: int,
    checks: int,
    count: float,
    quantity: int,
    first: int,
    last: int,
    sums: Any,
    rests: Any,
) -> None:
    """Add one quantity of elements ``first`` to ``last`` up into ``sums`` with ``rests``.

    The vector is read as indices into ``sums``: that of the broadcast operand's element.
    """
    mode = default_mode()
    b = np.ones(SIZE)
    b[RESTS:] = 0.0
    for start in range(first, last, LENGTH):
        n = min(LENGTH, last - start)
        gather(plans, shape, start, n, b)
        evaluate_block(b, n, wanted, code, checks, count)
        for i in range(n):
            at = int(b[V + i])
            sums[at], error = two_sum(sums[at], b[RESULTS + quantity * LENGTH + i])
            rests[at] += error + b[RESTS + quantity * LENGTH + i]
    restore_mode(mode)


@kernel
def settle(sums: Any, rests: Any, out: Any) -> None:
    """Round sums and rests, each a row for each part of the elements, into ``out``."""
    mode = default_mode()
    for i in range(out.size):
        total, rest = sums[0, i], rests[0, i]
        for part in range(1, sums.shape[0]):
            total, error = two_sum(total, sums[part, i])
            rest += error + rests[part, i]
        out[i] = narrow(total + rest if abs(total) < np.inf else total, out[i])
    restore_mode(mode)


def sum_gradient(
    quantity: int, inputs: list[Array | None], count: float, checks: int, out: Array
) -> None:
    """Sum one gradient into ``out``, over the dimensions along which its operand was broadcast.

    Args:
        quantity: which gradient.
        inputs: logits, targets, weight, pos_weight and cotangent; None is 1.
        count: what gradients are divided by.
        checks: see ``general.evaluate``.
        out: of the operand's shape.
    """
    logits = inputs[0]
    assert logits is not None
    full = out.reshape((1,) * (logits.ndim - out.ndim) + out.shape)
    broadcast = [
        None if operand is None else np.broadcast_to(operand, logits.shape)
        for operand in inputs[:5]
    ]
    regions = regions_of(full.shape, _PIECE)

    def work(first: int, last: int) -> None:
        for region in regions[first:last]:
            # The ellipsis makes views, also of what has no dimension.
            box: tuple[Any, ...] = (..., *region)
            part: tuple[Any, ...] = (..., *unpinned(region, full.shape))
            views = [None if operand is None else operand[part] for operand in broadcast]
            alone = len(regions) == 1
            _sum_region(quantity, views, count, checks, full[box], alone)

    share(work, len(regions))


def _sum_region(
    quantity: int,
    inputs: list[Array | None],
    count: float,
    checks: int,
    out: Array,
    alone: bool,
) -> None:
    """Sum into one box of the operand; threads share its parts out where it is ``alone``."""
    result = np.empty(out.size, out.dtype)
    kind = CODES[out.dtype], checks
    sums, rests = _sums(quantity, inputs, count, kind, out.shape, alone)
    settle(sums, rests, flat(result))
    with np.errstate(over="ignore", invalid="ignore"):
        lost = ~np.isfinite(sums.sum(axis=0))
    if lost.any():
        # Terms of both signs may have left float64's range, and the sum be finite.
        lowered = np.empty(out.size)
        kind = CODES[lowered.dtype], HARMLESS
        settle(*_sums(quantity, inputs, count * _LOWERED, kind, out.shape, alone), lowered)
        with np.errstate(over="ignore"):
            raised = (lowered * _LOWERED).astype(out.dtype)
        result = np.where(lost, raised, result)
    out[...] = result.reshape(out.shape)


def _sums(
    quantity: int,
    inputs: list[Array | None],
    count: float,
    kind: tuple[int, int],
    shape: tuple[int, ...],
    alone: bool,
) -> tuple[Array, Array]:
    """Sums and rests for an operand of ``shape``, a row for each part of the elements.

    ``kind`` has the format of the terms (see ``strided.CODES``), and what they are checked for.
    """
    logits = inputs[0]
    assert logits is not None
    size = int(np.prod(shape, dtype=np.int64))
    index = np.broadcast_to(np.arange(size).reshape(shape), logits.shape)
    plans, dimensions = plans_of([*inputs, index, *[None] * QUANTITIES], logits.shape)
    wanted = np.zeros(QUANTITIES, np.uint8)
    wanted[quantity] = 1
    blocks = -(-logits.size // CHUNK)
    parts = min(_PARTS, blocks, _PIECE // size) if alone else 1
    bounds = [part * blocks // parts * CHUNK for part in range(parts)] + [logits.size]
    sums, rests = np.zeros((2, parts, size))

    def work(first: int, last: int) -> None:
        for part in range(first, last):
            ends = bounds[part], bounds[part + 1]
            into = sums[part], rests[part]
            accumulate(plans, dimensions, wanted, *kind, count, quantity, *ends, *into)

    share(work, parts)
    return sums, rests

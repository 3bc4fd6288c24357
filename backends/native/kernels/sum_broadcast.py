"""Gradients in broadcast operands: summed over what the operand was broadcast along.

Guarantees that each element's result and rest are added exactly, in an order that depends on the
shapes only, and that the sum is rounded once. Sums that cancel, or over- or underflow, are left to
``sum_careful.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arguments import Array
from ..arithmetic.double_double import two_sum
from ..arithmetic.half import narrow
from ..compiled import default_mode, kernel, restore_mode
from ..element.quantities import QUANTITIES
from ..memory.plans import flat, regions_of, unpinned
from ..memory.strided import CODES, FLOAT64
from ..memory.threads import share
from .block import ASIDE, LENGTH, RESTS, RESULTS, SIZE, V
from .general import evaluate_block, gather
from .sum_careful import PIECE, Terms, sum_carefully

# A sum is decided where no more cancels than leaves half a unit in the last place to the errors of
# its terms: 2^-56.9 of float64 terms, 2^-42 of narrower ones for float32 and less.
_WIDE_CANCELLATION = 2.0**-2
_NARROW_CANCELLATION = 2.0**-16
# Beside smaller sums, what single terms lose to underflow, and to clamped exponentials, may matter.
_WIDE_FLOOR = 2.0**-960
_NARROW_FLOOR = 2.0**-160


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
    sizes: Any,
) -> None:
    """Add one quantity of elements ``first`` to ``last`` up into ``sums`` with ``rests``.

    ``sizes`` are the sums of what the terms are in size.

    The vector is read as indices into ``sums``: that of the broadcast operand's element.
    """
    mode = default_mode()
    b = np.ones(SIZE)
    b[RESTS:ASIDE] = 0.0
    for start in range(first, last, LENGTH):
        n = min(LENGTH, last - start)
        gather(plans, shape, start, n, b)
        evaluate_block(b, n, wanted, code, checks, count)
        for i in range(n):
            at = int(b[V + i])
            sums[at], error = two_sum(sums[at], b[RESULTS + quantity * LENGTH + i])
            rests[at] += error + b[RESTS + quantity * LENGTH + i]
            sizes[at] += abs(b[RESULTS + quantity * LENGTH + i])
    restore_mode(mode)


@kernel
def settle(sums: Any, rests: Any, sizes: Any, wide: bool, undecided: Any, out: Any) -> None:
    """Round sums and rests, each a row for each part of the elements, into ``out``.

    ``undecided`` tells where terms cancel, or over- or underflow; nothing is written there.
    """
    mode = default_mode()
    least = _WIDE_CANCELLATION if wide else _NARROW_CANCELLATION
    floor = _WIDE_FLOOR if wide else _NARROW_FLOOR
    for i in range(out.size):
        total, rest, size = sums[0, i], rests[0, i], sizes[0, i]
        for part in range(1, sums.shape[0]):
            total, error = two_sum(total, sums[part, i])
            rest += error + rests[part, i]
            size += sizes[part, i]
        decided = abs(total) >= max(floor, least * size) and size < math.inf
        undecided[i] = not decided
        if decided:
            out[i] = narrow(total + rest, out[i])
    restore_mode(mode)


def sum_gradient(
    quantity: int,
    inputs: list[Array | None],
    count: float,
    checks: int,
    out: Array,
    *,
    careful: bool = False,
) -> None:
    """Sum one gradient into ``out``, over the dimensions along which its operand was broadcast.

    Args:
        quantity: which gradient.
        inputs: logits, targets, weight, pos_weight and cotangent; None is 1.
        count: what gradients are divided by.
        checks: see ``general.evaluate``.
        out: of the operand's shape.
        careful: whether all sums are left to ``sum_careful.py``, as for the gradient in the logits.
    """
    logits = inputs[0]
    assert logits is not None
    full = out.reshape((1,) * (logits.ndim - out.ndim) + out.shape)
    broadcast = [
        None if operand is None else np.broadcast_to(operand, logits.shape)
        for operand in inputs[:5]
    ]
    regions = regions_of(full.shape, PIECE)

    def work(first: int, last: int) -> None:
        for region in regions[first:last]:
            # The ellipsis makes views, also of what has no dimension.
            box: tuple[Any, ...] = (..., *region)
            part: tuple[Any, ...] = (..., *unpinned(region, full.shape))
            views = [None if operand is None else operand[part] for operand in broadcast]
            into = full[box]
            index = np.arange(into.size).reshape(into.shape)
            assert views[0] is not None
            terms = Terms(
                views, np.broadcast_to(index, views[0].shape), into.size, len(regions) == 1
            )
            _sum_region(quantity, terms, count, None if careful else checks, into)

    share(work, len(regions))


def _sum_region(quantity: int, terms: Terms, count: float, checks: int | None, out: Array) -> None:
    """Sum into one box of the operand; carefully from the start where ``checks`` is None."""
    result = np.empty(out.size, out.dtype)
    undecided = np.ones(out.size, np.bool_)
    if checks is not None:
        code = CODES[out.dtype]
        sums = _sums(quantity, terms, count, code, checks)
        settle(*sums, code == FLOAT64, undecided, flat(result))
    if undecided.any():
        sum_carefully(quantity, terms, count, undecided, flat(result))
    out[...] = result.reshape(out.shape)


def _sums(quantity: int, terms: Terms, count: float, code: int, checks: int) -> Array:
    """Sums, rests and sizes, a row for each part of the elements.

    The terms are evaluated for the format ``code`` (see ``strided.CODES``).
    """
    plans, dimensions = terms.plans()
    wanted = np.zeros(QUANTITIES, np.uint8)
    wanted[quantity] = 1
    bounds = terms.bounds
    found = np.zeros((3, len(bounds) - 1, terms.size))

    def work(first: int, last: int) -> None:
        for part in range(first, last):
            ends = bounds[part], bounds[part + 1]
            into = found[0, part], found[1, part], found[2, part]
            accumulate(plans, dimensions, wanted, code, checks, count, quantity, *ends, *into)

    share(work, len(bounds) - 1)
    return found

"""Gradients in broadcast operands: summed over what the operand was broadcast along.

Guarantees that each element's result and rest are added exactly, in an order that depends on the
shapes only, and that the sum is rounded once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arithmetic.double_double import two_sum
from ..arithmetic.half import narrow
from ..compiled import kernel
from .block import LENGTH, MARK, RESTS, RESULTS, SIZE, V
from .general import divide_cotangents, gather, repair
from .stage_double_double import wide_stage
from .stage_float64 import narrow_stage


@kernel
def accumulate(
    plans: Any,
    shape: Any,
    wanted: Any,
    wide: bool,
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
    b = np.ones(SIZE)
    b[RESTS:] = 0.0
    for start in range(first, last, LENGTH):
        n = min(LENGTH, last - start)
        b[MARK : MARK + n] = 0.0
        gather(plans, shape, start, n, b)
        divide_cotangents(b, n, count)
        marked = wide_stage(b, n, wanted, True) if wide else narrow_stage(b, n, wanted)
        if marked:
            repair(b, n, wanted, count)
        for i in range(n):
            at = int(b[V + i])
            sums[at], error = two_sum(sums[at], b[RESULTS + quantity * LENGTH + i])
            rests[at] += error + b[RESTS + quantity * LENGTH + i]


@kernel
def settle(sums: Any, rests: Any, out: Any) -> None:
    """Round sums and rests, each a row for each part of the elements, into ``out``."""
    for i in range(out.size):
        total, rest = sums[0, i], rests[0, i]
        for part in range(1, sums.shape[0]):
            total, error = two_sum(total, sums[part, i])
            rest += error + rests[part, i]
        out[i] = narrow(total + rest if abs(total) < np.inf else total, out[i])

"""As ``sum_float32.py``, with ``weight`` and ``pos_weight``, which each row of lanes gathers.

They may have any dtype and any strides; nothing of them is kept beyond a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arithmetic.double_double import two_sum
from ..arithmetic.functions import narrow_exp, narrow_softplus
from ..arithmetic.half import narrow, near_tie, widen
from ..arithmetic.intrinsics import as_bits, fma, helper, inlined
from ..compiled import kernel
from ..element.float64 import NARROW_CANCELLATION, annihilate, narrow_gradient, shares
from ..memory.strided import transfer
from .sum_float32 import BLOCK, CHUNK, EXPS, GROUP, LANES, SIZE, add_lanes

# Behind what ``sum_float32.py`` has in its buffer: rows of weight and pos_weight.
_W = SIZE
_P = SIZE + LANES
_SIZE = SIZE + 2 * LANES


@helper
def _gather(plans: Any, shape: Any, start: int, n: int, b: Any) -> None:
    """Read weight and pos_weight from element ``start`` on; an address of 0 leaves ones."""
    if plans[0, 1]:
        transfer(plans[0], shape, start, b[_W : _W + n], True)
    if plans[1, 1]:
        transfer(plans[1], shape, start, b[_P : _P + n], True)


@inlined
def _loss(x: float, y: float, e: float, w: float, p: float) -> float:
    """One loss; what stays of a numerator, times x, is its linear term."""
    away = 1.0 - y
    towards = p * y
    steady, _ = shares(x, away, towards)
    line = steady * x if steady != 0.0 else 0.0
    return annihilate(w, fma(away + towards, narrow_softplus(e), line))


@helper
def _exps(x: Any, b: Any) -> None:
    """The first stage of a row: exp(−|x|)."""
    for i in range(x.size):
        b[EXPS + i] = narrow_exp(abs(widen(x[i])))


@helper
def _sums(x: Any, y: Any, b: Any) -> None:
    """The second: losses, added to the lanes."""
    for i in range(x.size):
        b[i] += _loss(widen(x[i]), widen(y[i]), b[EXPS + i], b[_W + i], b[_P + i])


@helper
def _gradients(x: Any, y: Any, g: Any, scale: float, b: Any) -> bool:
    """See ``sum_float32._gradients``."""
    cancelled = 0
    ties = 0
    for i in range(x.size):
        target = widen(y[i])
        value, numerator, steady = narrow_gradient(
            widen(x[i]), 1.0 - target, b[_P + i] * target, b[EXPS + i], scale * b[_W + i]
        )
        cancelled |= as_bits(fma(steady, -NARROW_CANCELLATION, abs(numerator)))
        ties += near_tie(value, x[i])
        g[i] = narrow(value, x[i])
    return cancelled < 0 or ties != 0


@kernel
def sum_weighted(
    logits: Any,
    targets: Any,
    plans: Any,
    shape: Any,
    origin: int,
    gradient: Any,
    with_gradient: bool,
    scale: float,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """See ``sum_float32.sum_single``; a half format has its group marked near a tie too.

    ``plans`` has a row each for weight and pos_weight, read from element ``origin`` on.
    """
    b = np.ones(_SIZE)
    for chunk in range(first, last):
        total = 0.0
        rest = 0.0
        undecided = 0
        for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
            stop = min(logits.size, start + BLOCK)
            b[:LANES] = 0.0
            for at in range(start, stop, LANES):
                x = logits[at : min(stop, at + LANES)]
                y = targets[at : min(stop, at + LANES)]
                _gather(plans, shape, origin + at, x.size, b)
                _exps(x, b)
                _sums(x, y, b)
                if with_gradient:
                    g = gradient[at : min(stop, at + LANES)]
                    if _gradients(x, y, g, scale, b):
                        undecided |= 1 << ((at - chunk * CHUNK) // GROUP)
            total, error = two_sum(total, add_lanes(b))
            rest += error
        partials[chunk, 0] = total
        partials[chunk, 1] = rest
        partials[chunk, 2] = undecided

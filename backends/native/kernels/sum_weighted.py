"""As ``sum_float32.py``, with ``weight`` and ``pos_weight``, which each row of lanes gathers.

They may have any dtype and any strides; nothing of them is kept beyond a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arithmetic.double_double import two_sum
from ..arithmetic.functions import narrow_exp
from ..arithmetic.half import narrow, near_tie, widen
from ..arithmetic.intrinsics import as_bits, helper
from ..compiled import default_mode, kernel, restore_mode
from ..element.float64 import cancels, narrow_gradient, narrow_loss
from ..memory.chunks import BLOCK, CHUNK, EXPS, GROUP, LANES, SIZE, add_lanes
from ..memory.strided import transfer

# Behind what ``chunks.py`` lays out: rows of weight and pos_weight.
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


@helper
def _exps(x: Any, b: Any) -> None:
    """The first stage of a row: exp(−|x|)."""
    for i in range(x.size):
        b[EXPS + i] = narrow_exp(abs(widen(x[i])))


@helper
def _sums(x: Any, y: Any, b: Any) -> bool:
    """The second: losses, added to the lanes; whether a weight is negative."""
    signs = 0
    for i in range(x.size):
        signs |= as_bits(b[_W + i]) | as_bits(b[_P + i])
        b[i] += narrow_loss(widen(x[i]), widen(y[i]), b[_W + i], b[_P + i], b[EXPS + i])
    return signs < 0


@helper
def _gradients(x: Any, y: Any, g: Any, scale: float, b: Any) -> bool:
    """See ``sum_float32._gradients``; a half format's are undecided near a tie, too."""
    cancelled = 0
    ties = 0
    for i in range(x.size):
        target = widen(y[i])
        value, numerator, steady = narrow_gradient(
            widen(x[i]), 1.0 - target, b[_P + i] * target, b[EXPS + i], scale * b[_W + i]
        )
        cancelled |= cancels(numerator, steady)
        ties += near_tie(value, x[i])
        g[i] = narrow(value, x[i])
    return cancelled < 0 or ties != 0


@kernel
def sum_weighted(
    logits: Any,
    targets: Any,
    gradient: Any,
    plans: Any,
    shape: Any,
    origin: int,
    count: float,
    with_gradient: bool,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """See ``sum_float32.sum_single``.

    ``plans`` has a row each for weight and pos_weight, read from element ``origin`` on.
    ``partials[chunk, 3]`` is not 0 where a negative weight or pos_weight makes losses cancel.
    """
    mode = default_mode()
    b = np.ones(_SIZE)
    scale = 1.0 / count
    for chunk in range(first, last):
        total = 0.0
        rest = 0.0
        undecided = 0
        cancelling = False
        for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
            stop = min(logits.size, start + BLOCK)
            b[:LANES] = 0.0
            for at in range(start, stop, LANES):
                x = logits[at : min(stop, at + LANES)]
                y = targets[at : min(stop, at + LANES)]
                _gather(plans, shape, origin + at, x.size, b)
                _exps(x, b)
                cancelling |= _sums(x, y, b)
                if with_gradient:
                    g = gradient[at : min(stop, at + LANES)]
                    if _gradients(x, y, g, scale, b):
                        undecided |= 1 << ((at - chunk * CHUNK) // GROUP)
            total, error = two_sum(total, add_lanes(b))
            rest += error
        partials[chunk, 0] = total
        partials[chunk, 1] = rest
        partials[chunk, 2] = undecided
        partials[chunk, 3] = cancelling
    restore_mode(mode)

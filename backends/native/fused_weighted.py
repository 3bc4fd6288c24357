"""As ``fused.py``, with ``weight`` and ``pos_weight``: each row of lanes gathers its own of both.

They may have any dtype and any strides; nothing of them is kept beyond a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bce_conformance.backends.native.caching import kernel
from bce_conformance.backends.native.core import (
    NARROW_CANCELLATION,
    narrow_exp,
    narrow_numerator,
    narrow_softplus,
)
from bce_conformance.backends.native.fused import BLOCK, CHUNK, LANES, add_lanes
from bce_conformance.backends.native.memory import transfer
from bce_conformance.backends.native.narrow_stage import annihilate, narrow_inner
from bce_conformance.backends.native.primitives import helper, narrow, near_tie, two_sum, widen

# One buffer holds a row each of sums, weight, pos_weight and exp(−|x|), at constant offsets: the
# compiler sees that they do not overlap.
_W = LANES
_P = 2 * LANES
_E = 3 * LANES


@helper
def _gather(plans: Any, shape: Any, start: int, n: int, lanes: Any) -> None:
    """Read weight and pos_weight from element ``start`` on; an address of 0 leaves ones."""
    if plans[0, 1]:
        transfer(plans[0], shape, start, lanes[_W : _W + n], True)
    if plans[1, 1]:
        transfer(plans[1], shape, start, lanes[_P : _P + n], True)


@kernel
def sum_weighted_loss(
    logits: Any,
    targets: Any,
    plans: Any,
    shape: Any,
    origin: int,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """Write the sums of the weighted losses of chunks ``first`` to ``last`` into ``partials``.

    ``plans`` has a row each for weight and pos_weight, read from element ``origin`` on.
    """
    lanes = np.ones(4 * LANES)
    for chunk in range(first, last):
        total = 0.0
        rest = 0.0
        for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
            stop = min(logits.size, start + BLOCK)
            lanes[:LANES] = 0.0
            for row in range(start, stop, LANES):
                x = logits[row : min(stop, row + LANES)]
                y = targets[row : min(stop, row + LANES)]
                _gather(plans, shape, origin + row, x.size, lanes)
                for lane in range(x.size):
                    lanes[_E + lane] = narrow_exp(abs(widen(x[lane])))
                for lane in range(x.size):
                    sp = narrow_softplus(lanes[_E + lane])
                    inner = narrow_inner(widen(x[lane]), widen(y[lane]), lanes[_P + lane], sp)
                    lanes[lane] += annihilate(lanes[_W + lane], inner)
            total, error = two_sum(total, add_lanes(lanes))
            rest += error
        partials[chunk, 0] = total
        partials[chunk, 1] = rest


@kernel
def sum_weighted_loss_and_gradient(
    logits: Any,
    targets: Any,
    plans: Any,
    shape: Any,
    origin: int,
    gradient: Any,
    scale: float,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """As ``sum_weighted_loss``, with the gradient; see ``fused.sum_loss_and_gradient``."""
    lanes = np.ones(4 * LANES)
    for chunk in range(first, last):
        total = 0.0
        rest = 0.0
        cancelled = 0
        for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
            stop = min(logits.size, start + BLOCK)
            lanes[:LANES] = 0.0
            for row in range(start, stop, LANES):
                x = logits[row : min(stop, row + LANES)]
                y = targets[row : min(stop, row + LANES)]
                g = gradient[row : min(stop, row + LANES)]
                _gather(plans, shape, origin + row, x.size, lanes)
                for lane in range(x.size):
                    lanes[_E + lane] = narrow_exp(abs(widen(x[lane])))
                for lane in range(x.size):
                    sp = narrow_softplus(lanes[_E + lane])
                    inner = narrow_inner(widen(x[lane]), widen(y[lane]), lanes[_P + lane], sp)
                    lanes[lane] += annihilate(lanes[_W + lane], inner)
                for lane in range(x.size):
                    target = widen(y[lane])
                    e = lanes[_E + lane]
                    numerator, larger = narrow_numerator(
                        widen(x[lane]), 1.0 - target, lanes[_P + lane] * target, e
                    )
                    cancelled += 1 if abs(numerator) < NARROW_CANCELLATION * larger else 0
                    value = numerator * (scale * lanes[_W + lane]) / (1.0 + e)
                    cancelled += near_tie(value, x[lane])
                    g[lane] = narrow(value, x[lane])
            total, error = two_sum(total, add_lanes(lanes))
            rest += error
        partials[chunk, 0] = total
        partials[chunk, 1] = rest
        partials[chunk, 2] = cancelled

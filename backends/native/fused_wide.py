"""As ``fused.py`` for float64: pairs inside, an exact sum, and marks for what pairs cannot do.

A chunk in which an element is marked is evaluated again by the engine, loss and gradient both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bce_conformance.backends.native.caching import kernel
from bce_conformance.backends.native.core import (
    HELD,
    WIDE_CANCELLATION,
    wide_exp,
    wide_quotient,
    wide_softplus,
)
from bce_conformance.backends.native.fused import BLOCK, CHUNK, LANES
from bce_conformance.backends.native.primitives import (
    DD,
    dd_times,
    fast_two_sum,
    fma,
    inlined,
    two_product,
    two_sum,
)

# From here on a loss or gradient may be near the smallest normal; nothing below is marked for it.
_LOW = HELD - 10.0


@inlined
def _loss(x: float, away: float, away_rest: float, y: float, sp: float, sp_rest: float) -> DD:
    """c·|x| + log(1 + e), where c = 1 − y for x ≥ 0 and y elsewhere."""
    c = away if x >= 0.0 else y
    c_rest = away_rest if x >= 0.0 else 0.0
    line, line_rest = two_product(c, abs(x))
    value, rest = two_sum(line, sp)
    return value, rest + (line_rest + c_rest * abs(x) + sp_rest)


@inlined
def _add_lanes(sums: Any, rests: Any) -> DD:
    half = LANES // 2
    while half:
        for lane in range(half):
            total, error = two_sum(sums[lane], sums[lane + half])
            sums[lane] = total
            rests[lane] = rests[lane] + rests[lane + half] + error
        half //= 2
    return sums[0], rests[0]


@kernel
def sum_wide_loss(logits: Any, targets: Any, first: int, last: int, partials: Any) -> None:
    """Write the sums of the losses of chunks ``first`` to ``last`` into ``partials[chunk, :]``.

    ``partials[chunk, 2]`` becomes the number of marked elements.
    """
    sums, rests = np.empty(LANES), np.empty(LANES)
    for chunk in range(first, last):
        total = 0.0
        rest = 0.0
        marked = 0
        for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
            stop = min(logits.size, start + BLOCK)
            sums[:] = 0.0
            rests[:] = 0.0
            for row in range(start, stop, LANES):
                x = logits[row : min(stop, row + LANES)]
                y = targets[row : min(stop, row + LANES)]
                for lane in range(x.size):
                    e, e_rest = wide_exp(abs(x[lane]))
                    sp, sp_rest = wide_softplus(e, e_rest)
                    away, away_rest = two_sum(1.0, -y[lane])
                    value, value_rest = _loss(x[lane], away, away_rest, y[lane], sp, sp_rest)
                    sums[lane], error = two_sum(sums[lane], value)
                    rests[lane] += error + value_rest
                    marked += 0 if abs(x[lane]) < _LOW else 1
            value, error = _add_lanes(sums, rests)
            total, carried = two_sum(total, value)
            rest += error + carried
        partials[chunk, 0] = total
        partials[chunk, 1] = rest
        partials[chunk, 2] = marked


@kernel
def sum_wide_loss_and_gradient(
    logits: Any,
    targets: Any,
    gradient: Any,
    count: float,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """As ``sum_wide_loss``, and write the gradient in the logits over ``count``."""
    sums, rests = np.empty(LANES), np.empty(LANES)
    scale = 1.0 / count
    scale_rest = fma(-scale, count, 1.0) / count
    for chunk in range(first, last):
        total = 0.0
        rest = 0.0
        marked = 0
        for start in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK), BLOCK):
            stop = min(logits.size, start + BLOCK)
            sums[:] = 0.0
            rests[:] = 0.0
            for row in range(start, stop, LANES):
                x = logits[row : min(stop, row + LANES)]
                y = targets[row : min(stop, row + LANES)]
                g = gradient[row : min(stop, row + LANES)]
                for lane in range(x.size):
                    e, e_rest = wide_exp(abs(x[lane]))
                    sp, sp_rest = wide_softplus(e, e_rest)
                    away, away_rest = two_sum(1.0, -y[lane])
                    value, value_rest = _loss(x[lane], away, away_rest, y[lane], sp, sp_rest)
                    sums[lane], error = two_sum(sums[lane], value)
                    rests[lane] += error + value_rest
                    n, n_rest, near = _numerator(x[lane], away, away_rest, y[lane], e, e_rest)
                    d, d_rest = fast_two_sum(1.0, e)
                    q, q_rest = wide_quotient(n, n_rest, d, d_rest + e_rest)
                    g[lane], _ = dd_times(q, q_rest, scale, scale_rest)
                    marked += near if abs(x[lane]) < _LOW else 1
            value, error = _add_lanes(sums, rests)
            total, carried = two_sum(total, value)
            rest += error + carried
        partials[chunk, 0] = total
        partials[chunk, 1] = rest
        partials[chunk, 2] = marked


@inlined
def _numerator(
    x: float, away: float, away_rest: float, y: float, e: float, e_rest: float
) -> tuple[float, float, int]:
    """(1 − y) − y·e for x ≥ 0, (1 − y)·e − y elsewhere, and whether it cancels too far."""
    positive = x >= 0.0
    steady = away if positive else -y
    steady_rest = away_rest if positive else 0.0
    factor = -y if positive else away
    factor_rest = 0.0 if positive else away_rest
    moving, moving_rest = two_product(factor, e)
    moving_rest += factor * e_rest + factor_rest * e
    n, n_rest = two_sum(steady, moving)
    near = abs(n) < WIDE_CANCELLATION * abs(moving) and x != 0.0
    return n, n_rest + (steady_rest + moving_rest), 1 if near else 0

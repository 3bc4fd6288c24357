"""As ``fused.py`` for float64: pairs inside, and an exact sum.

What this cannot do (deep cancellation, logits beyond the reach of exp, infinities, NaN) is marked,
left out of the sum, and evaluated one by one afterwards: no element's bits depend on another's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bce_conformance.backends.native.block import FAR, GRAD_LOGITS, LOSS, NEAR
from bce_conformance.backends.native.caching import kernel
from bce_conformance.backends.native.careful import careful
from bce_conformance.backends.native.core import (
    HELD,
    VANISHED,
    WIDE_CANCELLATION,
    wide_exp,
    wide_quotient,
    wide_softplus,
)
from bce_conformance.backends.native.fused import BLOCK, CHUNK, LANES
from bce_conformance.backends.native.narrow_stage import special
from bce_conformance.backends.native.primitives import (
    DD,
    dd_times,
    fast_two_sum,
    fma,
    helper,
    inlined,
    two_product,
    two_sum,
)
from bce_conformance.backends.native.refined import refined_gradient
from bce_conformance.backends.native.wide_element import wide_grad_logits, wide_loss

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

    ``partials[chunk, 2]`` becomes the number of marked elements, whose losses are not in the sum.
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
                    reached = abs(x[lane]) < _LOW
                    sums[lane], error = two_sum(sums[lane], value if reached else 0.0)
                    rests[lane] += error + (value_rest if reached else 0.0)
                    marked += 0 if reached else 1
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
                    reached = abs(x[lane]) < _LOW
                    sums[lane], error = two_sum(sums[lane], value if reached else 0.0)
                    rests[lane] += error + (value_rest if reached else 0.0)
                    n, n_rest, near = _numerator(x[lane], away, away_rest, y[lane], e, e_rest)
                    d, d_rest = fast_two_sum(1.0, e)
                    q, q_rest = wide_quotient(n, n_rest, d, d_rest + e_rest)
                    g[lane], _ = dd_times(q, q_rest, scale, scale_rest)
                    marked += near if reached else 1
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


@helper
def _decided(quantity: int, x: float, y: float, count: float) -> DD:
    if abs(x) < math.inf and abs(y) < math.inf:
        return careful(quantity, x, y, 1.0, 1.0, 1.0, count, 0.0)
    return special(quantity, x, y, 1.0, 1.0, 1.0 / count, 0.0), 0.0


@helper
def _marked_gradient(x: float, y: float, count: float, scale: float, scale_rest: float) -> float:
    """The gradient of one element as pairs or, where they do not suffice, ``careful`` have it."""
    e, e_rest = wide_exp(abs(x))
    value, _, needed = wide_grad_logits(x, y, 1.0, 1.0, e, e_rest, scale, scale_rest, VANISHED)
    if needed == NEAR:
        value, _, trusted = refined_gradient(x, y, 1.0, scale, scale_rest)
        needed = 0 if trusted else FAR
    if needed:
        value, _ = _decided(GRAD_LOGITS, x, y, count)
    return value


@kernel
def repair_wide(
    logits: Any,
    targets: Any,
    gradient: Any,
    with_gradient: bool,
    count: float,
    chunk: int,
    partials: Any,
) -> None:
    """Evaluate one chunk's marked elements, and add their losses to its sum."""
    scale = 1.0 / count
    scale_rest = fma(-scale, count, 1.0) / count
    for i in range(chunk * CHUNK, min(logits.size, (chunk + 1) * CHUNK)):
        x, y = logits[i], targets[i]
        e, e_rest = wide_exp(abs(x))
        if abs(x) < _LOW:
            away, away_rest = two_sum(1.0, -y)
            _, _, near = _numerator(x, away, away_rest, y, e, e_rest)
            if near and with_gradient:
                gradient[i] = _marked_gradient(x, y, count, scale, scale_rest)
            continue
        sp, sp_rest = wide_softplus(e, e_rest)
        value, rest, needed = wide_loss(x, y, 1.0, 1.0, sp, sp_rest, VANISHED)
        if needed:
            value, rest = _decided(LOSS, x, y, count)
        partials[chunk, 0], error = two_sum(partials[chunk, 0], value)
        partials[chunk, 1] += error + rest
        if with_gradient:
            gradient[i] = _marked_gradient(x, y, count, scale, scale_rest)

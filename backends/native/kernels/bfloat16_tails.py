"""As ``sum_half.py`` for groups with bfloat16 logits whose exp(−|x|) is about to leave float32.

The exponential is kept 2^104 larger, so that it stays normal; gradients are rounded once to
bfloat16, subnormals included, and marked where float32 does not decide them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arithmetic.functions import narrow_log1p, single_exp
from ..arithmetic.half import bfloat16_of_raised, lowering, single_of_half
from ..arithmetic.intrinsics import helper, inlined, signed_single
from ..element.float32 import raised_gradient, raised_step
from ..memory.chunks import EXPS, GROUP, LANES, SIZE

# Behind what ``chunks.py`` lays out: rows of linear terms and of products.
TOTALS = SIZE
RAISED = SIZE + LANES
TAIL_SIZE = SIZE + 2 * LANES

# Adding this rounds to an integer k, and leaves k + 104 in the low bits of the sum.
_ROUNDER = np.float32(1.5 * 2.0**23 + 104)
# exp(−a) is clamped here: 2^39 of them still vanish beside the smallest bfloat16.
_CLAMPED = np.float32(120)
# The smallest normal bfloat16, raised.
_NORMAL = np.float32(2.0**-22)


@helper
def tail_exps(x: Any, s: Any) -> None:
    """exp(−|x|), raised."""
    for i in range(x.size):
        a = abs(single_of_half(x[i]))
        s[EXPS + i] = single_exp(_CLAMPED if a > _CLAMPED else a, _ROUNDER)


@helper
def tail_sums(x: Any, y: Any, s: Any) -> None:
    """Losses, added to the lanes row by row."""
    if x.size == GROUP:
        for lane in range(LANES):
            total, product = s[TOTALS + lane], s[RAISED + lane]
            for row in range(GROUP // LANES):
                i = lane + row * LANES
                total, product = raised_step(
                    single_of_half(x[i]), single_of_half(y[i]), s[EXPS + i], total, product
                )
            s[TOTALS + lane], s[RAISED + lane] = total, product
    else:
        for i in range(x.size):
            lane = i % LANES
            s[TOTALS + lane], s[RAISED + lane] = raised_step(
                single_of_half(x[i]),
                single_of_half(y[i]),
                s[EXPS + i],
                s[TOTALS + lane],
                s[RAISED + lane],
            )


@helper
def tail_gradients(x: Any, y: Any, g: Any, scale: Any, s: Any, marks: Any) -> None:
    """See ``sum_half._gradients``."""
    for i in range(x.size):
        value, margin = raised_gradient(
            single_of_half(x[i]), single_of_half(y[i]), s[EXPS + i], scale
        )
        size = abs(value)
        tiny = size < _NORMAL
        value = value + signed_single(_NORMAL, value) if tiny else value
        offset = lowering(size, tiny)
        low = bfloat16_of_raised(value - margin, offset)
        # Where anything overflows, so does the margin, and the ends are NaN and infinite.
        high = bfloat16_of_raised(value + margin, offset)
        g[i] = low
        marks[i] = low != high


@inlined
def tail_lane(s: Any, lane: int) -> float:
    """The losses of a lane."""
    curve = narrow_log1p(float(s[RAISED + lane]) * 2.0**-104)
    return curve + float(s[TOTALS + lane]) * 2.0**8

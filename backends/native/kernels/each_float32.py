"""Losses and gradients of elements, each for itself: unweighted, reduction ``none``, float32.

Contiguous operands, and the formulas of ``general.py`` in float64, so that the bits are its own;
what makes this faster is that nothing is gathered, scattered or marked element by element. Groups
in which float64 does not decide a result are left to ``general.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arithmetic import vectors as v
from ..arithmetic.functions import narrow_exp, narrow_softplus
from ..arithmetic.half import narrow, sticky, widen
from ..arithmetic.intrinsics import as_bits, helper
from ..compiled import default_mode, kernel, restore_mode
from ..element.float64 import cancels, narrow_element, narrow_gradient
from ..element.ladder import from_pairs
from ..element.quantities import GRAD_LOGITS, LOSS, Element
from ..memory.chunks import CHUNK, GROUP

# Elements that go through each loop before the next does.
_ROW = 512
# The bits of the largest finite float64.
_LARGEST = 0x7FEF_FFFF_FFFF_FFFF


@helper
def _exps(x: Any, b: Any) -> None:
    for i in range(x.size):
        b[i] = narrow_exp(abs(widen(x[i])))


@helper
def _losses(x: Any, y: Any, b: Any, out: Any) -> bool:
    """Losses; whether one is not finite."""
    undecided = 0
    for i in range(x.size):
        of = Element(widen(x[i]), widen(y[i]), 1.0, 1.0, 1.0, 1.0)
        value, _ = narrow_element(LOSS, of, b[i], narrow_softplus(b[i]), 1.0)
        undecided |= _LARGEST - as_bits(abs(value))
        out[i] = narrow(value, x[i])
    return undecided < 0


@helper
def _gradients(x: Any, y: Any, c: Any, b: Any, out: Any) -> bool:
    """Gradients, times the cotangents ``c``; whether one cancels or is not finite."""
    undecided = 0
    for i in range(x.size):
        target = widen(y[i])
        value, numerator, steady = narrow_gradient(
            widen(x[i]), 1.0 - target, target, b[i], widen(c[i])
        )
        undecided |= cancels(numerator, steady) | (_LARGEST - as_bits(abs(value)))
        out[i] = narrow(value, x[i])
    return undecided < 0


@kernel
def each_single(
    x: Any,
    y: Any,
    c: Any,
    loss: Any,
    gradient: Any,
    wanted: int,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """Write the losses, gradients or both of chunks ``first`` to ``last``.

    Args:
        x: logits.
        y: targets.
        c: cotangents; without elements, ones.
        loss: receives the losses where ``wanted & 1``.
        gradient: receives the gradients in the logits where ``wanted & 2``.
        wanted: 1, 2 or 3.
        first: first chunk.
        last: one past the last chunk.
        partials: ``partials[chunk, 2]`` becomes a number with a bit for each group of the chunk,
            set where ``general.py`` has to evaluate an element.
    """
    mode = default_mode()
    b = np.empty(_ROW)
    ones = np.ones(_ROW, np.float32)
    for chunk in range(first, last):
        undecided = 0
        for start in range(chunk * CHUNK, min(x.size, (chunk + 1) * CHUNK), _ROW):
            n = min(_ROW, x.size - start)
            logits = v.array_at(v.address(x, start), n)
            targets = v.array_at(v.address(y, start), n)
            _exps(logits, b)
            is_open = False
            if wanted & 1:
                out = v.array_at(v.address(loss, start), n)
                is_open |= _losses(logits, targets, b, out)
            if wanted & 2:
                factors = v.address(c, start) if c.size else v.address(ones, 0)
                out = v.array_at(v.address(gradient, start), n)
                is_open |= _gradients(logits, targets, v.array_at(factors, n), b, out)
            if is_open:
                undecided |= 1 << (start - chunk * CHUNK) // GROUP
        partials[chunk, 2] = undecided
    restore_mode(mode)


@kernel
def decide(
    x: Any,
    y: Any,
    g: Any,
    cotangent: float,
    count: float,
    length: int,
    first: int,
    last: int,
    partials: Any,
) -> None:
    """Evaluate gradients that float64 does not decide in pairs or above, those of a sum or mean.

    ``partials[chunk, 2]`` has a bit for each row of ``length`` elements in which some may be.
    """
    mode = default_mode()
    scale = cotangent / count
    for chunk in range(first, last):
        rows = int(partials[chunk, 2])
        for row in range(CHUNK // length):
            start = chunk * CHUNK + row * length
            for i in range(start, min(x.size, start + length) if rows >> row & 1 else start):
                logit, target = widen(x[i]), widen(y[i])
                e = narrow_exp(abs(logit))
                value, numerator, steady = narrow_gradient(logit, 1.0 - target, target, e, scale)
                if cancels(numerator, steady) < 0 or not abs(value) < math.inf:
                    of = Element(logit, target, 1.0, 1.0, cotangent, 1.0)
                    value, rest = from_pairs(np.int64(GRAD_LOGITS), of, count, True, np.int64(24))
                    g[i] = narrow(sticky(value, rest), x[i])
    restore_mode(mode)

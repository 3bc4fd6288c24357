"""exp(−a) of sixteen float32 at once, as a pair of float32 that is good to 2^-27.6 of it.

−a = n·ln 2/4 + r exactly, and exp(−a) = 2^(n/4)·(1 + w), w = exp(r) − 1. 2^(n/4) comes from a
table of four that a register holds, so that |w| < 2^-3 and its rounding, the largest error of all,
stays below 2^-28. Long loops run faster in two, ``reduced`` and ``expanded``: a processor looks
ahead no further than through one or two elements of the whole. ACCURACY.md derives the bound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import vectors as v
from .coefficients import (
    EXP_VECTOR,
    QUARTER_LN2,
    QUARTER_LN2_EXCESS,
    QUARTERS_A_LN2,
    ROOT_RESTS,
    ROOTS,
)
from .intrinsics import inlined

# exp(−a) is a pair of normal numbers up to here, and nearly so beyond |a| = 70.
LARGEST = 80.0


def _word(value: float) -> int:
    return int(np.float32(value).view(np.int32))


# Adding this rounds to an integer n, and leaves n in the low bits of the sum.
_rounder = v.constant(1.5 * 2.0**23)
_steps = v.constant(QUARTERS_A_LN2)
_step = v.constant(QUARTER_LN2)
_excess = v.constant(QUARTER_LN2_EXCESS)
_q0, _q1, _q2, _q3 = (v.constant(coefficient) for coefficient in EXP_VECTOR)
# n's two low bits choose a root; n times 2^21 adds n/4 to the exponent, and j/4 too many.
_root = v.table_of_four([_word(root) - (j << 21) for j, root in enumerate(ROOTS)])
_root_rest = v.table_of_four([_word(rest) for rest in ROOT_RESTS])
_exponents = v.shifted_left(21)


@inlined
def reduced(minus_a: Any) -> tuple[Any, Any, Any]:
    """r, the rest by which r + rest = −a − n·ln 2/4 − log(2^(n/4)/root), and the root.

    ``minus_a`` is not positive and not below −LARGEST.
    """
    t = v.fma(minus_a, _steps(), _rounder())
    n = v.subtract(t, _rounder())
    r = v.fnma(n, _step(), minus_a)  # exact
    rest = v.fma(n, _excess(), _root_rest(t))
    return r, rest, v.integer_sum(_exponents(t), _root(t))


@inlined
def expanded(r: Any, rest: Any, root: Any) -> tuple[Any, Any]:
    """The pair exp(−a) of what ``reduced`` returns."""
    q = v.fma(v.fma(v.fma(_q3(), r, _q2()), r, _q1()), r, _q0())
    w = v.fma(v.multiply(r, r), q, r)
    e = v.fma(root, w, root)
    lost = v.fma(root, w, v.subtract(root, e))  # the difference is exact
    return e, v.fma(e, rest, lost)

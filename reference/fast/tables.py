"""The constants of the fast path, each rounded from a certified enclosure or an exact fraction.

Guarantees: every pair (high, low) is within 2^-106 of the real constant, relatively; ``LN2_STEP_1``
has so few bits that its product with any step count is exact.
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial, frexp, ldexp

import numpy as np
from gmpy2 import mpz

from bce_conformance.reference.slow.enclosure import exp_fixed, ln2_fixed, log_ratio

_SCALE = 256  # bits of the enclosures that the tables are rounded from
STEPS = 512  # e^−t = 2^(−k/512)·e^r
LOG_STEPS = 256  # log(1+E) from c = 1 + j/256
INVERSE_BITS = 16


def _pair(value: Fraction) -> tuple[float, float]:
    high = float(value)
    return high, float(value - Fraction(high))


def _fixed(value: mpz) -> Fraction:
    return Fraction(int(value), 1 << _SCALE)


LN2 = _fixed(ln2_fixed(_SCALE))
_STEP = LN2 / STEPS
# 28 bits, cut off: k < 2^25 steps times it needs 53.
_MAN, _EXP = frexp(float(_STEP))
LN2_STEP_1 = ldexp(int(_MAN * 2**28), _EXP - 28)
LN2_STEP_2, LN2_STEP_3 = _pair(_STEP - Fraction(LN2_STEP_1))
STEPS_PER_UNIT = float(1 / _STEP)

_POWERS = [
    _pair(_fixed(exp_fixed(ln2_fixed(_SCALE) * j // STEPS, _SCALE)[0])) for j in range(STEPS)
]
POWER_HIGH = np.array([high for high, _ in _POWERS])
POWER_LOW = np.array([low for _, low in _POWERS])

# 2^(−k/512) − 1 as far as t < 1 needs it: near k = 0, the pairs above less 1 would be too coarse.
LAST_SMALL_STEP = 740
_SMALL = [
    _pair(
        Fraction(int(exp_fixed(ln2_fixed(_SCALE) * (-k % STEPS) // STEPS, _SCALE)[0]), 1 << _SCALE)
        / (1 << -(-k // STEPS))
        - 1
    )
    for k in range(LAST_SMALL_STEP + 1)
]
SMALL_HIGH = np.array([high for high, _ in _SMALL])
SMALL_LOW = np.array([low for _, low in _SMALL])

_INVERSES = [
    round(Fraction(LOG_STEPS << INVERSE_BITS, LOG_STEPS + j)) for j in range(LOG_STEPS + 1)
]
INVERSE = np.array([inverse / (1 << INVERSE_BITS) for inverse in _INVERSES])
_LOGS = [_pair(_fixed(log_ratio(1 << INVERSE_BITS, inverse, _SCALE))) for inverse in _INVERSES]
LOG_HIGH = np.array([high for high, _ in _LOGS])
LOG_LOW = np.array([low for _, low in _LOGS])

# 1/n! and 1/n: pairs where a pair is needed, single numbers above.
_FACTORIAL = [_pair(Fraction(1, factorial(n))) for n in range(11)]
_RECIPROCAL = [_pair(Fraction(1, max(1, n))) for n in range(14)]
EXP2H, EXP2L = _FACTORIAL[2]
EXP3H, EXP3L = _FACTORIAL[3]
EXP4H, EXP4L = _FACTORIAL[4]
EXP5, EXP6, EXP7, EXP8, EXP9, EXP10 = (high for high, _ in _FACTORIAL[5:])
LOG2H, LOG2L = _RECIPROCAL[2]
LOG3H, LOG3L = _RECIPROCAL[3]
LOG4H, LOG4L = _RECIPROCAL[4]
LOG5H, LOG5L = _RECIPROCAL[5]
LOG6, LOG7, LOG8, LOG9, LOG10, LOG11, LOG12, LOG13 = (high for high, _ in _RECIPROCAL[6:])

"""Numbers that the arithmetic is tried on, and the exact results that it is held against.

Guarantees the same numbers in every run: what is drawn here, in the order of this module, and by
the fixture ``same_draws`` what a test draws.
"""

import math

import numpy as np
from mpmath import mp, mpf

POINTS = 400
RANDOM = np.random.default_rng(20261128)
LN2 = math.log(2)


def relative(got, exact):
    """|got − exact|/|exact|, ``got`` being the sum of several float64."""
    return abs(mp.fsum(map(mpf, got)) - exact) / abs(exact)


def signed(size, low=-300, high=300):
    """Random signs, significands and exponents; every other significand is short, for ties."""
    significand = RANDOM.uniform(1, 2, size)
    significand[::2] = np.round(significand[::2] * 64) / 64
    return RANDOM.choice([-1, 1], size) * np.ldexp(significand, RANDOM.integers(low, high, size))


def pairs(heads):
    """Heads with rests of up to half a unit, that are random, extreme or 0."""
    part = RANDOM.choice([0, 1, -1, 2, -2], heads.size)
    part = np.where(np.abs(part) == 2, np.sign(part) * RANDOM.uniform(0, 1, heads.size), part)
    rests = part * np.spacing(np.abs(heads)) * 0.499
    return list(zip(heads.tolist(), rests.tolist(), strict=True))


def quads(size, low=-300, high=300):
    """Random ones of 212 bits, some of them with parts that are 0 or extreme."""
    found = []
    for at, exponent in enumerate(RANDOM.integers(low, high, size).tolist()):
        head = float(RANDOM.choice([-1, 1]) * RANDOM.uniform(0.5, 1))
        parts = [math.copysign(0.5, head) if at % 3 == 1 else head, 0.0, 0.0, 0.0]
        if at % 3 == 2:
            for i in range(1, 4):
                share = RANDOM.choice([-0.499, 0.499, *RANDOM.uniform(-0.5, 0.5, 2)])
                parts[i] = float(share * np.spacing(abs(parts[i - 1])))
        found.append((*parts, exponent))
    return found


def value(quad):
    return mp.ldexp(mp.fsum(quad[:4]), quad[4])


def nearest(exact):
    """The float64 nearest to a rational, ties to even, subnormals and overflow included."""
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.copysign(math.inf, exact)


def arguments(limit):
    """0 to ``limit``: random, tiny, and beside the middle between two multiples of ln 2."""
    middles = (np.arange(0, limit / LN2 - 1, max(1, limit / LN2 // 100)) + 0.5) * LN2
    values = [RANDOM.uniform(0, limit, POINTS), 10.0 ** RANDOM.uniform(-20, 0, POINTS), middles]
    values += [np.nextafter(middles, 0), np.nextafter(middles, np.inf), [0.0, 5e-324, limit]]
    return np.concatenate(values).tolist()


def fractions_of_one():
    """From 0, exclusive, to 1: random, tiny, and next to 1."""
    values = [RANDOM.uniform(0, 1, POINTS), 2.0 ** RANDOM.uniform(-700, 0, POINTS)]
    return np.concatenate([*values, 1 - 2.0 ** -RANDOM.integers(1, 53, 20), [1.0]])


# The order of what follows decides what is drawn.

HEADS = signed(POINTS).tolist()
FACTORS = RANDOM.choice([1, -1, 2**-53, -(2**-53), 3, -0.5], POINTS)


LEFT = pairs(signed(3 * POINTS, -100, 100))
RIGHT = pairs(signed(3 * POINTS, -100, 100))
BY = RANDOM.choice([0.5, 1, 2, 4], len(LEFT)).tolist()


QUADS = quads(POINTS)
OTHERS = quads(POINTS)
SHIFTS = RANDOM.integers(-2, 3, POINTS).tolist()
PRODUCTS = np.concatenate(
    [
        fractions_of_one(),
        2.0 ** RANDOM.uniform(0, 52, POINTS),
        2.0 ** np.arange(-0.5, 52),
        np.nextafter(2.0 ** np.arange(0.5, 52) - 1, np.inf),
    ]
)

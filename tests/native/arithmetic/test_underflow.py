"""Raised numbers against exact rationals: what is lowered is rounded once."""

import math
from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp, mpf

from bce_conformance.native.arithmetic import underflow
from tests.native.arithmetic.draws import LEFT, RANDOM, arguments, nearest, relative

pytestmark = pytest.mark.usefixtures("same_draws")


def test_the_raised_exponential():
    for a in arguments(999.0):
        exact = mp.ldexp(mp.exp(-mpf(a)), underflow.RAISED)
        assert relative(underflow.raised_exp(a), exact) < mpf(2) ** -63, a


def raised_numbers():
    """Values ≥ 0 from below the smallest float64 to well above the smallest normal, raised."""
    unit = 2.0 ** (underflow.RAISED - 1074)
    for exponent in RANDOM.integers(-1078, -1000, 600).tolist():
        yield math.ldexp(RANDOM.uniform(1, 2), exponent + underflow.RAISED)
    for halves in [0, 1, 2, 3, 4, 5, 7, 2**40 + 1, 2**53 - 3, 2**53 - 1, 2**53]:
        yield halves * unit / 2


def test_lowered_numbers_are_rounded_once():
    tried = 0
    for number in raised_numbers():
        for part in (0, 0.49, -0.49, 2.0**-40, -(2.0**-40)):
            rest = part * float(np.spacing(number))
            if number == 0 and rest != 0:
                continue
            exact = (Fraction(number) + Fraction(rest)) / Fraction(2) ** underflow.RAISED
            expected = nearest(exact)
            assert underflow.lowered(number, rest) == expected, (number, rest)
            for sign in (1, -1):
                got, more = underflow.lowered_pair(sign * number, sign * rest)
                assert got == sign * expected
                assert math.copysign(1, got) == sign or number == 0
                if number >= math.ldexp(1.0, underflow.RAISED - 1000):
                    error = Fraction(got) + Fraction(more) - sign * exact
                    assert abs(error) <= Fraction(2) ** -1074
                tried += 1
    assert tried > 5000


def ulps(got, exact):
    """The error of a float64, in units of the last place at ``exact``."""
    unit = Fraction(2) ** max(math.frexp(float(exact))[1] - 53, -1074)
    return abs(Fraction(got) - exact) / unit


def test_quotients_are_rounded_once():
    counts = RANDOM.integers(1, 2**40, len(LEFT)).tolist()
    for (total, rest), count in zip(LEFT, counts, strict=True):
        exact = (Fraction(total) + Fraction(rest)) / count
        got = underflow.quotient(total, rest, float(count))
        assert ulps(got, exact) <= Fraction(1, 2) + Fraction(1, 2**10), (total, rest, count)
    assert underflow.quotient(math.inf, math.nan, 3.0) == math.inf


def test_raised_sums_are_rounded_once():
    for number in list(raised_numbers())[:200]:
        more = 0.49 * float(np.spacing(number))
        for total in [0.0, 1.0, 1e-130, 1e-307, 3e-310, 5e-324]:
            rest = total * 2.0**-54
            for count in (1.0, 3.0, 2.0**40 + 1):
                exact = (Fraction(number) + Fraction(more)) / Fraction(2) ** underflow.RAISED
                exact = (exact + Fraction(total) + Fraction(rest)) / Fraction(count)
                got = underflow.raised_quotient(total, rest, number, more, count)
                bound = Fraction(1, 2) + Fraction(1, 2**10)
                assert ulps(got, exact) <= bound, (total, number, count)

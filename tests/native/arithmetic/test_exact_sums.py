"""Exact sums against mpmath, and what cancels or leaves every format's range."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from mpmath import mp

from bce_conformance.native.arithmetic.exact_sums import UNIT, exact_sum, integer


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1.0, -2.5, 5e-324, -1e-310, 2.0**-1022, np.finfo(float).max, 0.1]
)
def test_integers_are_exact(value):
    assert Fraction(integer(value), 2**UNIT) == Fraction(value)


@pytest.mark.parametrize("logarithm", [True, False])
@pytest.mark.parametrize("constant", [0, 1, -(10**6)])
def test_sums_are_those_of_mpmath(logarithm, constant):
    random = np.random.default_rng(3)
    for _ in range(40):
        logits = np.exp(random.uniform(-20, 7, random.integers(1, 6)))
        terms = {float(a): int(random.integers(-9, 10)) for a in logits}
        found = exact_sum(constant, terms, 3, 7.0, logarithm=logarithm)
        with mp.workprec(3000):
            powers = {a: mpmath.exp(-mpmath.mpf(a)) for a in terms}
            f = mpmath.log1p if logarithm else (lambda e: e / (1 + e))
            exact = (constant + mpmath.fsum(c * f(powers[a]) for a, c in terms.items())) / 56
            assert abs(found - exact) <= max(abs(exact) * 2.0**-52, mpmath.mpf(2) ** -1074)
            assert exact == 0 or math.copysign(1, found) == mpmath.sign(exact)


@pytest.mark.parametrize(
    ("constant", "terms", "logarithm", "sign"),
    [
        (0, {1e308: 1}, True, 1),
        (0, {1e308: -1, 1e300: 0}, False, -1),
        (0, {1e30: -1, np.nextafter(1e30, 2e30): 10**4000}, True, -1),
        (0, {800.0: -1, 801.0: 2}, False, -1),
        (0, {800.0: -1, 801.0: 3}, False, 1),
    ],
)
def test_what_underflows_keeps_the_sign_of_the_leading_term(constant, terms, logarithm, sign):
    found = exact_sum(constant, terms, 3 * UNIT, 1.0, logarithm=logarithm)
    assert found == 0
    assert math.copysign(1, found) == sign


def test_terms_of_vast_coefficients_count_however_small_their_function():
    # (−1 + 0.99)·2^200·e^-800, and (−1 + 1.01)·2^200·e^-800.
    for factor, sign in ((0.99, -1), (1.01, 1)):
        with mp.workprec(3000):
            vast = int(mpmath.exp(5000) * 2**200 * factor)
        terms = {800.0: -(2**200), 5800.0: vast}
        found = exact_sum(0, terms, 0, 1.0, logarithm=False)
        assert math.copysign(1, found) == sign
        assert found == pytest.approx(sign * 0.01 * 2.0**200 * math.exp(-400) ** 2, rel=1e-9)


def test_cancellation_leaves_what_is_left():
    # 1/2 − σ(−a) = a/4 for a tiny a.
    assert exact_sum(1, {1e-200: -2}, 1, 1.0, logarithm=False) == pytest.approx(2.5e-201, rel=1e-15)
    assert exact_sum(-1, {0.0: 2}, 0, 1.0, logarithm=False) == 0
    assert exact_sum(0, {3.0: 0}, 0, 1.0, logarithm=True) == 0
    # A term of e^-1000 beside a constant that it nearly cancels with another one of.
    assert exact_sum(2**1500, {1000.0: -(2**1500)}, 1500, 1.0, logarithm=True) == 1.0

"""Pairs of float64 against exact rationals and mpmath: every operation keeps its bound."""

import math
from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp, mpf

from bce_conformance.native.arithmetic import double_double
from tests.native.arithmetic.draws import BY, FACTORS, HEADS, LEFT, RIGHT, relative

pytestmark = pytest.mark.usefixtures("same_draws")


NEAR = (np.array(HEADS) * FACTORS).tolist()
NEXT = [-math.nextafter(a, math.inf) for a in HEADS]
OPERANDS = list(zip(3 * HEADS, NEAR + NEXT + HEADS[::-1], strict=True))
OPERANDS += [(0.0, 1.0), (1.0, 0.0), (-0.0, 0.0), (1.0, 2.0**-53), (1.0, -(2.0**-54)), (1.5, 1e300)]


def test_two_sum_is_exact():
    for a, b in OPERANDS:
        total, error = double_double.two_sum(a, b)
        assert total == a + b
        assert Fraction(total) + Fraction(error) == Fraction(a) + Fraction(b), (a, b)


def test_fast_two_sum_is_exact_where_the_first_is_larger():
    for a, b in OPERANDS:
        a, b = (a, b) if abs(a) >= abs(b) or a == 0 else (b, a)
        total, error = double_double.fast_two_sum(a, b)
        assert total == a + b
        assert Fraction(total) + Fraction(error) == Fraction(a) + Fraction(b), (a, b)


def test_two_product_is_exact():
    for a, b in OPERANDS:
        product, error = double_double.two_product(a, b)
        assert product == a * b
        assert Fraction(product) + Fraction(error) == Fraction(a) * Fraction(b), (a, b)


CLOSE = [(high * by, low * by) for (high, low), by in zip(LEFT, BY, strict=True)]


def test_products_of_pairs():
    for a, b in [*zip(LEFT, RIGHT, strict=True), *zip(LEFT, CLOSE, strict=False)]:
        got = double_double.dd_times(*a, *b)
        assert relative(got, mp.fsum(a) * mp.fsum(b)) < mpf(2) ** -102, (a, b)
        assert got[0] == got[0] + got[1]


def test_sums_of_pairs():
    for a, b in [*zip(LEFT, RIGHT, strict=True), *zip(LEFT, CLOSE, strict=False)]:
        b = tuple(math.copysign(1, a[0]) * math.copysign(1, b[0]) * part for part in b)
        got = double_double.dd_plus(*a, *b)
        larger = max(abs(mp.fsum(a)), abs(mp.fsum(b)))
        assert abs(mp.fsum(got) - mp.fsum([*a, *b])) < mpf(2) ** -103 * larger, (a, b)
        assert got[0] == got[0] + got[1]


def test_quotients_of_pairs():
    for a, b in [*zip(LEFT, RIGHT, strict=True), *zip(LEFT, CLOSE, strict=False)]:
        got = double_double.wide_quotient(*a, *b)
        assert relative(got, mp.fsum(a) / mp.fsum(b)) < mpf(2) ** -100, (a, b)

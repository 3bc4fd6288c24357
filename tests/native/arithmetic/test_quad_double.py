"""Numbers of 200 bits and more against mpmath and exact rationals."""

import math
from fractions import Fraction

import pytest
from mpmath import mp, mpf

from bce_conformance.native.arithmetic import quad_double
from tests.native.arithmetic.draws import (
    HEADS,
    LN2,
    OTHERS,
    POINTS,
    QUADS,
    RANDOM,
    SHIFTS,
    nearest,
    quads,
    value,
)

pytestmark = pytest.mark.usefixtures("same_draws")


ALIKE = [(*quad[:4], quad[4] + by) for quad, by in zip([*QUADS[1:], QUADS[0]], SHIFTS, strict=True)]


def normal(quad):
    return quad[0] == 0 or (0.5 <= abs(quad[0]) <= 1 and quad[0] == quad[0] + quad[1])


def test_a_float64_is_a_quad():
    for number in [*HEADS, 5e-324, -1.7976931348623157e308, 0.0]:
        quad = quad_double.quad(number)
        assert value(quad) == mpf(number)
        assert normal(quad)


def test_sums_of_quads():
    for a, b in [*zip(QUADS, OTHERS, strict=True), *zip(QUADS, ALIKE, strict=False)]:
        got = quad_double.plus(a, b)
        larger = max(abs(value(a)), abs(value(b)))
        assert abs(value(got) - value(a) - value(b)) < mpf(2) ** -205 * larger, (a, b)
        assert normal(got)
    for a in QUADS:
        assert quad_double.plus(a, quad_double.minus(a))[0] == 0.0
        assert quad_double.plus(a, quad_double.quad(0.0)) == a


def test_products_and_quotients_of_quads():
    for a, b in [*zip(QUADS, OTHERS, strict=True), *zip(QUADS, ALIKE, strict=False)]:
        got = quad_double.times(a, b)
        assert abs(value(got) / (value(a) * value(b)) - 1) < mpf(2) ** -205, (a, b)
        assert normal(got)
    for a in QUADS:
        assert abs(value(quad_double.inverse(a)) * value(a) - 1) < mpf(2) ** -200, a
        for n in (2.0, 3.0, 7.0, 18.0):
            got = value(quad_double.over(a, n))
            assert abs(got * n / value(a) - 1) < mpf(2) ** -205, (a, n)


def test_the_exponential_of_quads():
    for a in [*RANDOM.uniform(0, 800, 40), *2.0 ** RANDOM.uniform(-80, 0, 40), LN2 / 2, 0.0]:
        e = quad_double.exponential(quad_double.quad(float(a)), math.floor(0.5 - a / LN2))
        assert abs(value(e) / mp.exp(-mpf(a)) - 1) < mpf(2) ** -200, a


def test_softplus_of_quads():
    moderate, tiny = 2.0 ** RANDOM.uniform(-60, 0, 30), 2.0 ** RANDOM.uniform(-900, -60, 30)
    for head in [*moderate, *tiny, 1.0, 2.0**-60, 2.0**-61]:
        rest = head * 2.0**-60 if head < 1 else 0.0
        e = quad_double.plus(quad_double.quad(float(head)), quad_double.quad(float(rest)))
        exact = mp.log1p(value(e))
        error = abs(value(quad_double.softplus(e)) - exact)
        assert error < (mpf(2) ** -200 if head >= 2.0**-61 else mpf(2) ** -200 * exact), head


def test_quads_just_below_a_middle_are_rounded_down():
    """The sum of the parts is the middle itself; what it leaves out decides."""
    assert quad_double.rounded((0.75, -(2.0**-60), 0.0, 0.0, -1073)) == (5e-324, 0.0)


def test_quads_are_rounded_once():
    cases = [*quads(POINTS, -1090, -1015), *quads(40, -400, 400)]
    for exponent in range(-1075, -1019):
        for steps in (0.5, 0.75, 0.625, 0.5 + 2.0**-30, 1 - 2.0**-53, 0.5 + 2.0**-52):
            for rest in (0.0, 2.0**-60, -(2.0**-60)):
                cases.append((steps, rest, 0.0, 0.0, exponent))
    subnormal = 0
    for quad in cases:
        got, rest = quad_double.rounded(quad)
        exact = sum(map(Fraction, quad[:4])) * Fraction(2) ** quad[4]
        if quad[4] <= -1021:
            assert (got, rest) == (nearest(exact), 0.0), quad
            subnormal += 1
        else:
            assert got == nearest(exact), quad
            bound = abs(exact) * Fraction(2) ** -105 + Fraction(2) ** -1074
            assert abs(Fraction(got) + Fraction(rest) - exact) <= bound, quad
    assert subnormal > 300
    assert quad_double.rounded((0.5, 0.0, 0.0, 0.0, 1026))[0] == math.inf

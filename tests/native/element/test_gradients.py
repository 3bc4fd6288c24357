"""The gradient in the logits in float64 and in extended precision, against mpmath."""

import math
from fractions import Fraction

import pytest
from mpmath import mp, mpf

from bce_conformance.native.arithmetic import functions
from bce_conformance.native.element import extended, float64
from tests.native.arithmetic.draws import POINTS, RANDOM, arguments, relative

pytestmark = pytest.mark.usefixtures("same_draws")


def test_the_extended_exponential():
    for a in arguments(670.0):
        assert relative(extended.extended_exp(a), mp.exp(-mpf(a))) < mpf(2) ** -98, a


def exact_gradient(x, y, p):
    e = mp.exp(-abs(mpf(x)))
    away, towards = 1 - mpf(y), mpf(p) * mpf(y)
    return (away - towards * e if x >= 0 else away * e - towards) / (1 + e)


def test_gradients_in_float64_are_accurate_where_they_are_not_marked():
    marked = 0
    for _ in range(3 * POINTS):
        x = float(RANDOM.choice([-1, 1]) * 10.0 ** RANDOM.uniform(-8, 1.5))
        y, p = RANDOM.uniform(), float(RANDOM.choice([1.0, RANDOM.uniform(0, 9)]))
        if RANDOM.uniform() < 0.5:
            y = 1 / (1 + math.exp(-x)) * (1 + float(RANDOM.choice([0, 2.0**-12, 2.0**-8])))
        e = functions.narrow_exp(abs(x))
        got, numerator, steady = float64.narrow_gradient(x, 1.0 - y, p * y, e, 0.75)
        if abs(numerator) < float64.NARROW_CANCELLATION * steady:
            marked += 1
        else:
            assert relative([got], exact_gradient(x, y, p) * 0.75) < mpf(2) ** -28.4, (x, y, p)
    assert 10 < marked < POINTS


def test_extended_gradients_have_58_bits_where_they_are_trusted():
    trusted = 0
    for _ in range(POINTS):
        x = float(RANDOM.uniform(-30, 30))
        y = 1 / (1 + math.exp(-x)) * (1 + float(RANDOM.choice([0, 2.0**-30, -(2.0**-11)])))
        scale, rest = 1 / 3, (1 - 3 * Fraction(1 / 3)) / 3
        value, low, good = extended.extended_gradient(x, y, 1.0, scale, float(rest))
        if good and x != 0:
            trusted += 1
            assert relative([value, low], exact_gradient(x, y, 1.0) / 3) < mpf(2) ** -58, (x, y)
    assert trusted > POINTS // 2

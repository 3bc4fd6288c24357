"""Elements with coefficients and logits of any size, against mpmath: what is decided is nearest."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp, mpf

from bce_conformance.native.element import quantities as q
from bce_conformance.native.element.ladder import evaluate
from bce_conformance.native.element.quantities import Element
from bce_conformance.native.element.scaled import scaled_element
from tests.native.arithmetic.draws import POINTS, RANDOM

pytestmark = pytest.mark.usefixtures("same_draws")

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 5e-324, 2.0**-1022, 1.7e308, 1 - 2.0**-53, 3e-310]


def coefficient():
    kind = RANDOM.integers(3)
    if kind == 0:
        return float(RANDOM.choice(EDGES))
    exponent = int(RANDOM.integers(-1070, 1023) if kind == 1 else RANDOM.integers(-40, 40))
    return float(RANDOM.choice([-1, 1])) * math.ldexp(RANDOM.uniform(1, 2), exponent)


def drawn():
    logit = float(RANDOM.choice([5.0, 800.0, 8000.0])) * RANDOM.uniform(-1, 1)
    logit = coefficient() if RANDOM.uniform() < 0.2 else logit
    return Element(logit, *(coefficient() for _ in range(5)))


def exact(quantity, of, count):
    """The quantity to 300 digits, as long as exp(−|x|) has a part in it."""
    x, y, w, p, c, v = map(mpf, of)
    x = max(min(x, mpf(10) ** 5), -(mpf(10) ** 5)) if quantity in (q.GRAD_LOGITS, q.HESSIAN) else x
    e = mp.exp(-min(abs(x), mpf(10) ** 5))
    small = mp.log1p(e)
    up, down = (x + small, small) if x >= 0 else (small, small - x)
    inner = (1 - y) * up + p * y * down
    if quantity == q.LOSS:
        return w * inner
    near, far = (1 / (1 + e), e / (1 + e)) if x >= 0 else (e / (1 + e), 1 / (1 + e))
    return (c / count) * {
        q.GRAD_LOGITS: w * ((1 - y) * near - p * y * far),
        q.GRAD_TARGETS: w * (-x if p == 1 else p * down - up),
        q.GRAD_WEIGHT: inner,
        q.GRAD_POS_WEIGHT: w * y * down,
        q.HESSIAN: w * v * ((1 - y) + p * y) * near * far,
    }[quantity]


def nearest(number):
    """The nearest float64, an infinity where it is beyond."""
    sign = float(mp.sign(number))
    mantissa, exponent = abs(number).man_exp
    if number == 0 or exponent + mantissa.bit_length() < -1100:
        return sign * 0.0
    try:
        return sign * float(Fraction(mantissa) * Fraction(2) ** exponent)
    except OverflowError:
        return sign * math.inf


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("quantity", range(q.QUANTITIES))
def test_what_is_decided_is_the_nearest_float64(quantity, extended):
    decided = 0
    with mp.workdps(1000):
        for _ in range(POINTS):
            of, count = drawn(), float(RANDOM.choice([1, 3, 1000]))
            value, rest, known = scaled_element(quantity, of, count, 53, extended)
            if known:
                decided += 1
                number = exact(quantity, of, count)
                assert value == nearest(number), (of, count)
                if 2.0**-900 < abs(value) < math.inf:
                    assert abs(mpf(value) + mpf(rest) - number) < abs(number) * mpf(2) ** -56
    assert decided > (0.98 if extended else 0.85) * POINTS


@pytest.mark.parametrize("quantity", range(q.QUANTITIES))
def test_what_may_be_a_tie_of_a_narrow_format_has_the_right_side(quantity):
    """Short products of powers of two are ties of the half formats, but for what exp(−a) adds."""
    halves = [0.5, 1.0, 1.0 + 2.0**-8, 1.0 + 2.0**-11, 1.0 + 2.0**-24, 2.0**-14 + 2.0**-25]
    tried = 0
    with mp.workdps(1000):
        for x, w, p in itertools.product([0.0, 2.0**-400, 1.0, -60.0, 300.0], halves, halves):
            of = Element(x, 2.0**-300, w, p * 2.0**300, 1.0, 1.0)
            number = exact(quantity, of, 1.0)
            for kept in (8, 11, 24):
                value, rest, known = scaled_element(quantity, of, 1.0, kept, True)
                if known and abs(value) > 2.0**-500:
                    tried += 1
                    bits = np.float64(value).view(np.int64)
                    if abs(value) > 2.0**-14 and bits % 2 ** (53 - kept) == 2 ** (52 - kept):
                        assert mp.sign(mpf(rest)) == mp.sign(number - mpf(value)), (of, kept)
    assert tried > 50


@pytest.mark.parametrize(
    ("like", "dtype"),
    [(np.float32(0), np.float32), (np.int16(0), np.float16), (np.float64(0), np.float64)],
)
def test_powers_of_two_of_coefficients_are_exact(like, dtype):
    """A weight larger and a cotangent smaller by a power of two give the same bits."""
    plain = Element(0.75, 0.3, 1.25, 1.0, 0.7, -0.6)
    for quantity in (q.GRAD_LOGITS, q.GRAD_TARGETS, q.GRAD_POS_WEIGHT, q.HESSIAN):
        value, rest = evaluate(quantity, plain, 3.0, True, like)
        for shift in (250, 900, -700):
            moved = plain._replace(w=math.ldexp(plain.w, shift), c=math.ldexp(plain.c, -shift))
            got, more = evaluate(quantity, moved, 3.0, True, like)
            assert dtype(got + more) == dtype(value + rest), (quantity, shift)

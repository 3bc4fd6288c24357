"""The arithmetic against mpmath and exact rationals: every function keeps its stated bound."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from mpmath import mp, mpf
from numba import njit

from bce_conformance.native.arithmetic import (
    double_double,
    functions,
    half,
    quad_double,
    underflow,
)
from bce_conformance.native.arithmetic.intrinsics import signed_single
from bce_conformance.native.element import extended, float64

POINTS = 400
RANDOM = np.random.default_rng(20261128)
LN2 = math.log(2)


@pytest.fixture(autouse=True)
def _the_same_draws_whatever_ran_before():
    RANDOM.bit_generator.state = np.random.default_rng(1128).bit_generator.state
    with mp.workprec(900):
        yield


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


# Sums and products of float64.

HEADS = signed(POINTS).tolist()
FACTORS = RANDOM.choice([1, -1, 2**-53, -(2**-53), 3, -0.5], POINTS)
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


# Pairs.

LEFT = pairs(signed(3 * POINTS, -100, 100))
RIGHT = pairs(signed(3 * POINTS, -100, 100))
BY = RANDOM.choice([0.5, 1, 2, 4], len(LEFT)).tolist()
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


# Numbers of four float64.


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


QUADS = quads(POINTS)
OTHERS = quads(POINTS)
SHIFTS = RANDOM.integers(-2, 3, POINTS).tolist()
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


def nearest(exact):
    """The float64 nearest to a rational, ties to even, subnormals and overflow included."""
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.copysign(math.inf, exact)


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


# Functions.


def arguments(limit):
    """0 to ``limit``: random, tiny, and beside the middle between two multiples of ln 2."""
    middles = (np.arange(0, limit / LN2 - 1, max(1, limit / LN2 // 100)) + 0.5) * LN2
    values = [RANDOM.uniform(0, limit, POINTS), 10.0 ** RANDOM.uniform(-20, 0, POINTS), middles]
    values += [np.nextafter(middles, 0), np.nextafter(middles, np.inf), [0.0, 5e-324, limit]]
    return np.concatenate(values).tolist()


@njit
def single_exps(values, shift, results):
    for i in range(values.size):
        results[i] = functions.single_exp(values[i], np.float32(1.5 * 2.0**23) + shift)


@pytest.mark.parametrize(("limit", "shift"), [(40.0, 0), (128.0, 104)])
def test_the_exponential_in_float32(limit, shift):
    values = np.array(arguments(limit), np.float32)
    results = np.zeros_like(values)
    single_exps(values, np.float32(shift), results)
    for a, got in zip(values.tolist(), results.tolist(), strict=True):
        assert relative([got], mp.ldexp(mp.exp(-mpf(a)), shift)) < mpf(2) ** -22.5, a


def test_the_exponential_in_float64():
    for a in arguments(500.0):
        assert relative([functions.narrow_exp(a)], mp.exp(-mpf(a))) < mpf(2) ** -44, a
    assert functions.narrow_exp(501.0) == functions.narrow_exp(500.0)
    assert math.isnan(functions.narrow_exp(math.nan))


def test_the_exponential_in_pairs():
    for a in arguments(700.0):
        assert relative(functions.wide_exp(a), mp.exp(-mpf(a))) < mpf(2) ** -64, a
    assert functions.wide_exp(math.inf) == functions.wide_exp(700.0)


def test_the_raised_exponential():
    for a in arguments(999.0):
        exact = mp.ldexp(mp.exp(-mpf(a)), underflow.RAISED)
        assert relative(underflow.raised_exp(a), exact) < mpf(2) ** -63, a


def test_the_extended_exponential():
    for a in arguments(670.0):
        assert relative(extended.extended_exp(a), mp.exp(-mpf(a))) < mpf(2) ** -98, a


def fractions_of_one():
    """From 0, exclusive, to 1: random, tiny, and next to 1."""
    values = [RANDOM.uniform(0, 1, POINTS), 2.0 ** RANDOM.uniform(-700, 0, POINTS)]
    return np.concatenate([*values, 1 - 2.0 ** -RANDOM.integers(1, 53, 20), [1.0]])


def test_softplus_in_float64():
    for e in fractions_of_one().tolist():
        assert relative([functions.narrow_softplus(e)], mp.log1p(mpf(e))) < mpf(2) ** -42, e
    assert functions.narrow_softplus(0.0) == 0.0


def test_softplus_in_pairs():
    negative = -RANDOM.uniform(0, 1 / 3, POINTS)
    for e in pairs(np.concatenate([fractions_of_one(), negative])):
        if e[0] != 1.0 or e[1] <= 0:
            exact = mp.log(1 + mp.fsum(e))
            assert relative(functions.wide_softplus(*e), exact) < mpf(2) ** -57, e


PRODUCTS = np.concatenate(
    [
        fractions_of_one(),
        2.0 ** RANDOM.uniform(0, 52, POINTS),
        2.0 ** np.arange(-0.5, 52),
        np.nextafter(2.0 ** np.arange(0.5, 52) - 1, np.inf),
    ]
)


def test_log1p_in_float64():
    for m in PRODUCTS.tolist():
        assert relative([functions.narrow_log1p(m)], mp.log(1 + mpf(m))) < mpf(2) ** -47, m
    assert functions.narrow_log1p(0.0) == 0.0


def test_log1p_in_pairs():
    for m in pairs(PRODUCTS):
        exact = mp.log(1 + mp.fsum(m))
        assert relative(functions.wide_log1p(*m), exact) < mpf(2) ** -57, m


# The gradient in the logits: σ in pieces.


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


# Underflow.


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


# Formats.

FORMATS = {
    "float16": (np.dtype(np.float16), np.dtype(np.int16)),
    "bfloat16": (np.dtype(ml_dtypes.bfloat16), np.dtype(np.uint16)),
}


@njit
def widen_all(elements, results):
    for i in range(elements.size):
        results[i] = half.widen(elements[i])


@njit
def narrow_all(values, results):
    for i in range(values.size):
        results[i] = half.narrow(values[i], results[i])


@njit
def narrow_pairs(values, rests, results):
    for i in range(values.size):
        results[i] = half.narrow(half.sticky(values[i], rests[i]), results[i])


@njit
def near_ties(values, like, results):
    for i in range(values.size):
        results[i] = half.near_tie(values[i], like)


@njit
def of_singles(values, results):
    for i in range(values.size):
        results[i] = half.half_of_single(values[i], results[i])


@njit
def to_singles(elements, results):
    for i in range(elements.size):
        results[i] = half.single_of_half(elements[i])


@njit
def of_raised(values, results):
    for i in range(values.size):
        size = abs(values[i])
        tiny = size < np.float32(2.0**-22)
        moved = values[i] + signed_single(np.float32(2.0**-22), values[i]) if tiny else values[i]
        results[i] = half.bfloat16_of_raised(moved, half.lowering(size, tiny))


@njit
def all_noted(elements, limit, results):
    for i in range(elements.size):
        results[i] = half.noted(np.int16(0), elements[i], limit)


def all_bits(name):
    dtype, view = FORMATS[name]
    bits = np.arange(1 << 16, dtype=np.uint16)
    with np.errstate(invalid="ignore"):
        return bits.view(view), bits.view(dtype).astype(np.float64)


def magnitudes(name):
    """All finite values ≥ 0 in order, so that bits are indices, and the first beyond them."""
    top = np.flatnonzero(np.isinf(all_bits(name)[1]))[0]
    values = all_bits(name)[1][:top]
    return np.append(values, values[-1] + (values[-1] - values[-2]))


def rounded_bits(values, name, outwards=False):
    """The bits nearest to float64 values, ties to even or outwards; that beyond all is infinity."""
    grid = magnitudes(name)
    middles = (grid[:-1] + grid[1:]) / 2  # exact
    low = np.searchsorted(middles, np.abs(values), side="left")
    high = np.searchsorted(middles, np.abs(values), side="right")
    bits = high if outwards else np.where(low % 2 == 0, low, high)
    return (bits + np.where(np.signbit(values), 1 << 15, 0)).astype(np.uint16)


def hard_to_round(name):
    """Values of both signs: every middle and its neighbours, the grid, random and extreme ones."""
    grid = magnitudes(name)
    middles = (grid[:-1] + grid[1:]) / 2
    values = [grid, middles, np.nextafter(middles, 0), np.nextafter(middles, np.inf)]
    values += [middles * (1 + 2.0**-28.5), middles * (1 - 2.0**-28.5)]
    values += [2.0 ** RANDOM.uniform(-160, 130, 20_000), [np.inf, 1e300, 1e-300, 5e-324]]
    values = np.concatenate(values)
    return np.concatenate([values, -values])


@pytest.mark.parametrize("name", FORMATS)
def test_elements_are_widened_exactly(name):
    elements, expected = all_bits(name)
    results, singles = np.zeros(elements.size), np.zeros(elements.size, np.float32)
    widen_all(elements, results)
    to_singles(elements, singles)
    np.testing.assert_array_equal(results, expected)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(singles.astype(np.float64), expected)
    finite = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(results)[finite], np.signbit(expected)[finite])
    assert np.signbit(results[1 << 15])


@pytest.mark.parametrize("name", FORMATS)
def test_values_are_rounded_to_a_half_format_once(name):
    values = hard_to_round(name)
    results = np.zeros(values.size, FORMATS[name][1])
    narrow_all(values, results)
    np.testing.assert_array_equal(results.view(np.uint16), rounded_bits(values, name))
    nan = np.zeros(1, FORMATS[name][1])
    narrow_all(np.array([np.nan]), nan)
    assert np.isnan(nan.view(FORMATS[name][0]).astype(float)[0])


def test_values_are_rounded_to_float32_once():
    values = np.concatenate([hard_to_round("bfloat16"), signed(20_000, -160, 130)])
    results = np.zeros(values.size, np.float32)
    narrow_all(values, results)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(results, values.astype(np.float32))


@pytest.mark.parametrize("name", FORMATS)
def test_a_pair_is_rounded_to_a_half_format_once(name):
    grid = magnitudes(name)
    middles = (grid[:-1] + grid[1:]) / 2
    values = np.concatenate([middles, -middles])
    for sign in (1, -1, 0):
        rests = sign * values * 2.0**-60
        results = np.zeros(values.size, FORMATS[name][1])
        narrow_pairs(values, rests, results)
        moved = values * (1 + sign * 2.0**-40)
        np.testing.assert_array_equal(results.view(np.uint16), rounded_bits(moved, name))


@pytest.mark.parametrize("name", FORMATS)
def test_what_may_round_either_way_is_seen(name):
    grid = magnitudes(name)
    values = hard_to_round(name)
    values = values[np.abs(values) < grid[-1]]
    seen = np.zeros(values.size, np.int64)
    near_ties(values, np.zeros(1, FORMATS[name][1])[0], seen)

    def either_way(reach):
        low, high = values * (1 - reach), values * (1 + reach)
        return rounded_bits(low, name) != rounded_bits(high, name)

    assert either_way(2.0**-28).sum() > 10_000
    assert seen[either_way(2.0**-28)].all()
    normal = np.abs(values) >= grid[np.flatnonzero(np.diff(grid) > grid[1])[0]]
    assert not seen[normal & ~either_way(2.0**-26)].any()


@pytest.mark.parametrize("name", FORMATS)
def test_float32_is_rounded_to_a_half_format(name):
    with np.errstate(over="ignore", under="ignore"):
        singles = hard_to_round(name).astype(np.float32)
    results = np.zeros(singles.size, FORMATS[name][1])
    of_singles(singles, results)
    expected = rounded_bits(singles.astype(np.float64), name, outwards=name == "bfloat16")
    np.testing.assert_array_equal(results.view(np.uint16), expected)


def test_raised_float32_is_rounded_to_bfloat16():
    subnormal = np.arange(0, 1 << 23, 251) * 2.0**-45
    subnormal = np.append(subnormal, (np.arange(128) + 0.5) * 2.0**-29)
    normal = 2.0 ** RANDOM.uniform(-22, 20, 20_000)
    middles = np.ldexp(RANDOM.integers(256, 512, 2000) + 0.5, RANDOM.integers(-30, 0, 2000))
    values = np.concatenate([subnormal, normal, middles]).astype(np.float32)
    values = np.concatenate([values, -values])
    results = np.zeros(values.size, np.uint16)
    of_raised(values, results)
    lowered = values.astype(np.float64) * 2.0**-104
    np.testing.assert_array_equal(results, rounded_bits(lowered, "bfloat16", outwards=True))


@pytest.mark.parametrize("name", FORMATS)
def test_large_elements_are_noted(name):
    elements, values = all_bits(name)
    results = np.zeros(elements.size, np.int16)
    limit = rounded_bits(np.array([40.0]), name).view(np.int16)[0]
    all_noted(elements, limit, results)
    np.testing.assert_array_equal(results < 0, ~(np.abs(values) <= 40))

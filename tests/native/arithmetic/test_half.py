"""float16 and bfloat16 in bits: widened exactly, rounded once, near ties seen."""

import ml_dtypes
import numpy as np
import pytest
from numba import njit

from bce_conformance.native.arithmetic import half
from bce_conformance.native.arithmetic.intrinsics import signed_single
from tests.native.arithmetic.draws import RANDOM, signed

pytestmark = pytest.mark.usefixtures("same_draws")


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

"""Sixteen float32 at once: each operation is NumPy's, lane by lane, at any address."""

import functools

import numpy as np
import pytest
from numba import njit

from bce_conformance.native.arithmetic import vectors as v

RANDOM = np.random.default_rng(16)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 2.0**-149, -3e38], np.float32)
TABLE = (7, -1, 0x3F800000, -(1 << 31))


def vectors_of(count):
    """``count`` arrays of sixteen, of every magnitude and with special values."""
    bits = RANDOM.integers(0, 1 << 32, (count, v.WIDTH), np.uint32).view(np.float32)
    ordinary = RANDOM.normal(size=(count, v.WIDTH)).astype(np.float32)
    special = RANDOM.choice(SPECIAL, (count, v.WIDTH))
    return np.choose(RANDOM.integers(0, 3, bits.shape), (bits, ordinary, special))


@functools.cache
def compiled(operation, count):
    """A function of three arrays, of which the operation takes ``count``, and a result."""

    @njit
    def one(a, b, c, out):
        v.store(v.address(out, 0), 0, operation(v.load(v.address(a, 0), 0)))

    @njit
    def two(a, b, c, out):
        x, y = v.load(v.address(a, 0), 0), v.load(v.address(b, 0), 0)
        v.store(v.address(out, 0), 0, operation(x, y))

    @njit
    def three(a, b, c, out):
        x, y = v.load(v.address(a, 0), 0), v.load(v.address(b, 0), 0)
        v.store(v.address(out, 0), 0, operation(x, y, v.load(v.address(c, 0), 0)))

    return (one, two, three)[count - 1]


def evaluated(operation, *operands):
    """The bits of an operation of one, two or three vectors."""
    out = np.zeros(v.WIDTH, np.float32)
    operands = [np.ascontiguousarray(operand) for operand in operands]
    compiled(operation, len(operands))(*operands, *[out] * (3 - len(operands)), out)
    return out


def same(got, expected):
    """Equal bits, any NaN being like any other."""
    expected = np.asarray(expected, np.float32)
    there = ~np.isnan(expected)
    assert np.array_equal(np.isnan(got), ~there)
    assert np.array_equal(got.view(np.uint32)[there], expected.view(np.uint32)[there])


def bits(a):
    return a.view(np.uint32)


OPERATIONS = {
    "add": (v.add, 2, np.add),
    "subtract": (v.subtract, 2, np.subtract),
    "multiply": (v.multiply, 2, np.multiply),
    "divide": (v.divide, 2, np.divide),
    "exclusive or": (v.exclusive_or, 2, lambda a, b: (bits(a) ^ bits(b)).view(np.float32)),
    "or": (v.bitwise_or, 2, lambda a, b: (bits(a) | bits(b)).view(np.float32)),
    "integer sum": (v.integer_sum, 2, lambda a, b: (bits(a) + bits(b)).view(np.float32)),
    "larger bits": (
        v.larger_bits,
        2,
        lambda a, b: np.maximum(bits(a), bits(b)).view(np.float32),
    ),
    "smaller bits": (
        v.smaller_bits,
        2,
        lambda a, b: np.minimum(bits(a), bits(b)).view(np.float32),
    ),
    "negative": (v.negative, 1, lambda a: -np.abs(a)),
    "shifted": (v.shifted_left(8), 1, lambda a: (bits(a) << np.uint32(8)).view(np.float32)),
    "by sign": (v.by_sign, 3, lambda s, a, b: np.where(np.signbit(s), a, b)),
    "table": (
        v.table_of_four(TABLE),
        1,
        lambda a: np.array(TABLE, np.int64).astype(np.uint32)[bits(a) & 3].view(np.float32),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_those_of_numpy(name):
    operation, count, expected = OPERATIONS[name]
    for _ in range(40):
        operands = vectors_of(count)
        with np.errstate(all="ignore"):
            right = expected(*operands)
        got = evaluated(operation, *operands)
        if name in ("add", "subtract", "multiply", "divide"):
            same(got, right)
        else:
            assert got.tobytes() == np.ascontiguousarray(right).tobytes()


@pytest.mark.parametrize(
    ("operation", "signs"), [(v.fma, (1, 1)), (v.fnma, (-1, 1)), (v.fms, (1, -1))]
)
def test_fused_operations_round_once(operation, signs):
    # Products of which a second rounding would lose what the sum then leaves.
    a, b = (1 + RANDOM.integers(1, 1 << 12, (2, v.WIDTH)) * 2.0**-20).astype(np.float32)
    c = -(a * b)
    c *= signs[0] * signs[1]
    exact = signs[0] * a.astype(np.float64) * b + signs[1] * c.astype(np.float64)
    got = evaluated(operation, a, b, c)
    assert np.count_nonzero(got)
    same(got, exact)


def test_the_positive_part():
    a = np.resize(SPECIAL, v.WIDTH)
    same(evaluated(v.positive_part, a), np.where(a > 0, a, np.float32(0)))


@njit
def reductions(values):
    vector = v.load(v.address(values, 0), 0)
    largest = v.largest_magnitude(v.negative(vector))
    return v.lane_sum(vector), v.any_bit(vector), v.any_zero(vector), largest


@njit
def doubled(values, first, size):
    part = v.array_at(v.address(values, first), size)
    for i in range(part.size):
        part[i] *= 2
    return part.size


def test_an_array_at_an_address_is_a_part_of_another():
    values = np.arange(9, dtype=np.float32)
    assert doubled(values, 2, 4) == 4
    assert values.tolist() == [0, 1, 4, 6, 8, 10, 6, 7, 8]


@njit
def moved(values, at, out, to, scalar):
    v.prefetch(v.address(values, 0), 1 << 40)
    v.store(v.address(out, 0), to, v.load(v.address(values, at), 0))
    v.store(v.address(out, to), v.WIDTH, v.splat(scalar))


def test_reductions_see_every_lane():
    for lane in range(v.WIDTH):
        values = np.zeros(v.WIDTH, np.float32)
        assert reductions(values) == (0, False, True, 0)
        values[lane] = -0.0
        assert reductions(values) == (0, True, True, 0)
        values[:] = 1
        values[lane] = -3
        assert reductions(values) == (v.WIDTH - 4, True, False, 3)
        values[lane] = 0
        assert reductions(values) == (v.WIDTH - 1, True, True, 1)
        values[lane] = np.nan
        assert np.isnan(reductions(values)[3])


def test_any_address_is_read_and_written():
    values = RANDOM.normal(size=64).astype(np.float32)
    for at, to in ((0, 0), (1, 3), (7, 30), (48, 31)):
        out = np.zeros(64, np.float32)
        moved(values, at, out, to, np.float32(2.5))
        assert np.array_equal(out[to : to + 16], values[at : at + 16])
        assert np.array_equal(out[to + 16 : to + 32], np.full(16, 2.5))
        assert np.count_nonzero(out) == 32

"""Exponents and ties by their bits, against frexp and the formats themselves."""

import math

import numpy as np
import pytest

from bce_conformance.native.arithmetic import half, intrinsics, underflow
from tests.native.arithmetic.draws import HEADS, RANDOM

pytestmark = pytest.mark.usefixtures("same_draws")

EDGES = [5e-324, 3e-310, 2.0**-1022, 2.0**-1022 - 2.0**-1074, 1.7976931348623157e308, 1.0, 0.75]


def test_numbers_are_taken_apart_exactly():
    for number in [*HEADS, *EDGES, *(-edge for edge in EDGES)]:
        mantissa, exponent = math.frexp(number)
        assert intrinsics.apart(number) == (2.0 * mantissa, exponent - 1), number
    assert intrinsics.apart(0.0) == intrinsics.apart(-0.0) == (0.0, 0)


def test_powers_of_two():
    for exponent in range(-1022, 1024):
        assert intrinsics.power(exponent) == math.ldexp(1.0, exponent)
    assert intrinsics.power(-5000) == 2.0**-1022
    assert intrinsics.power(5000) == 2.0**1023


@pytest.mark.parametrize(
    ("like", "kept", "least"),
    [(np.int16(0), 11, -14), (np.uint16(0), 8, -126), (np.float32(0), 24, -126)],
)
def test_ties_are_recognised(like, kept, least):
    assert half.precision(like) == kept
    for exponent in [*RANDOM.integers(least, 15, 200).tolist(), *[least] * 20]:
        unit = math.ldexp(1.0, exponent - kept + 1)
        smallest = 0 if exponent == least else 2 ** (kept - 1)  # below are the subnormal numbers
        tie = (int(RANDOM.integers(smallest, 2**kept)) + 0.5) * unit
        assert underflow.is_tie(tie, kept)
        assert underflow.is_tie(-tie, kept)
        assert not underflow.is_tie(tie, 53)
        for part in (0.5, 0.25, 2.0**-20, -(2.0**-20)):
            assert not underflow.is_tie(tie + part * unit, kept), (tie, part)


def test_no_float64_is_a_tie_of_float64():
    assert half.precision(np.float64(0)) == 53

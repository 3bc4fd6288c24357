"""Agreement and relations: which difference is which level, and that no level hides a NaN."""

import numpy as np
import pytest

from bce_conformance.conformance.inputs.bounds import Bounds
from bce_conformance.conformance.judging.agreement import agreement, relation, same_bits
from bce_conformance.reference import FLOAT32, FORMATS
from bce_conformance.results.cells import Level

U = FLOAT32.unit_roundoff


def level(got: float, other: float, *, scale: float = 1.0, terms: int = 1) -> Level:
    """The level of two float32 numbers that should agree, S being ``scale``."""
    pair = (np.array([value], np.float32) for value in (got, other))
    return agreement(*pair, FLOAT32, Bounds(np.log2([scale]), terms=terms)).level


@pytest.mark.parametrize(
    ("got", "other", "expected"),
    [
        (1.5, 1.5, Level.AAA),
        (0.0, -0.0, Level.AA),
        (np.nan, np.nan, Level.AAA),
        (np.nan, 1.0, Level.FAILS),
        (1.0, np.nan, Level.FAILS),
        (np.inf, np.inf, Level.AAA),
        (np.inf, 1.0, Level.FAILS),
        (np.inf, -np.inf, Level.FAILS),
        (0.5 + U, 0.5, Level.AA),
        (0.5 + 4 * U, 0.5, Level.AA),
        (0.5 + 5 * U, 0.5, Level.A),
        (0.5 + 16 * U, 0.5, Level.A),
        (0.5 + 17 * U, 0.5, Level.FAILS),
        (2.0**-100, 0.0, Level.AA),
        (-0.5, 0.5, Level.FAILS),
    ],
)
def test_levels_of_agreement(got: float, other: float, expected: Level) -> None:
    assert level(got, other) == level(other, got) == expected


def test_an_infinite_s_bounds_nothing() -> None:
    assert level(5e30, 0.0, scale=np.inf) is level(1.0, 1.5, scale=np.inf) is Level.FAILS
    assert level(np.inf, np.inf, scale=np.inf) is level(2.0, 2.0, scale=np.inf) is Level.AAA
    assert level(0.0, -0.0, scale=np.inf) is Level.AA


def test_four_ulp_of_a_result_that_is_larger_than_s_are_aa() -> None:
    assert level(1024 * (1 + 8 * U), 1024, scale=1) == Level.AA
    assert level(1024 * (1 + 10 * U), 1024, scale=1) == Level.FAILS


def test_bounds_grow_with_the_terms_of_a_sum() -> None:
    assert level(0.5 + 16 * U, 0.5, terms=8) == Level.AA
    assert level(0.5 + 17 * U, 0.5, terms=8) == Level.A


def test_errors_are_in_ulps_of_the_larger() -> None:
    got, other = np.array([1.0, 3.0], np.float32), np.array([1.0, 3 + 8 * U], np.float32)
    judged = agreement(got, other, FLOAT32, Bounds(np.zeros(2)))
    np.testing.assert_array_equal(judged.ulp, [0, 2])
    assert judged.worst() == 1


@pytest.mark.parametrize("got", [np.nan, np.inf, -np.inf])
def test_the_error_of_what_is_no_number_is_infinite(got: float) -> None:
    pair = np.array([got], np.float32), np.ones(1, np.float32)
    for first, second in (pair, pair[::-1]):
        assert agreement(first, second, FLOAT32, Bounds(np.zeros(1))).ulp == [np.inf]


@pytest.mark.parametrize("other", [np.ones(2, np.float32), np.ones(3), np.ones((3, 1), np.float32)])
def test_unlike_arrays_are_refused(other: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be alike"):
        agreement(np.ones(3, np.float32), other, FLOAT32, Bounds(np.zeros(3)))


@pytest.mark.parametrize(
    ("violation", "expected"),
    [
        (0.0, Level.AAA),
        (-1.0, Level.AAA),
        (-np.inf, Level.AAA),
        (2 * U, Level.AAA),
        (8 * U, Level.AA),
        (9 * U, Level.A),
        (16 * U, Level.A),
        (17 * U, Level.FAILS),
        (np.nan, Level.FAILS),
        (np.inf, Level.FAILS),
    ],
)
def test_levels_of_a_relation(violation: float, expected: Level) -> None:
    """The unit is 2·u, S is 1."""
    judged = relation(np.array([violation]), np.array([2 * U]), FLOAT32, Bounds(np.zeros(1)))
    assert judged.level == expected


@pytest.mark.parametrize("name", FORMATS)
def test_same_bits_tells_zeros_apart_and_takes_any_nan_for_another(name: str) -> None:
    format_ = FORMATS[name]
    values = np.array([0.0, -0.0, 1.0, np.nan, -np.nan]).astype(format_.dtype)
    others = np.array([0.0, 0.0, -1.0, -np.nan, np.nan]).astype(format_.dtype)
    np.testing.assert_array_equal(same_bits(values, others), [True, False, False, True, True])
    strided = np.repeat(values, 2)[::2]
    assert same_bits(strided, values).all()

"""Each metric fails where it must."""

from __future__ import annotations

import numpy as np
import pytest

from bce_conformance.reference import FORMATS, flushed_to_zero, ground_truth, ulp_error, wrong_sign

INF, NAN = np.inf, np.nan


def error_of(got, truth):
    return float(ulp_error(np.asarray(got, truth.format.dtype), truth))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("x", [-30.0, -5.0, 0.1, 3.0])
def test_neighbours_are_one_ulp_apart(name, x):
    fmt = FORMATS[name]
    truth = ground_truth(x, 0.25, dtype=name)
    ordinal = int(fmt.ordinal(truth.nearest))
    assert error_of(truth.nearest, truth) == abs(truth.offset) <= 0.5
    for step in (-3, -1, 1, 2):
        got = fmt.from_ordinal(ordinal + step)
        assert error_of(got, truth) == pytest.approx(abs(step - truth.offset), abs=1e-9)


@pytest.mark.parametrize("name", FORMATS)
def test_error_across_a_binade_is_measured_at_the_exact_value(name):
    # exact: the power of two itself, or a quarter of the smaller ulp below it
    fmt = FORMATS[name]
    u = fmt.unit_roundoff
    at = ground_truth(1.0, 0.5, quantity="grad_targets", dtype=name)
    assert error_of(-1.0 - 2 * u, at) == 1.0
    assert error_of(-1.0 + u, at) == 0.5
    w = 1 - 2.0**-50 if name != "float64" else None
    if w is not None:
        below = ground_truth(1.0, 0.5, w, quantity="grad_targets", dtype=name)
        assert float(below.nearest) == -1.0
        assert below.ulp == u
        assert error_of(-1.0 + u, below) == 1.0 - 2.0**-50 / u
        assert error_of(-1.0 - 2 * u, below) == 2.0 + 2.0**-50 / u


@pytest.mark.parametrize("name", FORMATS)
def test_wrong_sign_at_the_smallest_subnormal(name):
    fmt = FORMATS[name]
    least = fmt.smallest_subnormal
    truth = ground_truth(1.0, 0.5, -least, quantity="grad_targets", dtype=name)
    assert error_of(least, truth) == 0
    assert error_of(0.0, truth) == 1
    assert error_of(-0.0, truth) == 1
    assert error_of(-least, truth) == 2


@pytest.mark.parametrize("name", FORMATS)
def test_nan_and_infinity_against_numbers(name):
    number = ground_truth(1.0, 0.0, dtype=name)
    assert error_of(NAN, number) == INF
    assert 1 < error_of(INF, number) < INF
    assert 1 < error_of(-INF, number) < INF
    nan = ground_truth(NAN, 0.0, dtype=name)
    assert error_of(NAN, nan) == 0
    assert [error_of(v, nan) for v in (0.0, 1.0, INF)] == [INF] * 3
    infinite = ground_truth(INF, 0.0, dtype=name)
    assert error_of(INF, infinite) == 0
    assert [error_of(v, infinite) for v in (1.0, -INF, NAN, FORMATS[name].largest_finite)] == [
        INF
    ] * 4


@pytest.mark.parametrize("name", FORMATS)
def test_overflow(name):
    fmt = FORMATS[name]
    top = fmt.largest_finite
    truth = ground_truth(top, 0.5, -1.5, quantity="grad_targets", dtype=name)
    assert truth.nearest == INF
    assert error_of(INF, truth) == 0
    distance = 0.5 * top / fmt.largest_ulp
    assert error_of(top, truth) == pytest.approx(distance, rel=1e-12)
    assert error_of(NAN, truth) == INF
    last = ground_truth(top, 0.5, -1.0, quantity="grad_targets", dtype=name)
    assert error_of(top, last) == 0
    assert error_of(INF, last) == 1


def test_far_results_have_large_finite_errors():
    tiny = ground_truth(-1000.0, 0.0, dtype="float64")
    assert error_of(1.7e308, tiny) == np.finfo(np.float64).max
    assert error_of(1.0, tiny) == np.finfo(np.float64).max or error_of(1.0, tiny) > 1e300


def test_misuse():
    truth = ground_truth([1.0, 2.0], [0.0, 0.0])
    with pytest.raises(ValueError, match=r"got has shape \(2, 1\); the truth has \(2,\)"):
        ulp_error(np.zeros((2, 1), np.float32), truth)
    with pytest.raises(TypeError, match="dtype"):
        ulp_error(np.zeros(2, np.int32), truth)


def subnormal_truth(fmt, steps):
    """The truth of −w·x = steps·smallest subnormal."""
    x = np.full(np.shape(steps), 1.0) * steps
    w = np.full(x.shape, -fmt.smallest_subnormal)
    y = np.full(x.shape, 0.5)
    return ground_truth(x, y, w, quantity="grad_targets", dtype=fmt.name)


@pytest.mark.parametrize("name", FORMATS)
def test_signs_and_flushing_at_subnormals(name):
    fmt = FORMATS[name]
    truth = subnormal_truth(fmt, np.array([1.0, 1.0, 1.0, 1.0, 0.25]))
    least = fmt.smallest_subnormal
    got = np.array([least, 0.0, -0.0, -least, -0.0]).astype(fmt.dtype)
    assert wrong_sign(got, truth).tolist() == [False, False, True, True, True]
    assert flushed_to_zero(got, truth).tolist() == [False, True, True, False, False]
    right = np.array([least, least, least, least, 0.0]).astype(fmt.dtype)
    assert not wrong_sign(right, truth).any()


@pytest.mark.parametrize("name", FORMATS)
def test_what_rounds_up_to_the_smallest_normal_may_be_flushed(name):
    fmt = FORMATS[name]
    smallest = np.full(2, fmt.smallest_normal)
    # −w·x of a weight just below and just above 1.
    weights = -np.array([1 - fmt.unit_roundoff, 1 + 2 * fmt.unit_roundoff])
    truth = ground_truth(smallest, smallest, weights, quantity="grad_targets", dtype=fmt.name)
    assert np.abs(truth.nearest.astype(float))[0] == fmt.smallest_normal
    assert flushed_to_zero(np.zeros(2, fmt.dtype), truth).tolist() == [True, False]


def test_either_zero_is_right_for_an_exact_zero():
    zero = ground_truth([0.0, 0.0], [0.5, 0.5], quantity="grad_logits")
    got = np.array([0.0, -0.0], np.float32)
    assert not wrong_sign(got, zero).any()


def test_nan_has_no_sign_and_is_no_flush():
    truth = ground_truth([1.0, NAN, -1000.0], [0.0, 0.0, 0.0], dtype="float64")
    got = np.array([NAN, 1.0, NAN])
    assert not wrong_sign(got, truth).any()
    assert not flushed_to_zero(got, truth).any()


@pytest.mark.parametrize("function", [ulp_error, wrong_sign, flushed_to_zero])
def test_every_metric_refuses_another_shape_and_another_dtype(function):
    truth = ground_truth([1.0, 2.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="got has shape"):
        function(np.zeros(3, np.float32), truth)
    with pytest.raises(TypeError, match="dtype"):
        function(np.zeros(2, np.int64), truth)

"""Each metric fails where it must."""

from __future__ import annotations

import numpy as np
import pytest

from bce_conformance.reference import FORMATS, ground_truth, metrics, ulp_error

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
def test_absolute_and_relative_error(name):
    fmt = FORMATS[name]
    truth = ground_truth(4.0, 0.5, -1.0, quantity="grad_targets", dtype=name)  # 4 exactly
    got = np.asarray(4.0 + truth.ulp, fmt.dtype)
    assert metrics.absolute_error(got, truth) == truth.ulp
    assert metrics.relative_error(got, truth) == truth.ulp / 4
    assert metrics.bits_of_error(got, truth) == 1.0
    assert metrics.relative_error(np.asarray(-4.0, fmt.dtype), truth) == 2.0
    for wrong in (NAN, INF):
        value = np.asarray(wrong, fmt.dtype)
        assert metrics.relative_error(value, truth) > 1
        assert metrics.absolute_error(value, truth) > 4
        assert metrics.bits_of_error(value, truth) > fmt.precision - 3
    assert metrics.relative_error(np.asarray(NAN, fmt.dtype), truth) == INF


@pytest.mark.parametrize("name", FORMATS)
def test_relative_error_at_an_exact_zero_and_beyond_overflow(name):
    fmt = FORMATS[name]
    zero = ground_truth(0.0, 0.5, quantity="grad_logits", dtype=name)
    assert metrics.relative_error(np.asarray(0.0, fmt.dtype), zero) == 0
    assert metrics.relative_error(np.asarray(fmt.smallest_subnormal, fmt.dtype), zero) == INF
    over = ground_truth(fmt.largest_finite, 0.5, -1.5, quantity="grad_targets", dtype=name)
    got = np.asarray(fmt.largest_finite, fmt.dtype)
    assert metrics.relative_error(got, over) == pytest.approx(1 / 3, rel=1e-9)
    assert metrics.relative_error(np.asarray(INF, fmt.dtype), over) == 0


@pytest.mark.parametrize("name", FORMATS)
def test_signs_and_flushing_at_subnormals(name):
    fmt = FORMATS[name]
    truth = subnormal_truth(fmt, np.array([1.0, 1.0, 1.0, 1.0, 0.25]))
    least = fmt.smallest_subnormal
    got = np.array([least, 0.0, -0.0, -least, -0.0]).astype(fmt.dtype)
    assert metrics.wrong_sign(got, truth).tolist() == [False, False, True, True, True]
    assert metrics.flushed_to_zero(got, truth).tolist() == [False, True, True, False, False]
    assert metrics.correctly_rounded(got, truth).tolist() == [True, False, False, False, False]
    right = np.array([least, least, least, least, 0.0]).astype(fmt.dtype)
    assert metrics.correctly_rounded(right, truth).all()
    assert not metrics.wrong_sign(right, truth).any()


def test_either_zero_is_right_for_an_exact_zero():
    zero = ground_truth([0.0, 0.0], [0.5, 0.5], quantity="grad_logits")
    got = np.array([0.0, -0.0], np.float32)
    assert metrics.correctly_rounded(got, zero).all()
    assert not metrics.wrong_sign(got, zero).any()


def test_a_result_that_is_not_nearest_is_not_correctly_rounded():
    truth = ground_truth([0.3, NAN, INF], [0.2, 0.0, 0.0])
    assert metrics.correctly_rounded(truth.nearest, truth).all()
    off = np.array([np.nextafter(truth.nearest[0], np.float32(9)), 1.0, NAN], np.float32)
    assert not metrics.correctly_rounded(off, truth).any()


def test_histogram_counts_every_error_once():
    error = [0, 0.4, 0.5, 0.6, 1, 1.5, 4, 5, 300, 70000, 2.0**22, 2.0**23, INF, NAN]
    bins = metrics.histogram(error, 24)
    assert sum(bins.values()) == len(error)
    assert bins == {
        "0": 1,
        "≤0.5": 2,
        "≤1": 2,
        "≤2": 1,
        "≤4": 1,
        "≤16": 1,
        "≤256": 0,
        "≤65536": 1,
        "more": 2,
        "total loss": 3,
    }


def test_summary():
    rng = np.random.default_rng(0)
    truth = ground_truth(rng.normal(size=200), np.zeros(200))
    got = truth.nearest.copy()
    clean = metrics.summary(got, truth)
    assert (clean.count, clean.correctly_rounded, clean.wrong_signs) == (200, 1.0, 0)
    assert clean.max == np.abs(truth.offset).max() <= 0.5
    got[17] = np.nextafter(got[17], np.float32(9))
    got[40] = -got[40]
    worse = metrics.summary(got, truth)
    assert (worse.worst, worse.correctly_rounded, worse.wrong_signs) == (40, 0.99, 1)
    assert worse.p99 <= worse.max
    assert worse.histogram["total loss"] == 1
    got[3] = NAN
    assert metrics.summary(got, truth).max == metrics.summary(got, truth).mean == INF
    assert np.isnan(clean.flushed)


def test_summary_of_nothing_says_that_nothing_was_measured():
    empty = metrics.summary(np.zeros(0, np.float32), ground_truth([], []))
    assert (empty.count, empty.worst) == (0, -1)
    assert np.isnan([empty.max, empty.mean, empty.correctly_rounded]).all()


def test_summary_gives_the_share_that_was_flushed():
    truth = subnormal_truth(FORMATS["float32"], np.array([1.0, 2.0, 3.0, 4.0]))
    got = truth.nearest.copy()
    assert metrics.summary(got, truth).flushed == 0
    got[:3] = 0
    assert metrics.summary(got, truth).flushed == 0.75


@pytest.mark.parametrize(
    "function",
    [
        metrics.ulp_error,
        metrics.absolute_error,
        metrics.relative_error,
        metrics.bits_of_error,
        metrics.correctly_rounded,
        metrics.wrong_sign,
        metrics.flushed_to_zero,
        metrics.summary,
    ],
)
def test_every_metric_refuses_another_shape_and_another_dtype(function):
    truth = ground_truth([1.0, 2.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="got has shape"):
        function(np.zeros(3, np.float32), truth)
    with pytest.raises(TypeError, match="dtype"):
        function(np.zeros(2, np.int64), truth)

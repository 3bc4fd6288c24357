"""Sums and means: rounded once, infinite where they must be, finite where they can be."""

import numpy as np
import pytest
from mpmath import mp, mpf

from bce_conformance.native import binary_cross_entropy_with_logits
from bce_conformance.native.kernels import sum_float64
from bce_conformance.reference import ground_truth, ulp_error
from tests.native.problems import FORMATS


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("size", [1, 31, 1000, 70_001])
@pytest.mark.parametrize("equal", [False, True])
def test_sums_are_as_good_as_the_exact_sum_rounded_once(dtype, size, equal):
    random = np.random.default_rng(size)
    x = random.normal(size=1 if equal else size) * 10.0 ** random.uniform(-2, 1.5)
    x = np.broadcast_to(x, size).astype(dtype)
    y = np.broadcast_to(random.uniform(size=1 if equal else size), size).astype(dtype)
    name = np.dtype(dtype).name
    for reduction in ("mean", "sum"):
        got = binary_cross_entropy_with_logits(x, y, reduction=reduction)
        truth = ground_truth(x, y, quantity="loss", reduction=reduction, dtype=name)
        error = abs(float(np.ravel(ulp_error(got, truth))[0]))
        assert error <= (0.7 if dtype == np.float64 else 0.5001), (reduction, error)


@pytest.mark.parametrize("reach", [(600, 760), (706, 712), (735, 748)])
@pytest.mark.parametrize("size", [7, 20_000])
def test_sums_of_vanishing_losses_are_rounded_once(reach, size):
    random = np.random.default_rng(size)
    y = (random.uniform(size=size) < 0.5).astype(float)
    x = np.where(y > 0, 1, -1) * random.uniform(*reach, size)
    for reduction in ("mean", "sum"):
        got = binary_cross_entropy_with_logits(x, y, reduction=reduction)
        assert got > 0
        truth = ground_truth(x, y, quantity="loss", reduction=reduction, dtype="float64")
        assert abs(float(np.ravel(ulp_error(got, truth))[0])) <= 0.7


def test_gradients_over_a_huge_count_are_rounded_once():
    random = np.random.default_rng(11)
    y = (random.uniform(size=1500) < 0.5).astype(float)
    x = np.where(y > 0, 1, -1) * random.uniform(600, 740, y.size)
    gradients, count = np.empty_like(x), 3.0 * 2.0**40
    sum_float64.sum_wide(x, y, gradients, True, count, 0, 1, np.zeros((1, 4)))
    worst = mpf(0)
    with mp.workprec(2000):
        for logit, gradient in zip(x, gradients, strict=True):
            exact = 1 / (1 + mp.exp(abs(mpf(logit)))) / count
            ulp = mpf(2) ** max(int(mp.floor(mp.log(exact, 2))) - 52, -1074)
            worst = max(worst, abs(abs(mpf(gradient)) - exact) / ulp)
    assert 0.4 < worst <= 0.501
    assert (np.signbit(gradients) == (y > 0)).all()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("weight", [None, 1.0])
def test_an_infinite_loss_makes_an_infinite_sum(dtype, weight):
    x = np.array([1, np.inf, -2, 700], np.float64).astype(dtype)
    for targets, expected in (([0, 0, 1, 1], np.inf), ([np.nan, 0, 1, 1], np.nan)):
        for reduction in ("sum", "mean"):
            y = np.array(targets, np.float64).astype(dtype)
            got = binary_cross_entropy_with_logits(x, y, weight, reduction=reduction)
            assert got.dtype == dtype
            np.testing.assert_array_equal(float(got), expected)


@pytest.mark.parametrize("weight", [None, 0.5])
def test_a_mean_is_finite_where_only_the_sum_overflows(weight):
    x = np.full(70_000, 1.5e308)
    y = np.zeros(70_000)
    got = binary_cross_entropy_with_logits(x, y, weight)
    assert got == 1.5e308 * (weight or 1)
    assert binary_cross_entropy_with_logits(x, y, weight, reduction="sum") == np.inf

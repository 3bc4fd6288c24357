"""Logits at zero and at the ends of float64: the same alone and in a sum, exact where due."""

import math
from itertools import product

import numpy as np
import pytest

from bce_conformance.native import binary_cross_entropy_with_logits, value_and_grad
from bce_conformance.native.element.extended import extended_gradient
from bce_conformance.reference import ground_truth
from tests.native.problems import FORMATS


def test_saturated_float64_is_evaluated_element_by_element():
    x = np.array([800.0, -800.0, 800.0, 740.0, 1e300, -1e300, 1.0, np.inf, np.nan] * 100)
    y = np.array([1.0, 1.0, 0.25, 1.0, 1.0, 0.5, 0.0, 1.0, 0.0] * 100)
    loss, gradients = value_and_grad(x, y, reduction="none")
    assert list(loss[:6]) == [0.0, 800.0, 600.0, np.exp(-740.0), 0.0, 0.5e300]
    summed = value_and_grad(x, y, reduction="sum")[1]["logits"]
    assert summed.tobytes() == gradients["logits"].tobytes()
    finite = np.isfinite(loss) & (np.abs(x) < 1e299)
    total = binary_cross_entropy_with_logits(x[finite], y[finite], reduction="sum")
    exact = math.fsum(loss[finite])
    assert abs(total - exact) <= np.spacing(exact)


@pytest.mark.parametrize("dtype", FORMATS)
def test_zero_logits_have_exact_gradients(dtype):
    y = np.array([0.5, 0.0, 1.0, 0.25, 0.5009765625]).astype(dtype)
    for reduction in ("none", "sum"):
        for zero in (0.0, -0.0):
            x = np.full(y.shape, zero).astype(dtype)
            gradients = value_and_grad(x, y, reduction=reduction)[1]["logits"]
            np.testing.assert_array_equal(gradients.astype(float), 0.5 - y.astype(float))
            assert not np.signbit(gradients[0])
    # What cancels entirely is settled here, and not a hundred times slower in quad-double.
    assert extended_gradient(0.0, 0.5, 1.0, 1.0, 0.0) == (0.0, 0.0, True)


def test_extreme_float64_is_the_same_alone_and_in_a_sum():
    magnitudes = [0.0, 1.0, 600.0, 689.9, 690.0, 708.0, 709.5, 720.0, 744.0, 745.2, 746.0, 1e9]
    magnitudes += [1e300, np.finfo(float).max, np.inf]
    shares = [0.0, 1.0, 0.5, 0.1, 1e-20, 1e-280, 1e-300, 5e-324, 1 - 2.0**-53, np.nan]
    logits = np.array([sign * a for a in magnitudes for sign in (1, -1)] + [np.nan])
    x, y = (np.ravel(grid) for grid in np.meshgrid(logits, shares))
    losses, gradients = value_and_grad(x, y, reduction="none")
    _, summed = value_and_grad(x, y, reduction="sum")
    np.testing.assert_array_equal(summed["logits"], gradients["logits"])
    assert (np.signbit(summed["logits"]) == np.signbit(gradients["logits"]))[~np.isnan(x + y)].all()
    for at in range(x.size):
        one = binary_cross_entropy_with_logits(x[at : at + 1], y[at : at + 1])
        np.testing.assert_array_equal(one, losses[at], err_msg=f"x={x[at]!r} y={y[at]!r}")
        assert not np.signbit(one) or np.isnan(one)


@pytest.mark.parametrize("dtype", FORMATS)
def test_infinite_targets_follow_extended_arithmetic(dtype):
    """∞ − ∞ and 0·∞ are NaN, also under a weight of zero, alone and beside the gradients."""
    logits = [-np.inf, -800.0, -3.0, -0.0, 0.0, 1.0, 90.0, 800.0, np.inf]
    x, y = (np.ravel(g).astype(dtype) for g in np.meshgrid(logits, [np.inf, -np.inf]))
    for w, p in product((None, 0.0, 1.5, -1.0, np.inf), (None, 0.0, 1.0, 2.0, np.inf, -1.0)):
        w, p = (None if each is None else np.full_like(x, each) for each in (w, p))
        alone = binary_cross_entropy_with_logits(x, y, w, p, reduction="none")
        beside, gradients = value_and_grad(x, y, w, p, "none")
        for quantity, got in {"loss": beside, "grad_logits": gradients["logits"]}.items():
            exact = ground_truth(x, y, w, p, quantity=quantity, dtype=dtype, cached=False)
            np.testing.assert_array_equal(got.astype(float), exact.nearest.astype(float))
        np.testing.assert_array_equal(alone.astype(float), beside.astype(float))
        total = binary_cross_entropy_with_logits(x, y, w, p, reduction="sum")
        exact = ground_truth(x, y, w, p, reduction="sum", dtype=dtype, cached=False)
        np.testing.assert_array_equal(total.astype(float), exact.nearest.astype(float))

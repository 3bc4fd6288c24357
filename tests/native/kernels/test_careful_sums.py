"""Sums of both signs: forward mode, broadcast gradients and losses, whatever cancels in them."""

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.native import (
    binary_cross_entropy_with_logits,
    jacobian_vector_product,
    value_and_grad,
)
from bce_conformance.native.memory import threads
from bce_conformance.reference import ground_truth, ulp_error, wrong_sign
from tests.native.problems import FORMATS, problem

HUGE = np.array([2e38, 2.5e19, -4e34, -4e13, -2e30, -5.2e16, -1.9e27, -2.5e29])


def faithful(found, *operands, **options):
    truth = ground_truth(*operands, dtype=found.dtype, cached=False, **options)
    assert found.shape == truth.nearest.shape
    assert (ulp_error(found, truth) < 1).all(), (found, truth.nearest)
    assert not wrong_sign(found, truth).any(), (found, truth.nearest)


def forward(x, y, v, *weights, reduction):
    found = jacobian_vector_product(x, y, v, *weights, reduction=reduction)
    assert found.dtype == x.dtype
    faithful(found, x, y, *weights, quantity="jvp_logits", tangent=v, reduction=reduction)


def gradient_in(name, x, y, w, p, cotangent, reduction="none"):
    _, found = value_and_grad(x, y, w, p, reduction, wrt=(name,), cotangent=cotangent)
    options = {"cotangent": cotangent, "reduction": reduction}
    faithful(found[name], x, y, w, p, quantity=f"grad_{name}", **options)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_forward_mode_with_weights_of_every_shape(dtype, reduction):
    x, y, w, p = problem(dtype, (5, 7))
    v = np.random.default_rng(1).normal(size=x.shape).astype(np.float16).astype(dtype)
    full = w * np.ones_like(x)
    for weights in ((None, None), (w, p), (full, p[:1]), (w[0, 0], full), (None, p), (w[:1], None)):
        forward(x, y, v, *weights, reduction=reduction)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_forward_mode_of_special_values(dtype, reduction):
    inf, nan = np.inf, np.nan
    cases = [
        ([inf, -inf, 2.0], [0.0, 1.0, 0.5], [1.0, 2.0, -1.0]),
        ([inf, -inf], [1.0, 0.0], [1.0, -2.0]),
        ([nan, 1.0], [1.0, 0.0], [0.0, 1.0]),
        ([3.0, 1.0], [0.25, 0.0], [inf, 1.0]),
        ([3.0, 1.0], [0.25, 0.0], [inf, -inf]),
        ([3.0, 1.0], [0.25, 0.0], [inf, 0.0]),
        ([0.0, 1.0], [0.5, 0.0], [inf, 0.0]),
        ([], [], []),
    ]
    for case in cases:
        x, y, v = (np.array(row, dtype) for row in case)
        forward(x, y, v, reduction=reduction)
        forward(x, y, v, np.array(2, dtype), np.array(3, dtype), reduction=reduction)
    x, y, v = (np.ones(2, dtype) for _ in range(3))
    forward(x, y, v, np.array([nan, 1.0], dtype), reduction=reduction)
    forward(x, y, v, None, np.array([inf, 1.0], dtype), reduction=reduction)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float32, np.float64])
def test_sums_of_nothing_but_underflow_have_the_sign_of_the_leading_term(dtype):
    x = HUGE.astype(dtype)[None]
    y, p, w = np.zeros_like(x), np.full((1, 1), 4e-39, dtype), np.full((1, 1), 0.27, dtype)
    c = np.array([[0, 0, 0, -0.4, -0.5, 1.75, 2.6, 3.2]], np.float16).astype(dtype)
    for signs in (1, -1):
        gradient_in("weight", x, y, w, p, signs * c)
        gradient_in("pos_weight", -x, y + 1, w, p, signs * c)
        forward(x, y, signs * c, w, p, reduction="sum")
        forward(-x, y + 1, signs * c, w, p, reduction="mean")


@pytest.mark.parametrize("dtype", FORMATS)
def test_what_is_left_where_leading_terms_cancel_exactly(dtype):
    x = np.array([[-3.0, -3.0, -3.0, -20.0, -90.0, -700.0, -60_000.0, -50_000.0]]).astype(dtype)
    y, w = np.zeros_like(x), np.ones((1, 1), dtype)
    c = np.array([[3.0, -1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0]], dtype)
    for last in range(2, 8):
        for sign in (1, -1):
            c[0, last] = sign * (1 if last > 2 else 2)
            gradient_in("weight", x, y, w, None, c)
            forward(x, y, c, reduction="sum")
            c[0, 3:] = 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("digits", [8, 20, 40, 52])
def test_sums_that_cancel_by_many_digits(dtype, digits):
    random = np.random.default_rng(digits)
    x = (random.normal(size=(2, 40)) * 4).astype(dtype)
    x[1] = x[0]
    y, w, p = random.uniform(size=x.shape).astype(dtype), np.ones(1, dtype), np.full(1, 3, dtype)
    y[1] = y[0]
    c = np.sign(random.normal(size=(2, 40))).astype(dtype)
    c[1] = -c[0]
    c[1, 7] *= 1 + dtype(2.0) ** -min(digits, 23 if dtype == np.float32 else 52)
    for name in ("weight", "pos_weight"):
        gradient_in(name, x, y, w, p, c)
    forward(x, y, c, w, p, reduction="mean")


def forward_in(name, x, y, v, p):
    """Compare a derivative along v with the gradient in an operand that is broadcast over all."""
    one, two = np.ones((1, 1), x.dtype), np.full_like(x, 2)
    weight = np.ones_like(x) if name == "weight" else None
    found = jacobian_vector_product(x, y, v, weight, p, "sum", wrt=name)
    like = {
        # −softplus(x) + p·softplus(−x) is the loss at y = 2 with half the pos_weight.
        "targets": ("weight", two, p / 2),
        "weight": ("weight", y, p),
        "pos_weight": ("pos_weight", y, one),
    }
    broadcast, targets, pos_weight = like[name]
    quantity, options = f"grad_{broadcast}", {"cotangent": v, "reduction": "none"}
    faithful(found[None, None], x, targets, one, pos_weight, quantity=quantity, **options)


@pytest.mark.parametrize("name", ["targets", "weight", "pos_weight"])
@pytest.mark.parametrize("dtype", FORMATS)
def test_forward_mode_in_the_other_operands_whatever_cancels(dtype, name):
    random = np.random.default_rng(3)
    x, y, v, p = random.normal(size=(4, 5, 7)).astype(np.float16).astype(dtype)
    forward_in(name, x * dtype(20), y, v, np.abs(p))
    x = np.array([[-3.0, -3.0, -3.0, -20.0, -90.0, -700.0, -60_000.0]]).astype(dtype)
    v = np.array([[3.0, -1.0, -2.0, 0.0, 0.0, 0.0, 0.0]], dtype)
    for last in range(2, 7):
        v[0, last] = -1 if last > 2 else -2
        for hard in (0, 1):
            y = np.full_like(x, hard)
            for pos_weight in (0, 1, 4):
                forward_in(name, x, y, v, np.full_like(x, pos_weight))
                forward_in(name, -x, y, v, np.full_like(x, pos_weight))
        v[0, 3:] = 0


def test_losses_below_the_smallest_number_add_up():
    x = np.full(3000, -745.5)
    y, w = np.zeros_like(x), np.full(1, 0.3)
    for weight in (w, None, -w):
        for reduction in ("sum", "mean"):
            found = binary_cross_entropy_with_logits(x, y, weight, None, reduction)
            faithful(found, x, y, weight, reduction=reduction)
    gradient_in("weight", x, y, w, None, None, "sum")
    forward(x, y, np.full_like(x, -0.5), reduction="sum")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_losses_of_both_signs(dtype):
    x, y, _, p = problem(dtype, (6, 50))
    w = np.where(np.arange(300).reshape(6, 50) % 2, -1, 1).astype(dtype)
    x[:, 1::2], y[:, 1::2], p[1::2] = x[:, ::2], y[:, ::2], p[::2]
    x[0, 0] = np.nextafter(x[0, 0], dtype(9))
    for reduction in ("sum", "mean"):
        found = binary_cross_entropy_with_logits(x, y, w, p, reduction)
        faithful(found, x, y, w, p, reduction=reduction)


def test_terms_beyond_float64_cancel_or_not():
    x, y = np.array([[1e300, 1e300, 3.0]]), np.array([[0.0, 0.0, 0.5]])
    w, p = np.full((1, 1), 1e250), np.ones((1, 3))
    for c in ([1e200, -1e200, 1.0], [1e200, 1e200, 1.0], [1e200, -1e200, 0.0]):
        gradient_in("weight", x, y, w, p, np.array([c]))
        forward(x, y, np.array([c]), w * 1e50, p, reduction="sum")


def test_what_is_left_beside_subnormal_terms():
    x, y = np.array([-2e153, 1e145, 2e146, -2e153, 1e145, 2e146]), np.full(6, 0.25)
    c = np.array([-0.5, -1.75, -0.25, -0.125, 1.75, 0.25])
    p = np.array([4, 7, 50, 110, 0, 1650]) * 5e-324
    for reduction in ("sum", "mean"):
        forward(x, y, c, None, p, reduction=reduction)


def test_bits_depend_on_neither_threads_nor_layout():
    random = np.random.default_rng(2)
    x, y, v = random.normal(size=(3, 300, 301))
    before = threads.num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            found.append(jacobian_vector_product(x, y, v, reduction="sum").tobytes())
            strided = (np.asfortranarray(row) for row in (x, y, v))
            found.append(jacobian_vector_product(*strided, reduction="sum").tobytes())
    finally:
        threads.set_num_threads(before)
    assert len(set(found)) == 1


def test_directions_are_checked():
    x = np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"vector has shape \(3,\) and logits has shape \(2, 3\)"):
        jacobian_vector_product(x, x, x[0])
    with pytest.raises(TypeError, match="vector has dtype"):
        jacobian_vector_product(x, x, x.astype(complex))

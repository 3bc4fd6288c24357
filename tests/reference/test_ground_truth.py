"""The public call: shapes, reading of inputs, reductions, misuse, and Truth itself."""

from __future__ import annotations

import ml_dtypes
import mpmath
import numpy as np
import pytest

from bce_conformance.reference import FORMATS, evaluate, ground_truth


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,), (2, 0, 3)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_shapes_and_dtypes(shape, reduction):
    x = np.full(shape, 0.5, np.float32)
    loss = ground_truth(x, x, reduction=reduction, dtype="bfloat16")
    assert loss.nearest.shape == loss.offset.shape == (shape if reduction == "none" else ())
    assert loss.nearest.dtype == ml_dtypes.bfloat16
    for quantity in ("grad_logits", "grad_targets", "hess_logits"):
        got = ground_truth(x, x, quantity=quantity, reduction=reduction)
        assert got.nearest.shape == shape


def test_empty():
    nothing = np.zeros((0, 3))
    assert np.isnan(ground_truth(nothing, nothing, reduction="mean").nearest)
    assert ground_truth(nothing, nothing, reduction="sum").is_zero
    gradient = ground_truth(
        nothing, nothing, None, np.ones(3), quantity="grad_pos_weight", reduction="mean"
    )
    np.testing.assert_array_equal(gradient.nearest, np.zeros(3))


@pytest.mark.parametrize("operand", ["weight", "pos_weight"])
@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1), (1, 4), (3, 4), (2, 3, 4), (2, 1, 1)])
def test_broadcast_gradients_have_the_operands_shape_and_sum_exactly(operand, shape):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 4)), rng.uniform(size=(2, 3, 4))
    c = rng.normal(size=x.shape)
    op = {operand: rng.uniform(size=shape)}
    got = ground_truth(x, y, **op, quantity=f"grad_{operand}", cotangent=c, dtype="float64")
    assert got.nearest.shape == shape
    full = {operand: np.broadcast_to(op[operand], x.shape)}
    each = ground_truth(x, y, **full, quantity=f"grad_{operand}", cotangent=c, dtype="float64")
    index = np.broadcast_to(np.arange(got.nearest.size).reshape(shape), x.shape)
    for i in range(got.nearest.size):
        with mpmath.workdps(60):
            terms = [each.exact(int(j)) for j in np.flatnonzero(index.reshape(-1) == i)]
            assert abs(mpmath.fsum(terms) - got.exact(i)) < mpmath.mpf(10) ** -50


def test_inputs_of_every_kind_are_read_exactly():
    expected = ground_truth(1.0, 1.0, 2.0, dtype="float64").nearest
    for x in (1, True, np.int8(1), np.float16(1), ml_dtypes.bfloat16(1), np.uint64(1)):
        assert ground_truth(x, True, 2, dtype="float64").nearest == expected
    exact = ground_truth(np.float32(0.1), 0, quantity="grad_targets", dtype="float64")
    assert exact.nearest == -np.float64(np.float32(0.1))


def test_integers_beyond_float64_are_refused_and_large_exact_ones_taken():
    assert ground_truth(2**60, 0, dtype="float64").nearest == 2.0**60
    with pytest.raises(ValueError, match="logits holds 9007199254740993"):
        ground_truth(2**53 + 1, 0)


def test_operands_are_not_modified_and_may_have_any_layout():
    x = np.arange(12.0)[::-2].reshape(2, 3).T
    x.flags.writeable = False
    got = ground_truth(x, np.zeros((3, 2)))
    np.testing.assert_array_equal(got.nearest, ground_truth(x.copy(), np.zeros((3, 2))).nearest)


def test_precision_of_mpmath_does_not_leak():
    with mpmath.workprec(77):
        truth = ground_truth(np.array([0.3, 700.0]), np.array([0.1, 0.2]))
        assert truth.exact(1) > 0
        assert mpmath.mp.prec == 77


def test_exact_has_fifty_digits_whatever_the_current_precision():
    got = ground_truth(20.0, 1.0, quantity="grad_logits").exact()
    with mpmath.workdps(70):
        expected = -1 / (1 + mpmath.exp(mpmath.mpf(20)))
        assert abs(got / expected - 1) < mpmath.mpf(10) ** -55


def test_exact_takes_flat_and_tuple_indices_and_refuses_slices():
    truth = ground_truth(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2)))
    assert truth.exact(2) == truth.exact((1, 0))
    with pytest.raises(IndexError, match=r"shape \(2, 2\)"):
        truth.exact((0,))
    with pytest.raises(IndexError):
        truth.exact(4)


def test_equal_elements_are_evaluated_once(monkeypatch):
    pool = np.random.default_rng(5).normal(size=50)
    x = np.random.default_rng(6).choice(pool, 20000)
    y = np.zeros_like(x)
    calls = []
    real = evaluate.part
    monkeypatch.setattr(evaluate, "part", lambda *a: calls.append(1) or real(*a))
    ground_truth(x, y, reduction="mean", method="certified")
    ground_truth(x, y, method="certified")
    assert len(calls) == 100


def test_distinct_rows_survive_a_hash_collision(monkeypatch):
    monkeypatch.setattr(evaluate, "_mixed", lambda bits: bits * np.uint64(0))
    columns = [np.array([1.0, 2.0, 1.0, 3.0]), np.array([5.0, 5.0, 5.0, 5.0])]
    first, inverse = evaluate.distinct(columns)
    assert len(first) == 3
    np.testing.assert_array_equal(columns[0][first][inverse], columns[0])


def test_mean_of_many_equal_elements_is_that_element():
    x = np.full(1_000_00, 0.7, np.float32)
    one = ground_truth(x[:1], np.zeros(1), dtype="float32")
    mean = ground_truth(x, np.zeros(x.size), reduction="mean", dtype="float32")
    assert (mean.nearest, mean.offset) == (one.nearest[0], pytest.approx(one.offset[0], abs=1e-9))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1.0], [1.0, 2.0]), {}, ValueError, r"targets has shape \(2,\); .* logits, \(1,\)"),
        (
            (np.ones((8, 4)), np.ones((8, 4)), np.ones(3)),
            {},
            ValueError,
            r"weight has shape \(3,\), which does not broadcast to logits of shape \(8, 4\)",
        ),
        (
            ([1.0], [1.0], None, np.ones((2, 1))),
            {},
            ValueError,
            r"pos_weight has shape \(2, 1\), which does not broadcast to logits of shape \(1,\)",
        ),
        (([1j], [1.0]), {}, TypeError, "logits has dtype complex128"),
        (([1.0], ["a"]), {}, TypeError, "targets has dtype <U1"),
        (([1.0], [1.0], [None]), {}, TypeError, "weight has dtype object"),
        (([1.0], [1.0]), {"quantity": "grad"}, ValueError, "quantity is 'grad'; accepted are loss"),
        (([1.0], [1.0]), {"reduction": "avg"}, ValueError, "reduction is 'avg'; accepted are none"),
        (([1.0], [1.0]), {"reduction": None}, ValueError, "reduction is None"),
        (([1.0], [1.0]), {"method": "slow"}, ValueError, "method is 'slow'; accepted are auto"),
        (([1.0], [1.0]), {"dtype": "float80"}, TypeError, "dtype is 'float80'; accepted"),
        (([1.0], [1.0]), {"cotangent": 1.0}, ValueError, "cotangent is given, but quantity 'loss'"),
        (([1.0], [1.0]), {"quantity": "grad_weight"}, ValueError, "weight is None, but quantity"),
        (
            ([1.0], [1.0]),
            {"quantity": "grad_logits", "cotangent": [1.0], "reduction": "sum"},
            ValueError,
            r"cotangent has shape \(1,\); the loss with reduction 'sum' has \(\)",
        ),
    ],
)
def test_misuse_names_the_argument(arguments, options, error, message):
    with pytest.raises(error, match=message):
        ground_truth(*arguments, **options)


def test_every_format_is_exercised():
    assert list(FORMATS) == ["float16", "bfloat16", "float32", "float64"]

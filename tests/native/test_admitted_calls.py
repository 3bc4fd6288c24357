"""Calls that no requirement names one by one: extreme products, specials, mixed formats, memory."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.native import (
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    value_and_grad,
)
from bce_conformance.reference import ground_truth, ulp_error

FORMATS = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
OPERANDS = ("logits", "targets", "weight", "pos_weight")


def results(operands, quantities=OPERANDS, cotangent=None, tangent=None, reduction="none"):
    """(name, result, truth) of the loss, the gradients and, with a tangent, the Hessian's product.

    ``operands`` are logits, targets, weight and pos_weight; those of the same shape.
    """
    names = [name for name, operand in zip(OPERANDS, operands, strict=True) if operand is not None]
    wanted = tuple(name for name in names if name in quantities)
    loss, gradients = value_and_grad(*operands, reduction, wrt=wanted, cotangent=cotangent)
    options = {"reduction": reduction, "cached": False}
    plain = operands[0].dtype.name
    yield "loss", loss, ground_truth(*operands, dtype=plain, **options)
    for name in wanted:
        dtype = operands[OPERANDS.index(name)].dtype.name
        truth = ground_truth(
            *operands, quantity=f"grad_{name}", cotangent=cotangent, dtype=dtype, **options
        )
        yield f"grad_{name}", gradients[name], truth
    if tangent is not None:
        product = hessian_vector_product(
            *operands[:2], tangent, *operands[2:], reduction, cotangent=cotangent
        )
        truth = ground_truth(
            *operands,
            quantity="hvp_logits",
            cotangent=cotangent,
            tangent=tangent,
            dtype=plain,
            **options,
        )
        yield "hvp", product, truth


def check(judged):
    """Every result is faithful, and of its operand's format and shape."""
    count = 0
    for name, got, truth in judged:
        assert got.dtype == truth.nearest.dtype, name
        assert got.shape == truth.nearest.shape, name
        error = np.ravel(ulp_error(got, truth))
        worst = int(np.argmax(error))
        assert error[worst] < 1, (name, worst, got.ravel()[worst], truth.nearest.ravel()[worst])
        value, exact = (np.ravel(a).astype(float) for a in (got, truth.nearest))
        signed = ~np.isnan(exact) & ~np.ravel(truth.is_zero)
        assert (np.signbit(value) == np.signbit(exact))[signed].all(), name
        count += got.size
    assert count


def grid(dtype, *axes):
    """Every combination of the values of the axes, each an array of ``dtype``."""
    with np.errstate(all="ignore"):
        return [np.ravel(a).astype(dtype) for a in np.meshgrid(*axes, indexing="ij")]


@pytest.mark.parametrize("dtype", FORMATS)
def test_what_balances_at_zero_leaves_what_the_logit_adds(dtype):
    x = np.array([0.0, 5e-324, 1e-320, 1e-300, 1e-110, 1e-30, 1e-20, 1e-8, 1e-4, 0.2, 0.26])
    y = np.array([0.5, 0.25, 0.75, 1.0, 0.1])
    p = np.array([1.0, 3.0, 1 / 3, 9.0, 2.0**-52])
    x, y, p = grid(dtype, np.concatenate([x, -x]), y, p)
    check(results((x, y, None, p), tangent=np.full_like(x, 1)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_that_underflow_or_overflow_on_the_way(dtype):
    limits = np.finfo(dtype)
    tiny, huge = float(limits.smallest_subnormal), float(limits.max)
    x = np.array([0.0, 3.0, 40.0, 650.0, 695.0, 720.0, 760.0, 1e30, huge])
    y = np.array([0.0, tiny, 1e-30, 0.5, 1.0])
    w = np.array([0.0, tiny, 1e-30, 1.0, 1e30, huge])
    p = np.array([0.0, tiny, 1e-30, 1.0, 1e30, huge])
    x, y, w, p = grid(dtype, np.concatenate([x, -x]), y, w, p)
    check(results((x, y, w, p), tangent=w))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_specials_in_any_operand(dtype, special):
    x = np.array([-np.inf, -2.0, 0.0, 0.5, np.inf, special])
    y = np.array([0.0, 0.5, 1.0] + [special] * bool(np.isnan(special)))
    w = np.array([0.0, 1.0, 2.0, abs(special)])
    p = np.array([0.0, 1.0, 3.0, abs(special)])
    x, y, w, p = grid(dtype, x, y, w, p)
    check(results((x, y, w, p), tangent=np.full_like(x, 0.5)))
    cotangent = np.where(np.arange(x.size) % 3 == 0, special, 1.0).astype(dtype)
    check(results((x, y, w, p), cotangent=cotangent))
    check(results((x, y, None, None), cotangent=cotangent, tangent=w))


@pytest.mark.parametrize("dtype", FORMATS)
def test_nan_where_the_gradient_vanishes_exactly(dtype):
    x, y, nan = (np.array([value], dtype) for value in (0.0, 0.5, np.nan))
    for reduction in ("none", "mean"):
        _, gradients = value_and_grad(x, y, nan, None, reduction)
        assert np.isnan(gradients["logits"][0])
    _, gradients = value_and_grad(x, y, reduction="none", cotangent=nan)
    assert np.isnan(gradients["logits"][0])
    _, gradients = value_and_grad(x, y, reduction="mean", cotangent=nan[0])
    assert np.isnan(gradients["logits"][0])


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_infinite_operands_in_a_reduction(dtype, reduction):
    x = np.array([1, np.inf, -2, -np.inf, 5.0]).astype(dtype)
    y = np.array([0, 1, 1, 0, 0.5]).astype(dtype)
    for weight in (np.ones(5), [1, 2, np.inf, 1, 1], [1, 0, 1, np.inf, 1], [1, 1, np.nan, 1, 1]):
        w = np.array(weight).astype(dtype)
        for p in (None, np.full(5, 2).astype(dtype), np.array([np.inf, 1, 1, 1, 1]).astype(dtype)):
            check(results((x, y, w, p), reduction=reduction))


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_sum_of_one_special_element_is_that_element(dtype):
    """As where a weight of 0 meets an infinite logit, and the pos_weight is infinite or NaN."""
    special = [np.inf, -np.inf, np.nan, 0.0, -1.5]
    for column in zip(*grid(dtype, special, [0.0, 0.25, 1.0], special, special), strict=True):
        operands = tuple(np.array([value], dtype) for value in column)
        check(results(operands, quantities=("logits",), reduction="sum"))


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_negative_pos_weight_makes_terms_cancel(dtype):
    random = np.random.default_rng(4)
    x = (random.normal(size=400) * 3).astype(dtype)
    y = random.uniform(0.3, 0.7, 400).astype(dtype)
    y[::2] = 0.5
    p = -random.uniform(0.5, 2, 400).astype(dtype)
    p[::3] = -1
    check(results((x, y, None, p), tangent=np.full_like(x, 1)))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("weight_dtype", [np.float32, np.float64])
def test_gradients_come_in_their_operand_s_format(dtype, weight_dtype):
    x = np.full(3, 60000, np.float64).astype(dtype)
    y = np.zeros(3, weight_dtype)
    w = np.ones(1, weight_dtype)
    _, gradients = value_and_grad(x, y, w, w, "sum", wrt=OPERANDS)
    formats = {name: array.dtype for name, array in gradients.items()}
    assert formats == dict.fromkeys(OPERANDS, np.dtype(weight_dtype)) | {"logits": np.dtype(dtype)}
    assert gradients["weight"] == 3 * float(x[0])
    random = np.random.default_rng(0)
    x = (random.normal(size=300) * 4).astype(dtype)
    y, w, p = random.uniform(0, 1, (3, 300)).astype(weight_dtype)
    check(results((x, y, w, p)))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("size", [2.0**127, 2.0**129, 2.0**239, 2.0**250])
def test_large_factors_bring_back_what_has_vanished(dtype, size):
    x = np.arange(480, 760, 2.5).astype(dtype)
    x = np.concatenate([x, -x])
    ones, large = np.ones_like(x), np.full(x.shape, size)
    for y in (ones, large / 16):
        check(results((x, y, large, large), cotangent=large, tangent=large))
        check(results((x, y, None, large), cotangent=large, tangent=large))


@pytest.mark.parametrize("dtype", FORMATS)
def test_nan_of_any_payload_shows_in_narrower_results(dtype):
    bits = [0x7FF8 << 48, 0x7FF << 52 | 1, 0x7FFEF411B0EA7D71, 0xFFFEF411B0EA7D71]
    x = np.repeat(np.array(bits, np.uint64).view(np.float64), 9)
    y, p = (np.resize(a, x.size).astype(dtype) for a in ([0, 0.5, 1], [0, 0, 0, 1, 1, 1, 3, 3, 3]))
    check(results((x, y, np.ones_like(p), p), tangent=np.ones_like(x)))
    check(results((x, y, p, None), tangent=np.ones_like(x)))


@pytest.mark.parametrize("value", [2, 2.0, True, [2.0, 2.0], np.int16(2)])
def test_gradients_in_what_has_no_format_come_in_the_logits(value):
    x, y = np.array([1.0, -2.0], np.float32), np.array([1, 0])
    _, gradients = value_and_grad(x, y, value, value, wrt=OPERANDS)
    assert [gradient.dtype for gradient in gradients.values()] == [np.float32] * 4


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("other", [1e-300, 1e300, 2.0**-240])
def test_float64_operands_of_narrow_logits(dtype, other):
    x = np.array([0.5, -30.0, 60.0, 495.0, 510.0, -700.0]).astype(dtype)
    y = np.array([1.0, 0.5, 1.0, 1.0, 1.0, 0.0]).astype(dtype)
    w, p = np.full(6, other), np.full(6, 1 / other)
    check(results((x, y, w, p)))
    check(results((x, y, p, w)))
    check(results((x, y, None, w), cotangent=p))
    check(results((x, y, p, None), reduction="mean"))


def test_sums_that_leave_a_range_on_the_way():
    x, y = np.array([1e308, 1e308, -1.0, -1e308]), np.array([0.0, 0.0, 1.0, 1.0])
    w, p = np.float64(4.0), np.float16(2.0)
    for cotangent in (np.array([1.0, -1.0, 2.0, 0.0]), np.full(4, 3e-265), np.full(4, 1e300)):
        check(results((x, y, np.asarray(w), np.asarray(p)), cotangent=cotangent))
    weight = np.array([1e10, -1e10, 1.0, 0.0])
    check(results((x, y, weight, None), reduction="sum"))
    check(results((x, y, np.full(4, 2.0), None), reduction="mean"))


def test_what_else_is_wanted_changes_no_bit():
    random = np.random.default_rng(8)
    x = random.normal(size=4000) * 3
    y = 1 / (1 + np.exp(-x)) * random.choice([1.0, 1 + 2.0**-30, 0.3], x.size)
    w, p = 10.0 ** random.uniform(-100, 100, (2, x.size))
    loss, gradients = value_and_grad(x, y, w, p, "none", wrt=OPERANDS, cotangent=p)
    alone = binary_cross_entropy_with_logits(x, y, w, p, "none")
    assert loss.tobytes() == alone.tobytes()
    for name in OPERANDS:
        _, single = value_and_grad(x, y, w, p, "none", wrt=(name,), cotangent=p)
        assert gradients[name].tobytes() == single[name].tobytes(), name
    for reduction in ("sum", "mean"):
        scaled, _ = value_and_grad(x, y, reduction=reduction, cotangent=3.0)
        assert scaled == binary_cross_entropy_with_logits(x, y, reduction=reduction)


def test_arrays_of_frameworks_in_the_computer_s_memory():
    torch = pytest.importorskip("torch")
    x, y = np.array([0.5, -2.0, 3.0], np.float32), np.array([1.0, 0.0, 1.0], np.float32)
    expected = value_and_grad(x, y, reduction="none")
    for make in (torch.tensor, pytest.importorskip("jax.numpy").asarray):
        loss, gradients = value_and_grad(make(x), make(y), reduction="none")
        assert loss.tobytes() == expected[0].tobytes()
        assert gradients["logits"].tobytes() == expected[1]["logits"].tobytes()
        assert type(loss) is np.ndarray


@pytest.mark.parametrize("name", ["logits", "targets", "weight", "pos_weight", "cotangent"])
def test_masked_arrays_and_matrices_are_refused(name):
    for value in (np.ma.masked_array([1.0, 2.0], [True, False]), np.ones((1, 2)).view(np.matrix)):
        arguments = {"logits": np.zeros(2), "targets": np.zeros(2), "reduction": "none"}
        with pytest.raises(TypeError, match=f"{name} is a {type(value).__name__}"):
            value_and_grad(**{**arguments, name: value})


def test_memory_of_results_is_their_own():
    x, y = np.zeros((4, 5)), np.ones((4, 5))
    free = np.empty((4, 5))
    for out, match in (
        ({"logits": free, "targets": free}, r"out\['targets'\] shares memory with out\['logits'\]"),
        ({"logits": x}, r"out\['logits'\] shares memory with logits"),
        ({"logits": free, "loss": free}, r"out\['logits'\] shares memory with out\['loss'\]"),
        ({"targets": y}, r"out\['targets'\] shares memory with targets"),
        ({"logits": np.lib.stride_tricks.as_strided(free, (4, 5), (0, 8))}, "strides"),
        ({"logits": np.lib.stride_tricks.as_strided(free, (4, 5), (16, 8))}, "strides"),
    ):
        with pytest.raises(ValueError, match=match):
            value_and_grad(x, y, reduction="none", wrt=("logits", "targets"), out=out)
    with pytest.raises(ValueError, match="out shares memory with targets"):
        binary_cross_entropy_with_logits(x, y, reduction="none", out=y[:, ::1])
    assert not x.any()
    assert y.all()
    halves = np.empty((4, 10))
    out = {"logits": halves[:, ::2], "targets": halves[:, 1::2]}
    _, gradients = value_and_grad(x, y, reduction="none", wrt=("logits", "targets"), out=out)
    np.testing.assert_array_equal(gradients["logits"], -0.5)
    np.testing.assert_array_equal(gradients["targets"], 0.0)


FLUSHING = """
import numpy as np, torch
from bce_conformance.native import (
    hessian_vector_product, jacobian_vector_product, value_and_grad,
)

calls = []
cancelling = []
for dtype, reach in ((np.float32, 104), (np.float64, 745)):
    x = np.linspace(reach * 0.7, reach, 40_000).astype(dtype)
    tiny = np.finfo(dtype).smallest_subnormal * np.arange(x.size, dtype=dtype)
    calls.append((x, np.ones_like(x), tiny))
    signed = np.concatenate([tiny[1:50], -tiny[:49]])
    cancelling.append((np.tile(tiny[:49], 2), np.ones(98, dtype), signed, signed[50:51]))

def results():
    found = []
    for x, y, tiny in calls:
        for weight in (None, tiny):
            for reduction in ("none", "sum"):
                loss, gradients = value_and_grad(x, y, weight, None, reduction)
                found += [loss.tobytes(), gradients["logits"].tobytes()]
            loss, gradients = value_and_grad(x[:50], y[:50])
            found += [loss.tobytes(), gradients["logits"].tobytes()]
        found.append(hessian_vector_product(x, y, tiny).tobytes())
    for x, y, c, w in cancelling:
        found.append(jacobian_vector_product(x, y, c, c, reduction="sum").tobytes())
        gradients = value_and_grad(x, y, w, w, "none", wrt=("weight", "pos_weight"), cotangent=c)[1]
        found += [gradient.tobytes() for gradient in gradients.values()]
    return found

before = results()
small = np.float32(2.0**-140)
assert torch.set_flush_denormal(True)
assert small * np.float32(0.5) == 0
assert results() == before
assert small * np.float32(0.5) == 0
print("same")
"""


def test_flushing_of_subnormals_in_the_caller_s_thread_changes_nothing():
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", FLUSHING], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.strip() == "same", done.stderr[-2000:]

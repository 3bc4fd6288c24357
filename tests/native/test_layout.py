"""Layout, broadcasting, reductions, determinism: the same elements give the same bits."""

import math
import subprocess
import sys
import threading

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.native import (
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    value_and_grad,
)
from bce_conformance.native.memory.threads import num_threads, set_num_threads, share

FORMATS = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
OPERANDS = ("logits", "targets", "weight", "pos_weight")


def problem(dtype, shape=(37, 53), seed=0, soft=True):
    random = np.random.default_rng(seed)
    x = (random.normal(size=shape) * 5).astype(dtype)
    y = random.uniform(size=shape) if soft else random.uniform(size=shape) < 0.5
    w = random.uniform(0.5, 2, size=(shape[0], 1)).astype(dtype)
    p = random.uniform(0.5, 3, size=shape[1]).astype(dtype)
    return x, y.astype(dtype), w, p


def bits(results):
    loss, gradients = results
    return [loss.tobytes(), *(value.tobytes() for value in gradients.values())]


def layouts(array):
    """The same values in other memory, none of them plain."""
    yield "transposed", np.asfortranarray(array)
    yield "reversed", np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    spread = np.zeros((array.shape[0] * 2, array.shape[1] * 3), array.dtype)
    spread[::2, ::3] = array
    yield "strided", spread[::2, ::3]
    memory = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = memory[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    assert not unaligned.flags.aligned
    yield "unaligned", unaligned
    frozen = array.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    if array.dtype != ml_dtypes.bfloat16:
        yield "big-endian", array.astype(array.dtype.newbyteorder(">"))


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("weighted", [False, True])
def test_layout_does_not_change_a_bit(dtype, reduction, weighted):
    x, y, w, p = problem(dtype)
    scales = (w, p) if weighted else (None, None)
    expected = bits(value_and_grad(x, y, *scales, reduction))
    tried = 0
    for (name, x_view), (_, y_view) in zip(layouts(x), layouts(y), strict=True):
        before = x_view.tobytes(), y_view.tobytes()
        assert bits(value_and_grad(x_view, y_view, *scales, reduction)) == expected, name
        assert (x_view.tobytes(), y_view.tobytes()) == before, f"{name} input was modified"
        tried += 1
    assert tried >= 5


@pytest.mark.parametrize("dtype", FORMATS)
def test_position_and_length_do_not_change_a_bit(dtype):
    x, y, _, _ = problem(dtype, (1, 1500))
    whole = value_and_grad(x, y, reduction="none")[1]["logits"][0]
    for start, stop in ((0, 1), (1, 8), (7, 40), (511, 513), (3, 1500)):
        part = value_and_grad(x[0, start:stop], y[0, start:stop], reduction="none")
        assert part[1]["logits"].tobytes() == whole[start:stop].tobytes()
    summed = value_and_grad(x, y, reduction="sum")[1]["logits"][0]
    assert summed.tobytes() == whole.tobytes()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("weighted", [False, True])
def test_threads_do_not_change_a_bit(dtype, weighted):
    x, y, w, p = problem(dtype, (500, 700))
    scales = (w, p) if weighted else (None, None)
    results = []
    for count in (1, 2, 5):
        set_num_threads(count)
        results.append(bits(value_and_grad(x, y, *scales, "mean")))
    set_num_threads(None)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("shape", [(2000, 70), (70, 20_000)])
def test_threads_do_not_change_a_bit_of_sums_over_broadcast_operands(dtype, shape):
    x, y, w, p = problem(dtype, shape)
    results = []
    for count in (1, 2, 5):
        set_num_threads(count)
        results.append(bits(value_and_grad(x, y, w, p, "mean", wrt=("weight", "pos_weight"))))
    set_num_threads(None)
    assert results[0] == results[1] == results[2]


def test_threads_do_not_change_a_bit_of_broadcast_sums_that_cancel():
    """What is left of huge terms is the rounding of their order."""
    x, y, _, p = problem(np.float64, (2000, 70))
    y *= 10.0 ** np.random.default_rng(1).uniform(0, 25, y.shape)
    x, y = np.concatenate([x, x[::-1]]), np.concatenate([y, -y[::-1]])
    y[::100] += 0.3
    results = []
    for count in (1, 2, 5):
        set_num_threads(count)
        results.append(bits(value_and_grad(x, y, None, p, "sum", wrt=("pos_weight",))))
    set_num_threads(None)
    assert results[0] == results[1] == results[2]


def test_callers_in_several_threads_do_not_disturb_each_other():
    x, y, w, p = problem(np.float32, (400, 900))
    expected = bits(value_and_grad(x, y, w, p))
    found = []

    def call():
        found.append(all(bits(value_and_grad(x, y, w, p)) == expected for _ in range(5)))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [True] * 4


def test_an_error_in_any_thread_reaches_the_caller_and_leaves_the_workers_usable():
    set_num_threads(3)
    for failing in (0, 63):
        seen = []

        def work(first, last, failing=failing, seen=seen):
            seen.append((first, last))
            if first <= failing < last:
                raise ValueError(f"chunk {failing}")

        with pytest.raises(ValueError, match=f"chunk {failing}"):
            share(work, 64)
        assert sorted(seen)[0][0] == 0
        assert sum(last - first for first, last in seen) == 64
    set_num_threads(None)


def test_a_forked_child_starts_threads_of_its_own():
    script = """
import os
from bce_conformance.native.memory.threads import set_num_threads, share
set_num_threads(2)
share(lambda first, last: None, 64)
child = os.fork()
seen = []
share(lambda first, last: seen.append(last - first), 64)
if child == 0:
    os._exit(0 if sum(seen) == 64 else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_number_of_threads_is_checked():
    with pytest.raises(ValueError, match="count is 0"):
        set_num_threads(0)
    assert num_threads() >= 1


SHAPES = [
    ((5, 7), (), ()),
    ((5, 7), (7,), (1,)),
    ((5, 7), (5, 1), (7,)),
    ((5, 7), (1, 7), (5, 7)),
    ((2, 3, 4, 5), (3, 1, 1), (2, 1, 1, 5)),
    ((2, 3, 4, 5), (2, 1, 4, 1), (3, 4, 5)),
    ((1, 1), (1, 1), (1,)),
    ((), (), ()),
]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("shape", "weight_shape", "pos_weight_shape"), SHAPES)
def test_broadcast_operands_act_as_if_they_were_materialised(
    dtype, shape, weight_shape, pos_weight_shape
):
    random = np.random.default_rng(1)
    x = (random.normal(size=shape) * 4).astype(dtype)
    y, v = (random.uniform(size=shape).astype(dtype) for _ in range(2))
    w = random.uniform(0.5, 2, weight_shape).astype(dtype)
    p = random.uniform(0.5, 3, pos_weight_shape).astype(dtype)
    full = [np.ascontiguousarray(np.broadcast_to(a, shape)).reshape(shape) for a in (w, p)]
    loss, gradients = value_and_grad(x, y, w, p, "none", wrt=OPERANDS)
    expected, wide = value_and_grad(x, y, *full, "none", wrt=OPERANDS)
    assert loss.tobytes() == expected.tobytes()
    for name in ("logits", "targets"):
        assert gradients[name].tobytes() == wide[name].tobytes()
    product = hessian_vector_product(x, y, v, w, p, "none")
    assert product.tobytes() == hessian_vector_product(x, y, v, *full, "none").tobytes()
    # The terms in float64 are exact sums of what the narrow formats have been rounded from.
    _, exact = value_and_grad(
        x.astype(float), y.astype(float), *[a.astype(float) for a in full], "none", wrt=OPERANDS
    )
    for name, operand in (("weight", w), ("pos_weight", p)):
        assert gradients[name].shape == operand.shape
        lead = len(shape) - operand.ndim
        axes = tuple(range(lead)) + tuple(
            lead + axis for axis, size in enumerate(operand.shape) if size != shape[lead + axis]
        )
        total = exact[name].sum(axis=axes).reshape(operand.shape)
        spacing = 2.0 ** -{2: 10, 4: 23, 8: 51}[x.dtype.itemsize]
        spacing = 2.0**-7 if dtype == ml_dtypes.bfloat16 else spacing
        error = np.abs(gradients[name].astype(float) - total)
        assert (error <= np.abs(total) * spacing * 0.51 + 1e-300).all()


def test_gradients_of_large_broadcast_operands_are_summed_piece_by_piece():
    random = np.random.default_rng(5)
    x = (random.normal(size=(3, 50_000)) * 4).astype(np.float32)
    y = random.uniform(size=x.shape).astype(np.float32)
    p = random.uniform(0.5, 3, 50_000).astype(np.float32)
    gradient = value_and_grad(x, y, None, p, "sum", wrt=("pos_weight",))[1]["pos_weight"]
    terms = value_and_grad(
        x.astype(float), y.astype(float), None, np.broadcast_to(p, x.shape).astype(float), "none",
        wrt=("pos_weight",),
    )[1]["pos_weight"]  # fmt: skip
    total = terms.sum(axis=0)
    assert (np.abs(gradient - total) <= np.spacing(total.astype(np.float32)) * 0.5001).all()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("size", [1, 31, 1000, 70_001])
@pytest.mark.parametrize("equal", [False, True])
def test_sums_are_as_good_as_the_exact_sum_rounded_once(dtype, size, equal):
    from bce_conformance.reference import ground_truth, ulp_error

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
    from bce_conformance.reference import ground_truth, ulp_error

    random = np.random.default_rng(size)
    y = (random.uniform(size=size) < 0.5).astype(float)
    x = np.where(y > 0, 1, -1) * random.uniform(*reach, size)
    for reduction in ("mean", "sum"):
        got = binary_cross_entropy_with_logits(x, y, reduction=reduction)
        assert got > 0
        truth = ground_truth(x, y, quantity="loss", reduction=reduction, dtype="float64")
        assert abs(float(np.ravel(ulp_error(got, truth))[0])) <= 0.7


def test_gradients_over_a_huge_count_are_rounded_once():
    from mpmath import mp, mpf

    from bce_conformance.native.kernels import sum_float64

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


def test_a_cotangent_scales_gradients_and_not_the_loss():
    x, y, w, p = problem(np.float64, soft=False)
    plain_loss, plain = value_and_grad(x, y, w, p, "mean", wrt=OPERANDS)
    loss, scaled = value_and_grad(x, y, w, p, "mean", wrt=OPERANDS, cotangent=4.0)
    assert loss == plain_loss
    for name in OPERANDS:
        np.testing.assert_array_equal(scaled[name], 4 * plain[name])
    field = np.full(x.shape, 0.5)
    _, halved = value_and_grad(x, y, w, p, "none", cotangent=field)
    _, whole = value_and_grad(x, y, w, p, "none")
    np.testing.assert_array_equal(halved["logits"], whole["logits"] / 2)


@pytest.mark.parametrize("dtype", FORMATS)
def test_targets_of_other_dtypes_are_taken_exactly(dtype):
    x, y, _, _ = problem(dtype, soft=False)
    expected = bits(value_and_grad(x, y))
    for other in (bool, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float64):
        assert bits(value_and_grad(x, y.astype(other))) == expected, other


def test_no_large_temporary_is_made():
    import tracemalloc

    x, y, w, p = problem(np.float32, (2000, 1000))
    calls = {
        "plain": lambda out: value_and_grad(x, y, out=out),
        "weighted": lambda out: value_and_grad(x, y, w, p, out=out),
        "strided": lambda out: value_and_grad(x[:, ::-1], y[:, ::-1], out=out),
        "all gradients": lambda out: value_and_grad(x, y, w, p, wrt=OPERANDS, out=out),
    }
    for name, call in calls.items():
        out = {"logits": np.empty_like(x)}
        if name == "all gradients":
            out["targets"] = np.empty_like(x)
        call(out)
        tracemalloc.start()
        call(out)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1 << 20, (name, peak)


def test_out_is_filled_whatever_its_memory():
    x, y, _, _ = problem(np.float32)
    expected = value_and_grad(x, y)[1]["logits"]
    strided = np.zeros((x.shape[0], x.shape[1] * 2), np.float32)[:, ::2]
    assert value_and_grad(x, y, out={"logits": strided})[1]["logits"] is strided
    assert strided.tobytes() == expected.tobytes()
    own = x.copy()
    assert value_and_grad(own, y, out={"logits": own})[1]["logits"] is own
    assert own.tobytes() == expected.tobytes()
    shifted = np.concatenate([x.ravel(), np.zeros(1, np.float32)])
    inputs = shifted[:-1].reshape(x.shape)
    loss = np.empty((), np.float32)
    value_and_grad(inputs, y, out={"logits": shifted[1:].reshape(x.shape), "loss": loss})
    assert shifted[1:].tobytes() == expected.tobytes()
    assert loss == value_and_grad(x, y)[0]


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
    from bce_conformance.native.element.extended import extended_gradient

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

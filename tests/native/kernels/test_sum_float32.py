"""float32 sums: gradients depend on their element and the scale only; all is within 0.6 ULP."""

import math

import numpy as np
import pytest

from bce_conformance.native import binary_cross_entropy_with_logits, value_and_grad
from bce_conformance.native.kernels import sum_float32
from bce_conformance.native.memory.threads import set_num_threads
from bce_conformance.reference import ground_truth, ulp_error

# What ACCURACY.md proves of a gradient and of a sum.
BOUND = 0.6
ROW = sum_float32.ROW


def gradients(x, y, count=1.0, cotangent=1.0):
    """The kernel's gradients."""
    g = np.full_like(x, np.nan)
    chunks = -(-x.size // 16_384)
    partials = np.zeros((chunks, 4))
    sum_float32.sum_and_decide(x, y, g, True, cotangent, count, 0, chunks, partials)
    return g


def assorted(size, seed=0):
    """Ordinary logits and hard targets, with a few soft ones, special values and tails."""
    random = np.random.default_rng(seed)
    x = (random.normal(size=size) * 6).astype(np.float32)
    y = (random.uniform(size=size) < 0.5).astype(np.float32)
    strange = random.integers(0, size, size // 200)
    x[strange[::4]] = random.uniform(-150, 150, strange[::4].size)
    y[strange[1::4]] = random.uniform(size=strange[1::4].size)
    x[strange[2::4]] = random.choice([np.inf, -np.inf, 0.0, -0.0], strange[2::4].size)
    y[strange[3::4]] = 1 / (1 + np.exp(-x[strange[3::4]]))
    return x, y


def bits(array):
    return np.asarray(array).tobytes()


@pytest.mark.parametrize("count", [1.0, 3.0, 1.6e7, 2.0**40])
@pytest.mark.parametrize("cotangent", [1.0, -0.7, 65_536.0])
def test_gradients_of_hard_targets_keep_their_bound(count, cotangent):
    random = np.random.default_rng(int(count))
    size = 40 * ROW
    y = (random.uniform(size=size) < 0.5).astype(np.float32)
    magnitude = np.where(
        random.uniform(size=size) < 0.8,
        random.uniform(0, 80, size),
        2.0 ** random.uniform(-149, 0, size),
    )
    x = (random.choice([-1, 1], size) * magnitude).astype(np.float32)
    got = gradients(x, y, count, cotangent)
    z = np.where(y == 1, -x, x).astype(np.longdouble)
    e = np.exp(-abs(z))
    exact = np.where(y == 1, -1, 1) * (cotangent / count) * np.where(z >= 0, 1, e) / (1 + e)
    ulp = np.maximum(2.0 ** (np.floor(np.log2(np.abs(exact))) - 23), 2.0**-149)
    error = np.abs(got - exact) / ulp
    assert 0.51 < error.max() <= BOUND
    assert (np.signbit(got) == np.signbit(exact)).all()


@pytest.mark.parametrize("value", [-14.0, -8.4, -6.0, -5.9, -1.0, -0.065, 0.0, 0.5, 17.0, 79.0])
@pytest.mark.parametrize("size", [ROW, 5 * ROW, 16_384, 3 * ROW + 17])
def test_sums_of_equal_elements_keep_their_bound(value, size):
    x = np.full(size, value, np.float32)
    for target in (0, 1):
        y = np.full(size, target, np.float32)
        for reduction in ("sum", "mean"):
            got = binary_cross_entropy_with_logits(x, y, reduction=reduction)
            truth = ground_truth(x, y, quantity="loss", reduction=reduction, dtype="float32")
            assert float(np.abs(ulp_error(got, truth)).max()) <= BOUND, (target, reduction)


def test_sums_of_many_kinds_of_rows_keep_their_bound():
    random = np.random.default_rng(7)
    judged = 0
    for _ in range(60):
        size = int(random.choice([ROW, 2 * ROW, 4 * ROW]))
        pattern = random.uniform(-12, 3, int(random.integers(1, 6)))
        y = (random.uniform(size=size) < 0.5).astype(np.float32)
        x = (np.resize(pattern, size) * np.where(y == 1, -1, 1)).astype(np.float32)
        got = binary_cross_entropy_with_logits(x, y, reduction="sum")
        truth = ground_truth(x, y, quantity="loss", reduction="sum", dtype="float32", cached=False)
        assert float(np.abs(ulp_error(got, truth)).max()) <= BOUND, pattern
        judged += 1
    assert judged == 60


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_an_element_has_the_same_gradient_wherever_it_is(reduction):
    x, y = assorted(40_000)
    count = float(x.size) if reduction == "mean" else 1.0
    _, found = value_and_grad(x, y, reduction=reduction)
    expected = found["logits"]
    for shift in (1, 15, ROW - 1, 8191):
        moved = gradients(np.roll(x, shift), np.roll(y, shift), count)
        assert bits(np.roll(moved, -shift)) == bits(expected), shift
    for at in np.random.default_rng(1).integers(0, x.size, 200).tolist():
        for size in (1, 17):
            alone = gradients(x[at : at + size].copy(), y[at : at + size].copy(), count)
            assert bits(alone) == bits(expected[at : at + size]), at


def test_memory_and_threads_change_nothing():
    x, y = assorted(40_000)
    finite = np.isfinite(x)
    x, y = x[finite], y[finite]
    expected = value_and_grad(x, y)
    for skipped in (1, 3, 8):
        held = np.empty((3, x.size + skipped), np.float32)
        a, b, g = held[:, skipped:]
        a[:], b[:] = x, y
        loss, _ = value_and_grad(a, b, out={"logits": g})
        assert (bits(loss), bits(g)) == (bits(expected[0]), bits(expected[1]["logits"]))
    for threads in (1, 2, 3):
        set_num_threads(threads)
        loss, found = value_and_grad(x, y)
        assert (bits(loss), bits(found["logits"])) == (
            bits(expected[0]),
            bits(expected[1]["logits"]),
        )
    set_num_threads(None)
    strided = np.repeat(x, 2)[::2]
    assert bits(value_and_grad(strided, y)[0]) == bits(expected[0])


@pytest.mark.parametrize("size", [1, 16, 100, ROW, ROW + 1, 20_000])
@pytest.mark.parametrize("kind", ["hard", "assorted", "soft", "faint", "mostly soft"])
def test_a_sum_is_the_same_with_and_without_gradient(size, kind):
    x, y = assorted(size, seed=size)
    x[~np.isfinite(x)] = 1
    if kind == "hard":
        y = np.round(y)
    elif kind == "soft":
        y = np.random.default_rng(size).uniform(0.1, 0.9, size).astype(np.float32)
    elif kind == "faint":
        y = np.round(y)
        x = np.where(y == 1, 11, -11).astype(np.float32)
    elif kind == "mostly soft":
        y[: size // 2] = 0.25
    for reduction in ("sum", "mean"):
        loss, _ = value_and_grad(x, y, reduction=reduction)
        assert bits(binary_cross_entropy_with_logits(x, y, reduction=reduction)) == bits(loss)
        truth = ground_truth(x, y, quantity="loss", reduction=reduction, dtype="float32")
        assert float(np.abs(ulp_error(loss, truth)).max()) <= BOUND


def test_soft_elements_have_the_gradients_of_no_reduction():
    x, y = assorted(30_000)
    hard = ((y == 0) | (y == 1)) & (abs(x) <= 80)
    _, alone = value_and_grad(x, y, reduction="none")
    summed = gradients(x, y)
    assert 100 < np.count_nonzero(~hard) < 500
    assert np.array_equal(summed[~hard], alone["logits"][~hard], equal_nan=True)
    assert not np.array_equal(summed[hard], alone["logits"][hard])


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_special_elements_leave_the_others_alone(strange):
    x, y = assorted(3 * ROW + 5)
    x[~np.isfinite(x)] = 1
    _, before = value_and_grad(x, y)
    x[700], y[700] = strange, 0
    loss, after = value_and_grad(x, y)
    others = np.arange(x.size) != 700
    assert bits(before["logits"][others]) == bits(after["logits"][others])
    value = after["logits"][700]
    limit = {True: 0.0, False: np.float32(1 / x.size)}[strange < 0]
    np.testing.assert_array_equal(value, np.nan if np.isnan(strange) else limit)
    assert np.isfinite(loss) == (strange < 0)


def test_a_cotangent_is_part_of_the_scale():
    x, y = assorted(5 * ROW)
    x[~np.isfinite(x)] = 1
    _, plain = value_and_grad(x, y, reduction="sum")
    for cotangent in (1.0, -1.0, 2.0**20, 0.25):
        loss, scaled = value_and_grad(x, y, reduction="sum", cotangent=cotangent)
        assert bits(loss) == bits(value_and_grad(x, y, reduction="sum")[0])
        expected = cotangent * plain["logits"].astype(float)
        normal = np.abs(plain["logits"]) >= 2.0**-118
        assert np.array_equal(scaled["logits"][normal], expected[normal])
    for cotangent in (0.0, 1e-30, 3e38, 0.3):
        _, scaled = value_and_grad(x, y, cotangent=np.float64(cotangent))
        truth = ground_truth(
            x, y, quantity="grad_logits", reduction="mean", cotangent=cotangent, dtype="float32"
        )
        assert float(np.abs(ulp_error(scaled["logits"], truth)).max()) <= BOUND


def test_targets_of_other_dtypes_are_those_of_the_format():
    x, y = assorted(2 * ROW + 100)
    x[~np.isfinite(x)] = 1
    y = np.round(y)
    expected = value_and_grad(x, y)
    for dtype in (bool, np.uint8, np.int64, np.float16, np.float64):
        loss, found = value_and_grad(x, y.astype(dtype))
        assert (bits(loss), bits(found["logits"])) == (
            bits(expected[0]),
            bits(expected[1]["logits"]),
        )
    huge = np.full(3, 2**24 + 1)
    loss = binary_cross_entropy_with_logits(np.float32([1, 2, 3]), huge, reduction="sum")
    exact = sum(math.log1p(math.exp(-z)) + z - z * (2**24 + 1) for z in (1, 2, 3))
    assert loss == np.float32(exact)


def test_the_limit_is_where_rests_would_be_subnormal():
    for scale in (1.0, 1 / 1.6e7, 2.0**-90, 2.0**-125):
        x = np.linspace(0, 100, 4 * ROW).astype(np.float32)
        y = np.ones_like(x)
        got = gradients(x, y, 1 / scale)
        exact = -scale * np.exp(-x.astype(np.longdouble)) / (1 + np.exp(-x.astype(np.longdouble)))
        ulp = np.maximum(2.0 ** (np.floor(np.log2(np.abs(exact))) - 23), 2.0**-149)
        assert (np.abs(got - exact) / ulp).max() <= BOUND

"""The fast path against the slow one, bit for bit, where it breaks first."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, ctx

from bce_conformance.reference import FORMATS, ground_truth
from bce_conformance.reference.fast import fast_path
from bce_conformance.reference.fast.functions import (
    FUNCTION_ERROR,
    bell_or_square,
    sigmoid_tail_or_half_tanh,
    softplus_tail,
)
from bce_conformance.reference.quantities import QUANTITIES
from bce_conformance.reference.verify.points import adversarial_points, random_points

USED = [("w", "p", "c"), ("w",), ("p",), ()]


def operands(quantity, points, used):
    w = points.w if "w" in used or quantity == "grad_weight" else None
    p = points.p if "p" in used or quantity == "grad_pos_weight" else None
    c = points.c if "c" in used and quantity != "loss" else None
    return (points.x, points.y, w, p), c


def assert_same(fast, slow, where):
    """Bits of nearest, sign and zeros of offset, offset to what it promises; where decided."""
    known = ~fast.undecided
    near, expected = (t.nearest.astype(np.float64)[known] for t in (fast, slow))
    wrong = (near != expected) | (np.signbit(near) != np.signbit(expected))
    off, right = fast.offset[known], slow.offset[known]
    wrong |= np.sign(off) != np.sign(right)
    wrong |= np.abs(off - right) > 2.0**-10 * np.maximum(1, np.abs(right))
    first = np.flatnonzero(known)[wrong][:3]
    shown = [([float(a[i]).hex() for a in where if a is not None], fast.offset[i]) for i in first]
    assert not wrong.any(), (wrong.sum(), shown)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_adversarial_points_have_the_bits_of_the_slow_path(quantity, name):
    for seed, used in enumerate(USED):
        points = adversarial_points(FORMATS[name], 700, seed)
        where, c = operands(quantity, points, used)
        options = {"quantity": quantity, "cotangent": c, "dtype": name}
        fast = ground_truth(*where, **options, method="fast")
        assert_same(fast, ground_truth(*where, **options, method="certified"), (*where, c))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_random_points_are_decided_and_have_the_bits_of_the_slow_path(quantity, name, reduction):
    points = random_points(FORMATS[name], 300, 3)
    where, c = operands(quantity, points, ("w", "p"))
    options = {"quantity": quantity, "cotangent": c, "dtype": name, "reduction": reduction}
    fast = ground_truth(*where, **options, method="fast")
    assert_same(fast, ground_truth(*where, **options, method="certified"), where)
    assert not fast.undecided.any()


@pytest.mark.parametrize("name", FORMATS)
def test_next_to_no_random_point_is_undecided(name):
    points = random_points(FORMATS[name], 1 << 21, 4)
    for quantity in ("loss", "grad_logits"):
        undecided = ground_truth(
            points.x, points.y, points.w, points.p, quantity=quantity, dtype=name, method="fast"
        ).undecided
        assert undecided.sum() == 0, quantity


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("quantity", ["loss", "grad_weight", "grad_pos_weight"])
def test_sums_have_the_bits_of_the_slow_path(quantity, reduction, name):
    if quantity == "loss" and reduction == "none":
        reduction = "sum"
    points = adversarial_points(FORMATS[name], 1200, 7)
    x, y, p = (a.reshape(300, 4) for a in (points.x, points.y, points.p))
    y = np.clip(y, 0, 1)
    w, p = np.abs(points.w[:300, None]), p[0]
    options = {"quantity": quantity, "reduction": reduction, "dtype": name}
    fast = ground_truth(x, y, w, p, **options, method="fast")
    slow = ground_truth(x, y, w, p, **options, method="certified")
    assert_same(fast, slow, ())
    assert fast.undecided.sum() <= 0.2 * fast.undecided.size
    auto = ground_truth(x, y, w, p, **options)
    assert_same(auto, slow, ())
    assert not auto.undecided.any()


def test_sums_with_special_and_left_out_elements():
    points = random_points(FORMATS["float64"], 3000, 8)
    x, y, w = points.x.copy(), points.y.copy(), points.w.copy()
    y[::100] = 5e-324  # beyond the fast path
    for change, expected in (({}, None), ({7: np.inf}, np.inf), ({7: np.nan}, np.nan)):
        for index, value in change.items():
            w[index], y[index] = value, 0.5
        options = {"reduction": "mean", "dtype": "float64"}
        fast = ground_truth(x, y, w, **options, method="fast")
        slow = ground_truth(x, y, w, **options, method="certified")
        np.testing.assert_array_equal(fast.nearest, slow.nearest)
        assert expected is None or np.array_equal(fast.nearest, expected, equal_nan=True)


def test_many_results_and_empty_ones():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(5000, 3))
    y = rng.uniform(size=x.shape)
    options = {"quantity": "grad_weight", "dtype": "float64"}
    fast = ground_truth(x, y, rng.uniform(size=(5000, 1)), **options, method="fast")
    assert fast.nearest.shape == (5000, 1)
    slow = ground_truth(x[-40:], y[-40:], np.ones((40, 1)), **options, method="certified")
    np.testing.assert_array_equal(fast.nearest[-40:], slow.nearest)
    nothing = ground_truth(
        x[:0], y[:0], None, np.ones(3), quantity="grad_pos_weight", method="fast"
    )
    np.testing.assert_array_equal(nothing.nearest, np.zeros(3))


@pytest.mark.slow
def test_ten_million_elements_of_a_pool_sum_to_their_counted_values():
    # the slow path evaluates the pool once and multiplies: the two ways share no addition
    rng = np.random.default_rng(10)
    pool = rng.normal(size=1000) * 20
    x = pool[rng.integers(0, pool.size, 10_000_000)]
    y = np.zeros(x.size)
    fast = ground_truth(x, y, reduction="mean", dtype="float64", method="fast")
    slow = ground_truth(x, y, reduction="mean", dtype="float64", method="certified")
    assert_same(fast, slow, ())
    assert not fast.undecided


def test_what_a_formula_does_not_contain_takes_no_part():
    points = random_points(FORMATS["float32"], 300, 11)
    contained = {"grad_weight": "w", "grad_pos_weight": "p", "grad_targets": "y"}
    for quantity, absent in contained.items():
        columns = {name: getattr(points, name).copy() for name in "xywp"}
        columns[absent][5:8] = np.nan, np.inf, 1e-320
        got = ground_truth(*columns.values(), quantity=quantity, method="fast")
        assert_same(
            got, ground_truth(points.x, points.y, points.w, points.p, quantity=quantity), ()
        )
        for other in set(columns) - {absent}:
            broken = {**columns, other: columns[other].copy()}
            broken[other][9] = np.nan
            nan = np.isnan(ground_truth(*broken.values(), quantity=quantity).nearest)
            assert np.flatnonzero(nan).tolist() == [9]


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (softplus_tail, lambda t, e: e.log1p()),
        (
            sigmoid_tail_or_half_tanh,
            lambda t, e: e / (1 + e) if t >= 1 else (t / 2).tanh(),
        ),
        (bell_or_square, lambda t, e: e / (1 + e) ** 2 if t >= 1 else (t / 2).tanh() ** 2),
    ],
)
def test_functions_keep_the_proven_bound(function, exact):
    rng = np.random.default_rng(12)
    steps = np.arange(1, 600) * np.log(2) / 256  # the seams of the tables
    t = np.concatenate(
        [
            np.exp2(rng.uniform(-1074, 14.8, 3000)),
            rng.uniform(0, 1, 3000),
            rng.uniform(0, 800, 3000),
            steps + rng.normal(size=steps.size) * 1e-9,
            [1.0, np.nextafter(1, 0), 2.0**-60, 5e-324, 30000.0],
        ]
    )
    saved, ctx.prec = ctx.prec, 5000
    worst = 0.0
    try:
        for value in t.tolist():
            high, low, exponent, *own_bound = function(value)
            real = arb(value)
            got = (arb(high) + arb(low)) * arb(2) ** int(exponent)
            error = abs(got / exact(real, (-real).exp()) - 1)
            worst = max(worst, float(error.upper()))
            assert float(error.upper()) <= (own_bound[0] if own_bound else FUNCTION_ERROR), value
    finally:
        ctx.prec = saved
    assert worst < FUNCTION_ERROR
    assert worst > FUNCTION_ERROR / 2.0**16  # the bound is not idle, and neither is this test


def test_tails_too_small_to_hold_do_not_cancel_by_accident():
    # Σ w·x is an exact integer; the sign of the offset is that of Σ w·e^−x, the smallest x's
    x = np.repeat([5000.0, 1000.0, 2000.0], 100)
    for signs in ([1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, -1.0]):
        w = np.repeat(signs, 100)
        options = {"reduction": "sum", "dtype": "float64"}
        fast = ground_truth(x, np.zeros(300), w, **options, method="fast")
        auto = ground_truth(x, np.zeros(300), w, **options)
        slow = ground_truth(x, np.zeros(300), w, **options, method="certified")
        assert_same(fast, slow, ())
        assert_same(auto, slow, ())
        assert np.sign(slow.offset) == signs[1]
        assert float(slow.nearest) == float((w * x).sum())


def test_tails_that_can_be_held_decide_a_sum_that_is_otherwise_exact():
    x = np.repeat([100.0, 200.0, 150.0], 100)
    fast = ground_truth(x, np.zeros(300), reduction="sum", dtype="float64", method="fast")
    assert not fast.undecided
    assert fast.offset > 0
    assert fast.nearest == x.sum()


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_tiny_logits_at_a_half_are_decided(name):
    # the gradient is x/4 − x³/48 …: next to a number of the format, and never equal to it
    fmt = FORMATS[name]
    x = fmt.from_ordinal(np.linspace(1, int(fmt.ordinal(0.25)), 600).astype(np.int64))
    y = np.full(x.size, 0.5)
    options = {"quantity": "grad_logits", "dtype": name}
    fast = ground_truth(x, y, **options, method="fast")
    assert not fast.undecided.any()
    assert_same(fast, ground_truth(x, y, **options, method="certified"), (x,))
    assert (fast.offset != 0).all()


def test_equal_sums_are_rounded_once_and_others_by_themselves(monkeypatch):
    """Sums of one slack that differ; 4,096 of them are added up at a time."""
    rounded = []
    original = fast_path._round_sum

    def counted(problem, value, *others):
        rounded.append(value)
        return original(problem, value, *others)

    monkeypatch.setattr(fast_path, "_round_sum", counted)
    number = np.arange(5_000)
    logits = np.stack([1000.0 * (1 + number % 3), np.full(5_000, 0.3)], axis=1)
    cotangent = np.where(number % 2, 1.0, -1.0)[:, None] * np.ones(2)
    arrays = logits, np.zeros_like(logits), np.ones((5_000, 1)), cotangent

    def exact(method, size):
        x, y, w, c = (array[:size] for array in arrays)
        return ground_truth(
            x, y, w, quantity="grad_weight", cotangent=c, dtype="float64", method=method
        ).nearest

    of_each = exact("certified", 6)
    np.testing.assert_array_equal(exact("fast", 5_000), np.resize(of_each, (5_000, 1)))
    assert len(rounded) == len(set(of_each.ravel())) == 6

"""±∞, NaN, ±0, exact cases, midpoints, overflow and underflow: what is defined, to the bit."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from bce_conformance.reference import FORMATS, ground_truth

INF, NAN = np.inf, np.nan


def truth(x, y, w=None, p=None, **options):
    options.setdefault("method", "certified")
    return ground_truth(x, y, w, p, **options)


def same(got, expected):
    """Equal as numbers and in the sign of zero."""
    got, expected = np.float64(got), np.float64(expected)
    if np.isnan(expected):
        return bool(np.isnan(got))
    return bool(got == expected and np.signbit(got) == np.signbit(expected))


@pytest.mark.parametrize(
    ("quantity", "row", "expected"),
    [
        ("loss", (INF, 1.0), 0.0),
        ("loss", (-INF, 0.0), 0.0),
        ("loss", (INF, 0.0), INF),
        ("loss", (-INF, 1.0), INF),
        ("loss", (INF, 0.5), INF),
        ("loss", (-INF, 0.5), INF),
        ("loss", (INF, 0.0, 0.0), 0.0),
        ("loss", (-INF, 1.0, 1.0, 0.0), 0.0),
        ("loss", (INF, 0.0, -1.0), -INF),
        ("loss", (INF, 1.0, -1.0), 0.0),
        ("loss", (INF, 2.0), -INF),
        ("loss", (0.5, 0.5, INF), INF),
        ("loss", (0.5, 0.5, -INF), -INF),
        ("loss", (0.5, 1.0, INF), NAN),
        ("loss", (0.5, 0.5, 0.0, INF), NAN),
        ("loss", (0.5, 0.5, 1.0, INF), INF),
        ("loss", (INF, 0.5, 1.0, INF), INF),
        ("loss", (INF, 1.0, 1.0, INF), INF),
        ("loss", (0.5, 0.0, 1.0, INF), NAN),
        ("loss", (0.5, INF), NAN),
        ("loss", (INF, 1.5, 1.0, INF), INF),
        ("loss", (NAN, 0.5, 0.0), NAN),
        ("loss", (0.5, NAN, 0.0), NAN),
        ("loss", (0.5, 0.5, NAN), NAN),
        ("loss", (0.5, 0.0, 1.0, NAN), NAN),
        ("grad_logits", (INF, 0.0), 1.0),
        ("grad_logits", (INF, 1.0), -0.0),
        ("grad_logits", (-INF, 0.0), 0.0),
        ("grad_logits", (-INF, 1.0, 1.0, 3.0), -3.0),
        ("grad_logits", (INF, 0.75, 2.0, 3.0), 0.5),
        ("grad_logits", (INF, 0.0, 0.0), 0.0),
        ("grad_logits", (0.0, 0.5, INF), NAN),
        ("grad_targets", (INF, 1.0), -INF),
        ("grad_targets", (-INF, 1.0), INF),
        ("grad_targets", (-INF, 1.0, 1.0, 0.0), -0.0),
        ("grad_weight", (INF, 1.0, 5.0), 0.0),
        ("grad_weight", (INF, 0.0, 0.0), INF),
        ("grad_pos_weight", (INF, 1.0, 1.0, 2.0), 0.0),
        ("grad_pos_weight", (-INF, 1.0, 1.0, 2.0), INF),
        ("grad_pos_weight", (-INF, 0.0, 1.0, 2.0), 0.0),
        ("hess_logits", (INF, 0.5), 0.0),
        ("hess_logits", (-INF, 0.5, -1.0), -0.0),
        ("hess_logits_targets", (INF, 0.5, 2.0, 3.0), -2.0),
        ("hess_logits_targets", (-INF, 0.5, 2.0, 3.0), -6.0),
        ("hess_logits_weight", (INF, 0.25, 2.0), 0.75),
        ("hess_logits_pos_weight", (INF, 0.5, 1.0, 1.0), -0.0),
        ("hess_logits_pos_weight", (-INF, 0.5, 1.0, 1.0), -0.5),
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_infinities_and_nan(quantity, row, expected, name):
    got = truth(*row, quantity=quantity, dtype=name)
    assert same(got.nearest, expected), got
    assert got.precision == 0
    assert same(got.offset, expected if not np.isfinite(expected) else 0.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([INF, 1.0], INF),
        ([-INF, 1.0], -INF),
        ([INF, -INF], NAN),
        ([INF, NAN], NAN),
        ([INF, INF], INF),
    ],
)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_sums_over_infinities(values, expected, reduction):
    # y = 0, w = ±1: the loss at x = ∞ is ±∞
    w = np.sign(values)
    x = np.where(np.isfinite(values), 1.0, np.where(np.isnan(values), NAN, INF))
    assert same(truth(x, np.zeros(2), w, reduction=reduction).nearest, expected)


@pytest.mark.parametrize("name", FORMATS)
def test_exact_cases_are_exact(name):
    options = {"dtype": name}
    assert truth(0.0, 0.5, quantity="grad_logits", **options).is_zero
    assert truth(-0.0, 0.25, quantity="grad_logits", **options).nearest == 0.25
    assert truth(0.0, 0.0, quantity="hess_logits", **options).nearest == 0.25
    linear = truth(3.5, 0.3, quantity="grad_targets", **options)
    assert (linear.nearest, linear.offset, linear.precision) == (-3.5, 0.0, 0)
    cancelled = truth(2.0, 2.0, 1.0, 0.5, **options)  # 1 − y + p·y = 0: the loss is (1 − y)·x
    assert (cancelled.nearest, cancelled.offset, cancelled.precision) == (-2.0, 0.0, 0)
    for w, p, y in ((0.0, 1.0, 0.5), (1.0, 0.0, 1.0)):
        zero = truth(1.5, y, w, p, **options)
        assert zero.is_zero
        assert same(zero.nearest, 0.0)


def test_exact_sums_are_recognised():
    x = np.array([1.5, -1.5, 1.5, 0.0, 0.0])
    w = np.array([1.0, 1.0, -2.0, 3.0, -3.0])
    got = truth(x, np.zeros(5), w, reduction="sum")
    assert (float(got.nearest), float(got.offset), int(got.precision)) == (-1.5, 0.0, 0)
    sigma = truth(
        np.array([[2.0], [-2.0]]), np.zeros((2, 1)), np.ones(1), quantity="hess_logits_weight"
    )
    assert sigma.nearest.shape == (2, 1)


@pytest.mark.parametrize("name", FORMATS)
def test_the_sign_of_what_underflows_is_known_and_it_is_not_zero(name):
    for x in (-20000.0, -1e300):
        loss = truth(x, 0.0, dtype=name)
        assert same(loss.nearest, 0.0)
        assert loss.offset > 0
        assert not loss.is_zero
    gradient = truth(1e300, 1.0, quantity="grad_logits", dtype=name)
    assert same(gradient.nearest, -0.0)
    assert gradient.offset < 0
    assert 0 < gradient.exact() * -1 < 1


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("x", [2.0**20, 2.0**1000])
def test_a_midpoint_missed_by_a_hair_is_rounded_to_the_right_side(name, x):
    # w·x is the midpoint between 1 and the next number; log(1 + e^−x) > 0 takes the loss above it
    fmt = FORMATS[name]
    w = (1 + fmt.unit_roundoff) / x
    above = truth(x, 0.0, w, dtype=name)
    assert float(above.nearest) == 1 + 2 * fmt.unit_roundoff
    assert above.offset == -0.5
    below = truth(x, 0.0, -w, dtype=name)
    assert float(below.nearest) == -1 - 2 * fmt.unit_roundoff
    assert truth(-x, 0.0, -w, quantity="grad_targets", dtype=name).nearest == -1  # the tie itself


def test_a_float64_midpoint_missed_by_a_hair():
    w = 1 + 2.0**-30  # w·x, x = 2^900·(1 + 2^−23), is a midpoint of float64
    x = 2.0**900 * (1 + 2.0**-23)
    got = truth(x, 0.0, w, dtype="float64")
    tie = truth(x, 0.5, -w, quantity="grad_targets", dtype="float64")
    assert abs(tie.offset) == 0.5
    assert got.nearest > w * x or got.offset == -0.5
    assert float(got.nearest) == np.nextafter(x * w, np.inf)


def test_ties_go_to_even():
    for k, expected in ((1, 1.0), (3, 1 + 2.0**-22)):
        got = truth(1 + k * 2.0**-24, 0.5, quantity="grad_targets", dtype="float32")
        assert float(got.nearest) == -expected
        assert abs(got.offset) == 0.5


@pytest.mark.parametrize("name", FORMATS)
def test_overflow_is_where_ieee_says(name):
    fmt = FORMATS[name]
    top = fmt.largest_finite
    half = fmt.largest_ulp / 2
    # grad_targets with pos_weight 1 is −w·x exactly
    exact = [(top, 1.0, -top, 0.0), (top, 2.0, -INF, None)]
    for x, w, expected, offset in exact:
        got = truth(x, 0.5, w, quantity="grad_targets", dtype=name)
        assert float(got.nearest) == expected
        assert offset is None or got.offset == offset
        assert np.isfinite(got.offset)
    if name != "float64":
        midpoint = truth(top + half, 0.5, quantity="grad_targets", dtype=name)
        assert float(midpoint.nearest) == -INF
        assert midpoint.offset == 0.5  # −∞ counts as −2^(emax+1), half an ulp further out
        below = np.nextafter(top + half, 0)
        assert float(truth(below, 0.5, quantity="grad_targets", dtype=name).nearest) == -top


@pytest.mark.parametrize("name", FORMATS)
def test_subnormals_round_once(name):
    fmt = FORMATS[name]
    least = fmt.smallest_subnormal
    # −w·x = least·k/4
    cases = ((1, 0, 0.25), (2, 0, 0.5), (3, 1, -0.25), (6, 2, -0.5), (5, 1, 0.25))
    for k, nearest, offset in cases:
        got = truth(0.25 * k, 0.5, -least, quantity="grad_targets", dtype=name)
        assert float(got.nearest) == nearest * least, k
        assert got.offset == offset


def test_exact_below_the_smallest_float64():
    value = truth(-2000.0, 0.0, dtype="float64")
    with mpmath.workdps(30):
        assert abs(value.exact() / mpmath.exp(-2000) - 1) < mpmath.mpf(10) ** -28
    assert value.nearest == 0

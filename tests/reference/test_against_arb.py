"""Every quantity in every format against python-flint's arb, at 400 bits and more."""

from __future__ import annotations

import numpy as np
import pytest

from bce_conformance.reference import FORMATS, ground_truth
from bce_conformance.reference.independent import (
    arb_ball,
    disagreement,
    plainly_right,
    working_bits,
)
from bce_conformance.reference.terms import QUANTITIES


def tails(fmt, size, rng):
    """Logits of both signs, log-uniform from the smallest subnormal to the largest finite."""
    low, high = np.log2(fmt.smallest_subnormal), fmt.emax + 0.99
    size_of = np.exp2(rng.uniform(low, high, size))
    with np.errstate(under="ignore"):
        return (size_of * rng.choice([-1.0, 1.0], size)).astype(fmt.dtype)


def inputs(fmt, seed):
    rng = np.random.default_rng(seed)
    moderate = rng.normal(size=60) * np.where(np.arange(60) % 2, 1.0, 30.0)
    threshold = -np.log(fmt.smallest_subnormal) * rng.uniform(0.9, 1.1, 30)
    x = np.concatenate(
        [moderate.astype(fmt.dtype), tails(fmt, 60, rng), threshold.astype(fmt.dtype), -threshold]
    ).astype(fmt.dtype)
    y = rng.uniform(size=x.size)
    y[::4], y[1::4] = 0.0, 1.0
    sigma = 1 / (1 + np.exp(-np.clip(x.astype(np.float64), -700, 700)))
    y[2::8] = sigma[2::8]
    w = np.exp2(rng.uniform(-10, 10, x.size))
    p = 10.0 ** rng.uniform(-30, 30, x.size)
    if fmt.name == "float16":
        p = rng.uniform(0, 100, x.size)
    return x, y.astype(fmt.dtype), w.astype(fmt.dtype), p.astype(fmt.dtype)


def rows(*columns):
    return [tuple(map(float, row)) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_elements_agree_with_arb(quantity, name):
    fmt = FORMATS[name]
    x, y, w, p = inputs(fmt, 1)
    c = None if quantity == "loss" else np.random.default_rng(2).normal(size=x.size)
    if QUANTITIES[quantity].operand == "pos_weight":
        p = p.copy()
    truth = ground_truth(x, y, w, p, quantity=quantity, cotangent=c, dtype=name, method="certified")
    cotangents = [None] * x.size if c is None else c.tolist()
    wrong = []
    for i, row in enumerate(rows(x, y, w, p)):
        ball = arb_ball(quantity, [(*row, cotangents[i])])
        fault = disagreement(truth.nearest[i], truth.offset[i], ball, fmt)
        if fault:
            wrong.append((row, fault))
    assert not wrong, wrong[:3]
    assert truth.nearest.dtype == fmt.dtype


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("quantity", ["loss", "grad_weight", "grad_pos_weight"])
def test_reductions_and_broadcast_gradients_agree_with_arb(quantity, reduction, name):
    fmt = FORMATS[name]
    x, y, _, _ = (a[:60].reshape(12, 5) for a in inputs(fmt, 3))
    rng = np.random.default_rng(4)
    w, p = rng.uniform(size=(12, 1)).astype(fmt.dtype), rng.uniform(size=5).astype(fmt.dtype)
    truth = ground_truth(
        x, y, w, p, quantity=quantity, reduction=reduction, dtype=name, method="certified"
    )
    wide = [np.broadcast_to(a, x.shape).astype(np.float64) for a in (x, y, w, p)]
    parts = {
        "loss": [(slice(None), slice(None))],
        "grad_weight": [(slice(i, i + 1), slice(None)) for i in range(12)],
        "grad_pos_weight": [(slice(None), slice(j, j + 1)) for j in range(5)],
    }[quantity]
    assert truth.nearest.size == len(parts)
    for i, chosen in enumerate(parts):
        members = [(*row, None) for row in rows(*(a[chosen].reshape(-1) for a in wide))]
        ball = arb_ball(quantity, members, x.size if reduction == "mean" else 1)
        fault = disagreement(truth.nearest.flat[i], truth.offset.flat[i], ball, fmt)
        assert fault is None, (i, fault)


def test_gradient_of_the_mean_divides_once_and_exactly():
    x, y = np.array([0.3, -2.0, 5.0], np.float32), np.array([0, 1, 0.25], np.float32)
    for c in (1.0, -0.7):
        truth = ground_truth(
            x, y, quantity="grad_logits", reduction="mean", cotangent=c, method="certified"
        )
        for i in range(3):
            ball = arb_ball("grad_logits", [(float(x[i]), float(y[i]), None, None, c)], 3)
            assert disagreement(truth.nearest[i], truth.offset[i], ball, FORMATS["float32"]) is None


def test_the_check_itself_fails_on_a_neighbour_a_sign_and_an_offset():
    fmt = FORMATS["float32"]
    truth = ground_truth(20.0, 1.0, method="certified")
    ball = arb_ball("loss", [(20.0, 1.0, None, None, None)])
    near, offset = truth.nearest, float(truth.offset)
    assert disagreement(near, offset, ball, fmt) is None
    for wrong in (np.nextafter(near, np.float32(1)), np.nextafter(near, np.float32(0)), -near):
        assert disagreement(wrong, offset, ball, fmt) is not None
    assert "offset" in disagreement(near, offset + 1e-6, ball, fmt)
    assert "offset" in disagreement(near, 0.0, ball, fmt)
    tiny = arb_ball("loss", [(-1000.0, 0.0, None, None, None)])
    assert disagreement(np.float32(0), 5e-324, tiny, fmt) is None
    assert "sign" in disagreement(np.float32(-0.0), 5e-324, tiny, fmt)
    assert "offset" in disagreement(np.float32(0), 0.0, tiny, fmt)


def test_the_quick_check_fails_on_a_neighbour_a_sign_an_offset_and_a_unit():
    fmt = FORMATS["float32"]
    row = (20.0, 1.0, None, None, None)
    truth = ground_truth(20.0, 1.0, method="certified")
    near, offset, unit = float(truth.nearest), float(truth.offset), float(truth.ulp)
    with working_bits(200):
        assert plainly_right("loss", row, near, offset, unit, fmt)
        assert not plainly_right("loss", row, near + unit, offset - 1, unit, fmt)
        assert not plainly_right("loss", row, near, offset + 0.01, unit, fmt)
        assert not plainly_right("loss", row, -near, offset, unit, fmt)
        assert not plainly_right("loss", row, near, -offset, unit, fmt)
        assert not plainly_right("loss", row, near, offset / 2, unit * 2, fmt)
        assert not plainly_right("loss", row, near, offset * 2, unit / 2, fmt)
        assert not plainly_right("loss", row, np.inf, offset, unit, fmt)

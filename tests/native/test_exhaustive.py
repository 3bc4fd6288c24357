"""Every bit pattern of a half-precision logit, with both hard and 64 soft targets."""

import itertools

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.native import value_and_grad
from bce_conformance.reference import ground_truth

FORMATS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@pytest.mark.parametrize("dtype", FORMATS)
def test_half_precisions_are_correctly_rounded(dtype):
    x = np.arange(1 << 16, dtype=np.uint16).view(FORMATS[dtype])
    with np.errstate(invalid="ignore"):
        x = x[np.isfinite(x)]
    targets = [0.0, 1.0, *np.random.default_rng(64).uniform(size=64)]
    judged = 0
    for target in targets:
        y = np.full(x.shape, target).astype(FORMATS[dtype])
        loss, gradients = value_and_grad(x, y, reduction="none")
        summed = value_and_grad(x, y, reduction="sum")[1]["logits"]
        assert summed.tobytes() == gradients["logits"].tobytes()
        for quantity, got in (("loss", loss), ("grad_logits", gradients["logits"])):
            truth = ground_truth(x, y, quantity=quantity, reduction="none", dtype=dtype)
            wrong = np.flatnonzero(got != truth.nearest)
            assert not wrong.size, (
                f"{quantity} at x={x[wrong[0]]!r} y={y[0]!r}: got {got[wrong[0]]!r}, "
                f"nearest {truth.nearest[wrong[0]]!r}, {wrong.size} in all"
            )
            judged += got.size
    assert judged == 2 * 66 * x.size


# Logits by magnitude: moderate, about to leave float32, vanishing, everything.
REACHES = [(0, 20), (38, 100), (85, 95), (0, 130), (0, 3e38)]


@pytest.mark.parametrize(("low", "high"), REACHES)
@pytest.mark.parametrize("size", [50, 5000])
def test_bfloat16_means_are_correctly_rounded(low, high, size):
    random = np.random.default_rng(size)
    near = random.uniform(size=size) * np.where(random.uniform(size=size) < 0.3, 1e-30, 1)
    judged = 0
    for targets, reduction in itertools.product(
        (random.uniform(size=size) < 0.5, near), ("mean", "sum")
    ):
        y = np.asarray(targets).astype(ml_dtypes.bfloat16)
        sign = np.where(y.astype(float) > 0.5, 1, -1)
        x = (sign * random.uniform(low, high, size)).astype(ml_dtypes.bfloat16)
        loss, gradients = value_and_grad(x, y, reduction=reduction)
        for quantity, got in (("loss", loss), ("grad_logits", gradients["logits"])):
            truth = ground_truth(x, y, quantity=quantity, reduction=reduction, dtype="bfloat16")
            np.testing.assert_array_equal(np.ravel(got), np.ravel(truth.nearest))
            judged += got.size
    assert judged == 4 * (size + 1)

"""The cotangent of a mean that loses its digits when it is divided by the count."""

import numpy as np
import pytest

from bce_conformance.native import value_and_grad
from bce_conformance.reference import ground_truth, ulp_error, wrong_sign


@pytest.mark.parametrize("cotangent", [5e-324, -5e-324, 1e-310, -3e-300])
@pytest.mark.parametrize("operand", ["logits", "targets", "weight"])
def test_gradients_of_a_mean_keep_digits_and_sign(cotangent: float, operand: str) -> None:
    logits, targets = np.array([3.0, -2.0, 50.0, 0.0]), np.array([0.5, 0.25, 0.5, 1.0])
    weight, c = np.array([2.0]), np.float64(cotangent)
    found = value_and_grad(logits, targets, weight, None, "mean", wrt=(operand,), cotangent=c)[1][
        operand
    ]
    truth = ground_truth(
        logits,
        targets,
        weight,
        quantity=f"grad_{operand}",
        reduction="mean",
        cotangent=c,
        dtype="float64",
    )
    assert (ulp_error(found, truth) < 1).all()
    assert not wrong_sign(found, truth).any()


def test_a_faint_cotangent_beside_a_huge_weight() -> None:
    logits, targets = np.array([-3.0, -2.0, 1e300]), np.array([1.0, 0.5, 0.0])
    weight, pos_weight = np.full(3, 1e300), np.array([0.5, 1.0, 2.0], np.float16)
    c = np.float64(-4e-321)
    found = value_and_grad(
        logits, targets, weight, pos_weight, "mean", wrt=("pos_weight", "weight"), cotangent=c
    )[1]
    for operand, gradient in found.items():
        truth = ground_truth(
            logits,
            targets,
            weight,
            pos_weight,
            quantity=f"grad_{operand}",
            reduction="mean",
            cotangent=c,
            dtype=gradient.dtype,
        )
        assert (ulp_error(gradient, truth) < 1).all()
        assert not wrong_sign(gradient, truth).any()

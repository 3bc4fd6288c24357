"""The CUDA driver under numba's simulator, against the processor: the same bits."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import ml_dtypes
import numpy as np
from numba import cuda
from bce_conformance.native import (
    BCEWithLogitsLoss, binary_cross_entropy_with_logits, hessian_vector_product,
    jacobian_vector_product, value_and_grad,
)

OPERANDS = ("logits", "targets", "weight", "pos_weight")
random = np.random.default_rng(0)
compared = 0


def compare(device, host):
    global compared
    got = device.copy_to_host()
    assert type(device).__name__ == "FakeCUDAArray", type(device)
    assert got.dtype == host.dtype and got.shape == host.shape, (got.dtype, got.shape)
    assert np.array_equal(got, host, equal_nan=True), (got, host)
    compared += 1


for dtype in (np.float32, np.float64, ml_dtypes.bfloat16):
    x = (random.normal(size=(2, 6)) * 4).astype(dtype)
    x[0] = [np.inf, -np.inf, np.nan, 0, 88, -16]
    y = random.uniform(size=x.shape).astype(dtype)
    y[0] = [1, 0, 1, 0.5, 1, 0]
    w, p = random.uniform(size=(2, 1)).astype(dtype), random.uniform(size=6).astype(dtype)
    on_device = [cuda.to_device(a) for a in (x, y, w, p)]
    for reduction in ("none", "mean"):
        loss, gradients = value_and_grad(*on_device, reduction, wrt=OPERANDS)
        expected, exact = value_and_grad(x, y, w, p, reduction, wrt=OPERANDS)
        compare(loss, expected)
        for name in OPERANDS:
            compare(gradients[name], exact[name])
    compare(
        hessian_vector_product(on_device[0], on_device[1], on_device[1]),
        hessian_vector_product(x, y, y),
    )
    for reduction in ("none", "mean"):
        for wrt, vector in zip(OPERANDS, (x[1:], y[1:], w[1:], p)):
            rows = [x[1:], y[1:], vector, w[1:], p]
            forward = jacobian_vector_product(*map(cuda.to_device, rows), reduction, wrt=wrt)
            compare(forward, jacobian_vector_product(*rows, reduction, wrt=wrt))
    compare(BCEWithLogitsLoss()(*on_device[:2]), BCEWithLogitsLoss()(x, y))
    for cut in (np.s_[::-1], np.s_[:, ::-2], np.s_[1:, 1:], np.s_[:0]):
        pairs = [(array[cut], host[cut]) for array, host in zip(on_device, (x, y))]
        found, expected = [
            value_and_grad(*pair, weight, reduction="sum", wrt=("logits", "weight"))
            for pair, weight in zip(zip(*pairs), (on_device[3][:1], p[:1]))
        ]
        compare(found[0], expected[0])
        for name in ("logits", "weight"):
            compare(found[1][name], expected[1][name])

twice = [binary_cross_entropy_with_logits(*on_device).copy_to_host().tobytes() for _ in range(2)]
assert twice[0] == twice[1]
for change, error in (
    ({"targets": cuda.to_device(np.zeros(3, x.dtype))}, ValueError),
    ({"weight": cuda.to_device(np.zeros(5, x.dtype))}, ValueError),
    ({"weight": cuda.to_device(np.zeros(6, np.int64))}, TypeError),
    ({"weight": [1.0] * 6}, TypeError),
    ({"weight": np.ones(6, x.dtype)}, TypeError),
    ({"targets": 1.0}, ValueError),
    ({"reduction": "max"}, ValueError),
):
    arguments = {"logits": on_device[0], "targets": on_device[1], **change}
    try:
        binary_cross_entropy_with_logits(**arguments)
    except error:
        continue
    raise AssertionError(change)
print("compared", compared)
"""


@pytest.mark.slow
def test_simulated_device_gives_the_processor_s_bits():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == f"compared {3 * (2 * 5 + 2 + 2 * 4 + 4 * 3)}"

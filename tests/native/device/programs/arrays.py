"""Prints how many results on the device have the processor's bits: one format, and bad calls.

The device is a GPU, or with ``NUMBA_ENABLE_CUDASIM=1`` the simulated one.
"""

import ml_dtypes
import numpy as np
from copies import compile_ahead, same_bits, to_device, to_host

from bce_conformance.native import (
    BCEWithLogitsLoss,
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    jacobian_vector_product,
    value_and_grad,
)

OPERANDS = ("logits", "targets", "weight", "pos_weight")
random = np.random.default_rng(0)
compared = 0
compile_ahead()


def compare(device, host):
    global compared
    assert not isinstance(device, np.ndarray), type(device)
    got = to_host(device)
    assert same_bits(got, host), (got, host)
    compared += 1


for dtype in (np.float32, np.float64, ml_dtypes.bfloat16):
    x = (random.normal(size=(2, 6)) * 4).astype(dtype)
    x[0] = [np.inf, -np.inf, np.nan, 0, 88, -16]
    y = random.uniform(size=x.shape).astype(dtype)
    y[0] = [1, 0, 1, 0.5, 1, 0]
    w, p = random.uniform(size=(2, 1)).astype(dtype), random.uniform(size=6).astype(dtype)
    on_device = [to_device(a) for a in (x, y, w, p)]
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
        for wrt, vector in zip(OPERANDS, (x[1:], y[1:], w[1:], p), strict=True):
            rows = [x[1:], y[1:], vector, w[1:], p]
            forward = jacobian_vector_product(*map(to_device, rows), reduction, wrt=wrt)
            compare(forward, jacobian_vector_product(*rows, reduction, wrt=wrt))
    compare(BCEWithLogitsLoss()(*on_device[:2]), BCEWithLogitsLoss()(x, y))
    for reduction in ("none", "mean", "sum"):
        empty = binary_cross_entropy_with_logits(
            *(a[:0] for a in on_device[:2]), reduction=reduction
        )
        compare(empty, binary_cross_entropy_with_logits(x[:0], y[:0], reduction=reduction))
    for cut in (np.s_[::-1], np.s_[:, ::-2], np.s_[1:, 1:], np.s_[:0]):
        pairs = [(array[cut], host[cut]) for array, host in zip(on_device, (x, y), strict=False)]
        found, expected = [
            value_and_grad(*pair, weight, reduction="sum", wrt=("logits", "weight"))
            for pair, weight in zip(
                zip(*pairs, strict=True), (on_device[3][:1], p[:1]), strict=True
            )
        ]
        compare(found[0], expected[0])
        for name in ("logits", "weight"):
            compare(found[1][name], expected[1][name])

# The pass of training: as many elements as a thread reads at once, fewer and more, and rare ones.
rare = [np.inf, -np.inf, np.nan, 0, 88, -104, 1e-3, 17.5]
for dtype in (np.float16, ml_dtypes.bfloat16, np.float32):
    for size in (1, 2, 16, 128, 256):
        x = (random.normal(size=size) * 4).astype(dtype)
        y = np.where(random.uniform(size=size) < 0.7, x > 0, random.uniform(size=size)).astype(
            dtype
        )
        if size == 256:
            x[:8], y[:2], y[8:12] = rare, [1, 0], [np.inf, -np.inf, np.nan, 2]
        each = np.full(size, 1 / size, dtype)  # exact: sizes are powers of two
        _, expected = value_and_grad(x, y, reduction="none", cotangent=each)
        loss, gradients = value_and_grad(to_device(x), to_device(y))
        compare(gradients["logits"], expected["logits"])
        alone = binary_cross_entropy_with_logits(to_device(x), to_device(y))
        assert to_host(alone).tobytes() == to_host(loss).tobytes()
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = x[finite], y[finite]
        found, _ = value_and_grad(to_device(x), to_device(y), reduction="sum")
        exact = binary_cross_entropy_with_logits(x.astype(np.float64), y.astype(np.float64))
        compare(found, np.asarray(exact * x.size).astype(dtype))

twice = [to_host(binary_cross_entropy_with_logits(*on_device)).tobytes() for _ in range(2)]
assert twice[0] == twice[1]
for change, error in (
    ({"targets": to_device(np.zeros(3, x.dtype))}, ValueError),
    ({"weight": to_device(np.zeros(5, x.dtype))}, ValueError),
    ({"weight": to_device(np.zeros(6, np.int64))}, TypeError),
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

"""Prints how many results on the device have the processor's bits: operands of several formats.

The device is a GPU, or with ``NUMBA_ENABLE_CUDASIM=1`` the simulated one.
"""

import ml_dtypes
import numpy as np
from copies import compile_ahead, same_bits, to_device, to_host

from bce_conformance.native import (
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    jacobian_vector_product,
    value_and_grad,
)

OPERANDS = ("logits", "targets", "weight", "pos_weight")
F16, B16, F32, F64 = np.float16, ml_dtypes.bfloat16, np.float32, np.float64
random = np.random.default_rng(0)
compared = 0
compile_ahead()


def on_device(array):
    return to_device(array) if isinstance(array, np.ndarray) else array


def compare(device, host):
    global compared
    got = to_host(device)
    assert same_bits(got, host), (got, host)
    compared += 1


def compare_all(x, y, w, p, reduction, cotangent=None, cut=None):
    operands = [on_device(array) for array in (x, y, w, p)]
    if cut is not None:
        operands = [array[cut] for array in operands]
        x, y, w, p = (array[cut] for array in (x, y, w, p))
    named = dict(zip(OPERANDS, (x, y, w, p), strict=True))
    wrt = [name for name, array in named.items() if isinstance(array, np.ndarray)]
    told = {"reduction": reduction, "wrt": wrt}
    loss, found = value_and_grad(*operands, **told, cotangent=on_device(cotangent))
    expected, exact = value_and_grad(x, y, w, p, **told, cotangent=cotangent)
    compare(loss, expected)
    for name in wrt:
        assert found[name].dtype == named[name].dtype
        compare(found[name], exact[name])


for formats in (
    (B16, F32, B16, B16),
    (F16, B16, F32, F16),
    (F32, F64, B16, F32),
    (F64, F32, F16, F64),
):
    x = (random.normal(size=(2, 3)) * 4).astype(formats[0])
    x[0] = [np.inf, -np.inf, np.nan]
    y = random.uniform(size=x.shape).astype(formats[1])
    y[0] = [1, 0, 1]
    w, p = random.uniform(size=(2, 1)).astype(formats[2]), random.uniform(size=3).astype(formats[3])
    compare_all(x, y, w, p, "none", F64([[0.1], [0.7]]))
    compare_all(x, y, w, p, "mean", np.asarray(B16(3)))
    compare_all(x, y, w, p, "sum", cut=np.s_[..., ::-2])
    compare_all(x[:0], y[:0], w[:1], p, "sum")
    compare_all(*(np.asarray(array.flat[-1]) for array in (x, y, w)), None, "mean")
    direction = random.normal(size=x.shape).astype(formats[3])
    operands = [on_device(array) for array in (x, y, direction, w, p)]
    compare(hessian_vector_product(*operands), hessian_vector_product(x, y, direction, w, p))
    for reduction in ("none", "mean"):
        found = jacobian_vector_product(*operands, reduction)
        compare(found, jacobian_vector_product(x, y, direction, w, p, reduction))

# float64 takes products of narrower results out of range, and past where exp is clamped.
x = F32([-600, -495, 700, 3, 0.5, 1])
y = F64([0, 1e-300, 1, 1e290, 0.5, 1])
w = F64([1e250, 1e200, 1e290, 1e-250, 1e-320, 1e308])
p = F64([1, 1e-300, 1e10, 1e-310, 1e308, -2])
for operands in ((x, y, w, p), (x, y, None, None), (x, F32(y.clip(0, 1)), w, None)):
    compare_all(*operands, "none")
    compare_all(*operands, "sum", np.asarray(F64(1e-280)))
large = F64([1.5e72, 1e100])
compare_all(F32([520, -520]), F64([1, 0]), large, large, "none", np.asarray(large[0]))

# A number has all of its digits; an array of none is one of its format.
compare_all(F32([0.3, -2]), F32([1, 0]), 0.1, 3, "none")
compare_all(F32([0.3, -2]), F32([1, 0]), 2, None, "sum")
compare_all(np.array([0.3, -2], B16), np.array([1, 0], B16), None, 1e300, "none")

try:
    binary_cross_entropy_with_logits(to_device(F32([0.3, -2])), to_device(np.ones(2, np.int64)))
except TypeError as error:
    if "targets has dtype int64" not in str(error):
        raise
else:
    raise AssertionError("int64")
print("compared", compared)

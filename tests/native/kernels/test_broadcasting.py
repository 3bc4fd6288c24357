"""Broadcast operands: as if they were materialised, their gradients summed exactly enough."""

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.native import hessian_vector_product, value_and_grad
from tests.native.problems import FORMATS, OPERANDS

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

"""Calls that every adapter is asked, and the textbook formula in float64 for their results."""

import ml_dtypes
import numpy as np

from bce_conformance.backends import DTYPES, Array, LossCall, builtin_backends

DEFAULT = [spec.id for spec in builtin_backends() if not spec.variant and not spec.on_request]
UNIT_ROUNDOFF = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 2**-24, "float64": 2**-53}
DTYPES_TAKEN = {name: ("float32", "float64") if name == "paddle" else DTYPES for name in DEFAULT}


def array_type(dtype: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def moderate(dtype: str, *, reduction: str = "mean") -> LossCall:
    """A call with everything: logits in [−3, 3], soft targets, broadcast weights, a cotangent."""
    random = np.random.default_rng(20)

    def uniform(low: float, high: float, *shape: int) -> Array:
        return np.asarray(random.uniform(low, high, shape)).astype(array_type(dtype))

    return LossCall(
        logits=uniform(-3, 3, 4, 3),
        targets=uniform(0, 1, 4, 3),
        weight=uniform(0.5, 2, 3),
        pos_weight=uniform(0.5, 4, 4, 1),
        reduction=reduction,
        cotangent=uniform(-2, 2, *((4, 3) if reduction == "none" else ())),
        tangent=uniform(-1, 1, 4, 3),
    )


def with_quantities(call: LossCall, *quantities: str) -> LossCall:
    return LossCall(**{**vars(call), "quantities": quantities})


def sum_to(values: Array, shape: tuple[int, ...]) -> Array:
    """Sum ``values`` over the dimensions along which ``shape`` was broadcast."""
    values = values.sum(axis=tuple(range(values.ndim - len(shape))))
    stretched = tuple(i for i, size in enumerate(shape) if size == 1 and values.shape[i] != 1)
    return values.sum(axis=stretched, keepdims=True)


def formula(call: LossCall) -> dict[str, tuple[Array, Array]]:
    """Return each quantity in float64 from the textbook formula, and the size of its terms."""
    x, y, w, p, v = (
        np.asarray(array, np.float64)
        for array in (call.logits, call.targets, call.weight, call.pos_weight, call.tangent)
    )
    softplus_x, softplus_minus_x = np.log1p(np.exp(x)), np.log1p(np.exp(-x))
    sigma = 1 / (1 + np.exp(-x))
    loss = w * ((1 - y) * softplus_x + p * y * softplus_minus_x)
    slope = w * ((1 - y) * sigma - p * y * (1 - sigma))
    curvature = w * (1 - y + p * y) * sigma * (1 - sigma)
    each = {"none": 1.0, "sum": 1.0, "mean": 1 / x.size}[call.reduction]
    c = np.asarray(call.cotangent, np.float64) * each

    def reduce(values: Array) -> Array:
        return values if call.reduction == "none" else np.asarray(each * values.sum())

    size = np.broadcast_to(np.abs(w) * np.maximum(1, p) * np.maximum(1, np.abs(x)), x.shape)
    return {
        "loss": (reduce(loss), reduce(size)),
        "grad_logits": (c * slope, abs(c) * size),
        "grad_targets": (c * w * (p * softplus_minus_x - softplus_x), 2 * abs(c) * size),
        "grad_weight": (sum_to(c * loss / w, w.shape), sum_to(abs(c) * size / w, w.shape)),
        "grad_pos_weight": (
            sum_to(c * w * y * softplus_minus_x, p.shape),
            sum_to(abs(c) * size, p.shape),
        ),
        "jvp_logits": (reduce(slope * v), reduce(size)),
        "hvp_logits": (c * curvature * v, abs(c) * size),
    }

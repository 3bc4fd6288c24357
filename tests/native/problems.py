"""Operands that the tests of the rooms evaluate, and the bits of what comes back."""

import ml_dtypes
import numpy as np

FORMATS = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
OPERANDS = ("logits", "targets", "weight", "pos_weight")


def problem(dtype, shape=(37, 53), seed=0, soft=True):
    random = np.random.default_rng(seed)
    x = (random.normal(size=shape) * 5).astype(dtype)
    y = random.uniform(size=shape) if soft else random.uniform(size=shape) < 0.5
    w = random.uniform(0.5, 2, size=(shape[0], 1)).astype(dtype)
    p = random.uniform(0.5, 3, size=shape[1]).astype(dtype)
    return x, y.astype(dtype), w, p


def bits(results):
    loss, gradients = results
    return [loss.tobytes(), *(value.tobytes() for value in gradients.values())]

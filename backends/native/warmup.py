"""Compiles every kernel for the processor ahead of use, into the cache on disk."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from .api import (
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    jacobian_vector_product,
    value_and_grad,
)
from .arguments import FORMATS, OPERANDS

Progress = Callable[[int, int, str], None]


def compile_all(progress: Progress | None = None) -> None:
    """Compile all kernels for all formats.

    Args:
        progress: called before each step with the number of steps done, the number of all steps
            and what comes next, and once at the end.
    """
    from .small.addresses import SMALL

    steps = list(product(FORMATS, ("plain", "weighted", "strided", "every gradient")))
    for done, (dtype, case) in enumerate(steps):
        if progress is not None:
            progress(done, len(steps), f"{dtype.name}, {case}")
        x = np.array([[1.0, -2.0], [0.0, 800.0 if dtype == np.float64 else 3.0]]).astype(dtype)
        y = np.array([[1.0, 0.0], [0.5, 1.0]]).astype(dtype)
        if case == "plain":
            for reduction in ("mean", "none"):
                binary_cross_entropy_with_logits(x, y, reduction=reduction)
                value_and_grad(x, y, reduction=reduction)
            results = np.empty_like(x), np.empty(1, dtype)
            at = [array.ctypes.data for array in (x, y, *results)]
            SMALL[dtype.name](*at[:3], x.size, 1.0, at[3])
        elif case == "weighted":
            binary_cross_entropy_with_logits(x, y, x, y)
            value_and_grad(x, y, x, y)
        elif case == "strided":
            binary_cross_entropy_with_logits(x.T, y.T)
            value_and_grad(x.T, y.T)
        else:
            value_and_grad(x, y, x[:1], y[:1], "none", wrt=OPERANDS)
            hessian_vector_product(x, y, x)
            same, opposite = np.full_like(x, 1), np.array([[1, -1], [2, -2]]).astype(dtype)
            jacobian_vector_product(same, same, opposite, reduction="sum")
    if progress is not None:
        progress(len(steps), len(steps), "done")

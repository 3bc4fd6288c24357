"""Our own binary cross-entropy with logits: NumPy in, NumPy out.

    loss(x, y, w, p) = w · [(1 − y)·softplus(x) + p·y·softplus(−x)],   softplus(t) = log(1 + eᵗ)

Importing this package imports neither a framework nor a compiler.
"""

from .api import (
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    jacobian_vector_product,
    value_and_grad,
)
from .criterion import BCEWithLogitsLoss

__all__ = [
    "BCEWithLogitsLoss",
    "binary_cross_entropy_with_logits",
    "hessian_vector_product",
    "jacobian_vector_product",
    "value_and_grad",
]

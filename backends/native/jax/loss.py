"""The function of JAX, on the native kernels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..arguments import FORMATS, check_broadcast, check_reduction
from .primitives import INTERFACE

_ACCEPTED = "float16, bfloat16, float32 or float64"


def _as_array(name: str, value: Any) -> jax.Array:
    """An operand as an array of JAX.

    Raises:
        TypeError: it is none of the accepted types.
    """
    if not isinstance(value, jax.Array | np.ndarray | np.generic | bool | int | float):
        raise TypeError(f"{name} is a {type(value).__name__}; accepted are arrays and numbers")
    dtype = getattr(value, "dtype", None)
    if dtype is not None and dtype not in FORMATS and dtype.kind not in "biu":
        raise TypeError(f"{name} has dtype {dtype}; accepted are {_ACCEPTED}, integer or boolean")
    return jnp.asarray(value)


def binary_cross_entropy_with_logits(
    logits: Any,
    targets: Any,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
) -> jax.Array:
    """Binary cross-entropy of ``targets`` under the Bernoulli logits ``logits``.

    It can be transformed by ``jax.jit``, ``jax.grad``, ``jax.jvp``, ``jax.vmap`` and their
    compositions, to any order. Every result and every first derivative is rounded about once.

    Args:
        logits: x, any shape, float16, bfloat16, float32, or float64 where JAX is allowed to use it.
        targets: y, the shape of ``logits``, in any of these formats, integer or boolean.
        weight: w, broadcastable to the shape of ``logits``; None means 1.
        pos_weight: p, broadcastable to the shape of ``logits``; None means 1.
        reduction: ``"mean"`` (over the number of elements), ``"sum"`` or ``"none"``.

    Returns:
        The loss in the logits' format: 0-d for ``"mean"`` and ``"sum"``, else of the logits' shape.

    Raises:
        TypeError: an argument is not an array or a number of an accepted format.
        ValueError: a shape or the reduction is not accepted.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> logits = jnp.array([20.0, -3.0, 0.5])
        >>> targets = jnp.array([1.0, 0.0, 1.0])
        >>> loss, gradient = jax.value_and_grad(binary_cross_entropy_with_logits)(logits, targets)
        >>> print(f"{loss:.6f}")
        0.174221
        >>> print(f"{gradient[0]:.6e}")
        -6.870512e-10
    """
    check_reduction(reduction)
    x, y = _as_array("logits", logits), _as_array("targets", targets)
    if x.dtype not in FORMATS:
        raise TypeError(f"logits has dtype {x.dtype}; accepted are {_ACCEPTED}")
    if y.shape != x.shape:
        raise ValueError(
            f"targets has shape {y.shape} and logits has shape {x.shape}; accepted are equal shapes"
        )
    weights = []
    for name, value in (("weight", weight), ("pos_weight", pos_weight)):
        weights.append(None if value is None else _as_array(name, value))
        if weights[-1] is not None:
            check_broadcast(name, weights[-1], x.shape)
    return INTERFACE.loss((x, y, *weights), reduction)

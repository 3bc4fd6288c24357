"""The gradient in the logits of the loss of each framework, for arrays of NumPy.

Each function imports its framework, and returns one that evaluates the gradient. That one takes
logits and targets, [n, labels] of float32, a positive weight for each label, the name of the format
in which the framework is to compute, and the reduction ("sum" or "mean"). It returns float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Gradient = Callable[[Array, Array, Array, str, str], Array]


def native() -> Gradient:
    """Return that of the native implementation."""
    from ml_dtypes import bfloat16

    from bce_conformance.native import value_and_grad

    def gradient(x: Array, y: Array, positive: Array, dtype: str, reduction: str) -> Array:
        operands = (a.astype(bfloat16 if dtype == "bfloat16" else dtype) for a in (x, y, positive))
        logits, targets, weight = operands
        _, found = value_and_grad(logits, targets, pos_weight=weight, reduction=reduction)
        return found["logits"].astype(np.float32)

    return gradient


def torch() -> Gradient:
    """Return that of torch.nn.functional.binary_cross_entropy_with_logits."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    def gradient(x: Array, y: Array, positive: Array, dtype: str, reduction: str) -> Array:
        logits, targets, weight = (
            torch.from_numpy(a).to(getattr(torch, dtype)) for a in (x, y, positive)
        )
        logits.requires_grad_()
        binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weight, reduction=reduction
        ).backward()
        return logits.grad.float().numpy()

    return gradient


def tensorflow() -> Gradient:
    """Return that of tf.nn.weighted_cross_entropy_with_logits."""
    import tensorflow as tf

    reduced = {"sum": tf.reduce_sum, "mean": tf.reduce_mean}

    def gradient(x: Array, y: Array, positive: Array, dtype: str, reduction: str) -> Array:
        logits, targets, weight = (tf.cast(a, dtype) for a in (x, y, positive))
        with tf.GradientTape() as tape:
            tape.watch(logits)
            each = tf.nn.weighted_cross_entropy_with_logits(targets, logits, weight)
            loss = reduced[reduction](each)
        return tf.cast(tape.gradient(loss, logits), "float32").numpy()

    return gradient


def optax() -> Gradient:
    """Return that of optax.losses.sigmoid_binary_cross_entropy, which has no positive weight.

    It is composed: p·y·loss(x, 1) + (1 − y)·loss(x, 0).
    """
    import jax
    import jax.numpy as jnp
    from optax.losses import sigmoid_binary_cross_entropy as loss

    def total(logits: jax.Array, y: jax.Array, weight: jax.Array, mean: bool) -> jax.Array:
        each = weight * y * loss(logits, jnp.ones_like(y)) + (1 - y) * loss(
            logits, jnp.zeros_like(y)
        )
        return each.mean() if mean else each.sum()

    derived = jax.jit(jax.grad(total), static_argnums=3)

    def gradient(x: Array, y: Array, positive: Array, dtype: str, reduction: str) -> Array:
        operands = (jnp.asarray(a, dtype) for a in (x, y, positive))
        return np.asarray(derived(*operands, reduction == "mean"), np.float32)

    return gradient


def paddle() -> Gradient:
    """Return that of paddle.nn.functional.binary_cross_entropy_with_logits."""
    import paddle
    from paddle.nn.functional import binary_cross_entropy_with_logits

    def gradient(x: Array, y: Array, positive: Array, dtype: str, reduction: str) -> Array:
        logits, targets, weight = (paddle.to_tensor(a, dtype=dtype) for a in (x, y, positive))
        logits.stop_gradient = False
        binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weight, reduction=reduction
        ).backward()
        return logits.grad.numpy()

    return gradient


FRAMEWORKS = {
    "native": native,
    "torch": torch,
    "tensorflow": tensorflow,
    "optax": optax,
    "paddle": paddle,
}

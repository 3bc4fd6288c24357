"""Optax: ``optax.sigmoid_binary_cross_entropy``, eager and jitted, on JAX.

``weight`` and ``reduction`` are composed as for JAX. ``pos_weight`` is composed from the
framework's function at the two hard labels, p·y·loss(x, 1) + (1 − y)·loss(x, 0): right at soft
targets too, where scaling the loss by 1 + (p − 1)·y would be wrong.
"""

from __future__ import annotations

from typing import Any, ClassVar

from .jax import JaxAdapter, JaxJitAdapter


class OptaxAdapter(JaxAdapter):
    """Eager optax."""

    framework = "optax"
    composed: ClassVar[tuple[str, ...]] = ("weight", "pos_weight", "reduction")

    def version(self) -> str:
        """Return optax's version."""
        import optax

        return str(optax.__version__)

    def elementwise(self, logits: Any, targets: Any, pos_weight: Any) -> Any:
        """Return the unreduced, unweighted loss."""
        import optax

        cross_entropy = optax.sigmoid_binary_cross_entropy
        if pos_weight is None:
            return cross_entropy(logits, targets)
        jnp = self.module().numpy
        positive = cross_entropy(logits, jnp.ones_like(logits))
        negative = cross_entropy(logits, jnp.zeros_like(logits))
        return pos_weight * targets * positive + (1 - targets) * negative


class OptaxJitAdapter(OptaxAdapter, JaxJitAdapter):
    """Optax under ``jax.jit``, loss and derivatives as one function."""

"""Optax: ``optax.sigmoid_binary_cross_entropy``, eager and jitted, on JAX.

``weight`` and ``reduction`` are composed as for JAX. ``pos_weight`` is composed from the
framework's function at the two hard labels, p·y·loss(x, 1) + (1 − y)·loss(x, 0): right at soft
targets too, where scaling the loss by 1 + (p − 1)·y would be wrong.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from bce_conformance.backends.adapters.kinds.composition import at_labels

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

        loss = partial(optax.sigmoid_binary_cross_entropy, logits)
        return at_labels(loss, logits, targets, pos_weight, self.module().numpy)


class OptaxJitAdapter(OptaxAdapter, JaxJitAdapter):
    """Optax under ``jax.jit``, loss and derivatives as one function."""

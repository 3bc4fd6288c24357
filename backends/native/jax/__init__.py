"""The loss for JAX: arrays in, arrays out, under ``jit``, ``grad``, ``jvp`` and ``vmap``.

    from bce_conformance.native.jax import binary_cross_entropy_with_logits

Importing this package imports jax.
"""

from .loss import binary_cross_entropy_with_logits

__all__ = ["binary_cross_entropy_with_logits"]

"""A user's function of JAX arrays, eager or under ``jax.jit``."""

from __future__ import annotations

from typing import Any, ClassVar

from bce_conformance.backends.adapters.jax import JaxAdapter, JaxJitAdapter

from .base import FunctionAdapter
from .operations import Operations


class JaxFunction(FunctionAdapter, JaxAdapter):
    """A function that JAX differentiates."""

    extensions: ClassVar[tuple[str, ...]] = ("forms", "autograd")

    @property
    def operations(self) -> Operations:
        """JAX's operations."""
        jnp = self.module().numpy
        return Operations(
            mean=jnp.mean,
            total=jnp.sum,
            ones=jnp.ones_like,
            cast=lambda array, like: array.astype(like.dtype),
            spread=lambda array, like: jnp.broadcast_to(array, like.shape),
            collected=lambda array, axes: array.sum(axes),
            shaped=lambda array, shape: array.reshape(shape),
        )

    def synchronise(self, raw: dict[str, Any], device: str) -> dict[str, Any]:
        """Wait until the arrays are computed."""
        return self.module().block_until_ready(raw)  # type: ignore[no-any-return]

    def _loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        names = ("logits", "targets", "weight", "pos_weight")
        given = {name: arrays[name] for name in names if name in arrays}
        return self.loss(**given, reduction=reduction)


class JaxJitFunction(JaxFunction, JaxJitAdapter):
    """A function under ``jax.jit``, with its derivatives."""

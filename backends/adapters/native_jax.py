"""The native loss for JAX, under ``jax.jit``: its derivatives are those of ``native.jax``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .jax import JaxJitAdapter
from .native import NativeAdapter


class NativeJaxAdapter(JaxJitAdapter):
    """The native loss on arrays of JAX, in one compiled function with its derivatives."""

    framework = "native"
    variant = "jax"
    composed: ClassVar[tuple[str, ...]] = ()
    extensions: ClassVar[tuple[str, ...]] = ("forms", "threads", "autograd")
    dispatch: ClassVar[tuple[str, ...]] = NativeAdapter.dispatch

    def version(self) -> str:
        """Return the version of this package, with that of jax as its local part."""
        return f"{NativeAdapter().version()}+jax.{super().version()}"

    def prepare(self) -> None:
        """Compile the kernels, once a machine."""
        NativeAdapter().prepare()

    def function(self) -> Callable[..., dict[str, Any]]:
        """Return the compiled function; what is no array does not enter it, and is refused."""
        compiled, array = super().function(), self.module().Array

        def run(arrays: dict[str, Any], **settings: Any) -> dict[str, Any]:
            are_arrays = all(isinstance(value, array) for value in arrays.values())
            return (compiled if are_arrays else self._evaluate)(arrays, **settings)

        return run

    def set_threads(self, count: int) -> int:
        """Set the threads of the kernels."""
        return NativeAdapter().set_threads(count)

    def _loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        from bce_conformance.native.jax import binary_cross_entropy_with_logits

        weights = arrays.get("weight"), arrays.get("pos_weight")
        return binary_cross_entropy_with_logits(
            arrays["logits"], arrays["targets"], *weights, reduction
        )

    def _takes(self, dtype: str) -> bool:
        """Whether it takes a format: it takes every one, and to learn it compiles the kernels."""
        return True

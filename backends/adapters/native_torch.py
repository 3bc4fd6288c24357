"""The native loss for PyTorch, eager: its values and derivatives are those of ``native.torch``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from bce_conformance.backends.calls import Device

from .native import NativeAdapter, gpus
from .torch import TorchAdapter


class NativeTorchAdapter(TorchAdapter):
    """The native loss on tensors, differentiated by PyTorch."""

    framework = "native"
    variant = "torch"
    dispatch: ClassVar[tuple[str, ...]] = NativeAdapter.dispatch

    def version(self) -> str:
        """Return the version of this package, with that of torch as its local part."""
        return f"{NativeAdapter().version()}+torch.{super().version().partition('+')[0]}"

    def prepare(self) -> None:
        """Compile the kernels, once a machine."""
        NativeAdapter().prepare()

    def devices(self) -> tuple[Device, ...]:
        """List the CPU, and the first CUDA device if Numba can compile for it."""
        return super().devices()[: 1 + bool(gpus())]

    def function(self) -> Callable[..., Any]:
        """Return the native loss function."""
        from bce_conformance.native.torch import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits

    def criterion(self) -> Callable[..., Any]:
        """Return the native class."""
        from bce_conformance.native.torch import BCEWithLogitsLoss

        return BCEWithLogitsLoss

    def set_threads(self, count: int) -> int:
        """Set the threads of the kernels."""
        return NativeAdapter().set_threads(count)

    def _takes(self, dtype: str) -> bool:
        """Whether it takes a format: it takes every one, and to learn it compiles the kernels."""
        return True

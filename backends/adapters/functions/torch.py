"""A user's function of PyTorch tensors, eager or through ``torch.compile``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from bce_conformance.backends.adapters.torch import TorchAdapter, TorchCompileAdapter

from .base import FunctionAdapter
from .operations import Operations


class TorchFunction(FunctionAdapter, TorchAdapter):
    """A function that PyTorch differentiates."""

    extensions: ClassVar[tuple[str, ...]] = ("forms", "threads", "autograd", "mode")

    def function(self) -> Callable[..., Any]:
        """Return the user's function, with what it lacks composed."""
        return self.loss

    @property
    def operations(self) -> Operations:
        """PyTorch's operations."""
        torch = self.module()
        return Operations(
            mean=torch.mean,
            total=torch.sum,
            ones=torch.ones_like,
            cast=lambda tensor, like: tensor.to(like.dtype),
            spread=lambda tensor, like: tensor.expand(like.shape),
            collected=lambda tensor, axes: tensor.sum(axes),
            shaped=lambda tensor, shape: tensor.reshape(shape),
        )

    def synchronise(self, raw: dict[str, Any], device: str) -> dict[str, Any]:
        """Wait for a CUDA device."""
        if device != "cpu":
            self.module().cuda.synchronize(device)
        return raw


class TorchCompileFunction(TorchFunction, TorchCompileAdapter):
    """A function that ``torch.compile`` is given, and that PyTorch differentiates."""

    extensions: ClassVar[tuple[str, ...]] = TorchCompileAdapter.extensions

    def function(self) -> Callable[..., Any]:
        """Return the function, compiled."""
        return self.compiled(self.loss)

    def _takes(self, dtype: str) -> bool:
        """Whether the function takes a format, eager: to compile for each takes too long."""
        eager = TorchFunction(str(self.loaded.target))
        eager.loaded = self.loaded
        return eager._takes(dtype)

"""A user's function of Paddle tensors, in its dynamic mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from bce_conformance.backends.adapters.paddle import PaddleAdapter, paddle_device

from .base import FunctionAdapter
from .operations import Operations


class PaddleFunction(FunctionAdapter, PaddleAdapter):
    """A function that Paddle differentiates."""

    extensions: ClassVar[tuple[str, ...]] = ("forms",)

    def function(self) -> Callable[..., Any]:
        """Return the user's function, with what it lacks composed."""
        return self.loss

    @property
    def operations(self) -> Operations:
        """Paddle's operations."""
        paddle = self.module()
        return Operations(
            mean=paddle.mean,
            total=paddle.sum,
            ones=paddle.ones_like,
            cast=lambda tensor, like: tensor.astype(like.dtype),
            spread=lambda tensor, like: paddle.expand(tensor, like.shape),
            collected=lambda tensor, axes: paddle.sum(tensor, list(axes)),
            shaped=paddle.reshape,
        )

    def synchronise(self, raw: dict[str, Any], device: str) -> dict[str, Any]:
        """Wait for a GPU."""
        if device != "cpu":
            self.module().device.synchronize(paddle_device(device))
        return raw

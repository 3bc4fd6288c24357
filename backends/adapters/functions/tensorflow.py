"""A user's function of TensorFlow tensors, eager or compiled by XLA."""

from __future__ import annotations

from typing import Any, ClassVar

from bce_conformance.backends.adapters.tensorflow import TensorflowAdapter, TensorflowXlaAdapter

from .base import FunctionAdapter
from .operations import Operations


class TensorflowFunction(FunctionAdapter, TensorflowAdapter):
    """A function that TensorFlow differentiates."""

    extensions: ClassVar[tuple[str, ...]] = ("forms", "autograd")

    @property
    def operations(self) -> Operations:
        """TensorFlow's operations."""
        tf = self.module()
        return Operations(
            mean=tf.reduce_mean,
            total=tf.reduce_sum,
            ones=tf.ones_like,
            cast=lambda tensor, like: tf.cast(tensor, like.dtype),
            spread=lambda tensor, like: tf.broadcast_to(tensor, like.shape),
            collected=lambda tensor, axes: tf.reduce_sum(tensor, axes),
            shaped=tf.reshape,
        )

    def synchronise(self, raw: dict[str, Any], device: str) -> dict[str, Any]:
        """Wait for a GPU."""
        if device != "cpu":
            self.module().test.experimental.sync_devices()
        return raw

    def _loss(self, tensors: dict[str, Any], reduction: str) -> Any:
        names = ("logits", "targets", "weight", "pos_weight")
        return self.loss(**{n: tensors[n] for n in names if n in tensors}, reduction=reduction)


class TensorflowXlaFunction(TensorflowFunction, TensorflowXlaAdapter):
    """A function that XLA compiles, with its derivatives."""

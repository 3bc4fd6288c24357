"""Keras: ``keras.ops.binary_crossentropy`` on each of its engines, eager.

It is what ``keras.losses.BinaryCrossentropy(from_logits=True)`` takes the mean of. ``weight`` and
``reduction`` are composed, and ``pos_weight`` is from the losses at the two hard labels, as for
optax. Derivatives are the engine's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

from bce_conformance.backends.adapters.kinds.composition import at_labels
from bce_conformance.backends.calls import REDUCTIONS, LossCall, UnsupportedCall

from .base import Adapter
from .jax import JaxAdapter
from .tensorflow import TensorflowAdapter
from .torch import TorchAdapter


class _OnEngine(Adapter):
    """Stands before the adapter of an engine, whose name is the variant."""

    framework = "keras"
    composed: ClassVar[tuple[str, ...]] = ("weight", "pos_weight", "reduction")

    def module(self) -> ModuleType:
        """Import the engine, and have Keras use it."""
        os.environ["KERAS_BACKEND"] = self.variant
        return super().module()  # type: ignore[safe-super]

    def version(self) -> str:
        """Return Keras's version."""
        self.module()
        import keras

        return str(keras.__version__)

    def elementwise(self, logits: Any, targets: Any, pos_weight: Any) -> Any:
        """Return the unreduced, unweighted loss."""
        from keras import ops

        def loss(labels: Any) -> Any:
            return ops.binary_crossentropy(labels, logits, from_logits=True)

        return at_labels(loss, logits, targets, pos_weight, ops)


class KerasTensorflowAdapter(_OnEngine, TensorflowAdapter):
    """Keras on TensorFlow."""

    variant = "tensorflow"


class KerasJaxAdapter(_OnEngine, JaxAdapter):
    """Keras on JAX."""

    variant = "jax"


class KerasTorchAdapter(_OnEngine, TorchAdapter):
    """Keras on PyTorch."""

    variant = "torch"
    extensions: ClassVar[tuple[str, ...]] = ("forms", "threads")

    def loss_of(self, call: LossCall, tensors: dict[str, Any]) -> Callable[[Any], Any]:
        """Return the loss as a function of the logits alone, on the device of the call."""
        if call.reduction not in REDUCTIONS:
            raise UnsupportedCall("keras's loss has no reduction argument")
        torch = self.module()
        reduced = {"none": lambda loss: loss, "mean": torch.mean, "sum": torch.sum}[call.reduction]
        place = call.device.replace("cuda", "gpu")

        def loss(logits: Any) -> Any:
            import keras

            with keras.device(place if ":" in place else f"{place}:0"):
                each = self.elementwise(logits, tensors["targets"], tensors.get("pos_weight"))
                return reduced(tensors["weight"] * each if "weight" in tensors else each)

        return loss

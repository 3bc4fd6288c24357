"""MLX: ``mlx.nn.losses.binary_cross_entropy`` on logits, on the CPU.

``weights`` and ``reduction`` are its own. ``pos_weight`` is composed of its loss at the two hard
labels. bfloat16 and float64 cross as their bits.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.adapters.base import BFLOAT16
from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import Array

from .functional import Function, FunctionalAdapter


class MlxAdapter(FunctionalAdapter, NumpyArraysAdapter):
    """MLX on the CPU, evaluated at once."""

    framework = "mlx"
    composed: ClassVar[tuple[str, ...]] = ("pos_weight",)

    def module(self) -> ModuleType:
        """Import MLX, on the CPU, which has float64 too."""
        import mlx.core as mx

        mx.set_default_device(mx.cpu)
        return mx  # type: ignore[no-any-return,unused-ignore]

    def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of arrays by name."""
        from mlx.nn.losses import binary_cross_entropy

        mx, logits, targets = self.module(), arrays["logits"], arrays["targets"]
        weight, pos_weight = arrays.get("weight"), arrays.get("pos_weight")
        if pos_weight is None:
            return binary_cross_entropy(logits, targets, weight, reduction=reduction)
        labels = mx.ones_like(logits), mx.zeros_like(logits)
        ones, zeros = (binary_cross_entropy(logits, y, weight, reduction="none") for y in labels)
        loss = pos_weight * targets * ones + (1 - targets) * zeros
        return loss if reduction == "none" else getattr(mx, reduction)(loss)

    def vjp(self, function: Function, at: Any, cotangent: Any) -> Any:
        """Return the gradient of ``function``; a cotangent of None stands for ones."""
        mx = self.module()
        ones = mx.ones_like(function(at)) if cotangent is None else cotangent
        return mx.vjp(function, [at], [ones])[1][0]

    def jvp(self, function: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of ``function`` along ``tangent``."""
        return self.module().jvp(function, [at], [tangent])[1][0]

    def evaluated(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return ``raw`` when it is computed."""
        self.module().eval(raw)
        return raw

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as an array of MLX, which is dense whatever its layout."""
        mx = self.module()
        if array.dtype == BFLOAT16:
            return mx.array(array.view(np.uint16)).view(mx.bfloat16)
        if array.dtype == np.float64:
            return mx.array(array.view(np.uint64)).view(mx.float64)
        return mx.array(array)

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor`` as a NumPy array."""
        mx = self.module()
        if tensor.dtype == mx.bfloat16:
            return np.asarray(tensor.view(mx.uint16)).view(BFLOAT16)
        return np.asarray(tensor)

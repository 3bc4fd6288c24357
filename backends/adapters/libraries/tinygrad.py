"""tinygrad: ``Tensor.binary_crossentropy_logits`` on the CPU, which compiles with clang.

``pos_weight`` and ``reduction`` are its own, ``weight`` is composed. It has no forward mode, and
the second derivative is by differentiating twice. bfloat16 crosses as its 16 bits.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.adapters.base import BFLOAT16
from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import Array

from .functional import Function, FunctionalAdapter


class TinygradAdapter(FunctionalAdapter, NumpyArraysAdapter):
    """tinygrad on the CPU, realised at once."""

    framework = "tinygrad"
    composed: ClassVar[tuple[str, ...]] = ("weight",)
    extensions: ClassVar[tuple[str, ...]] = ()  # operands are arrays

    def module(self) -> ModuleType:
        """Import tinygrad."""
        import tinygrad

        return tinygrad  # type: ignore[no-any-return,unused-ignore]

    def version(self) -> str:
        """Return tinygrad's version."""
        from importlib.metadata import version

        return version("tinygrad")

    def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of tensors by name."""
        targets, pos_weight = arrays["targets"], arrays.get("pos_weight")
        function = arrays["logits"].binary_crossentropy_logits
        if "weight" not in arrays:
            return function(targets, reduction=reduction, pos_weight=pos_weight)
        loss = arrays["weight"] * function(targets, reduction="none", pos_weight=pos_weight)
        return loss if reduction == "none" else getattr(loss, reduction)()

    def vjp(self, function: Function, at: Any, cotangent: Any) -> Any:
        """Return the gradient of ``function``; a cotangent of None stands for ones."""
        loss = function(at)
        return loss.gradient(at, gradient=loss.ones_like() if cotangent is None else cotangent)[0]

    def hvp(self, gradient: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of the gradient along ``tangent`` by differentiating twice."""
        return self.vjp(gradient, at, tangent)

    def evaluated(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return ``raw`` when it is computed."""
        return {quantity: tensor.realize() for quantity, tensor in raw.items()}

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as a tensor, which is dense whatever its layout."""
        tinygrad = self.module()
        if array.dtype == BFLOAT16:
            bits = tinygrad.Tensor(array.copy().view(np.uint16), device="CPU")
            return bits.bitcast(tinygrad.dtypes.bfloat16).realize()
        return tinygrad.Tensor(array.copy(), device="CPU").realize()

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor`` as a NumPy array."""
        dtypes = self.module().dtypes
        if tensor.dtype == dtypes.bfloat16:
            return np.asarray(tensor.bitcast(dtypes.uint16).numpy()).view(BFLOAT16)
        return np.asarray(tensor.numpy())

"""MLX: ``mlx.nn.losses.binary_cross_entropy`` on logits, on the CPU.

``weights`` and ``reduction`` are its own. ``pos_weight`` is composed of its loss at the two hard
labels. bfloat16 and float64 cross as their bits.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bce_conformance.backends.adapters.kinds.functional import Function, OwnLossAdapter
from bce_conformance.backends.adapters.kinds.tensors import TensorsAdapter
from bce_conformance.backends.calls import Array


class MlxAdapter(OwnLossAdapter, TensorsAdapter):
    """MLX on the CPU, evaluated at once."""

    framework = "mlx"
    composed: ClassVar[tuple[str, ...]] = ("pos_weight",)
    carriers: ClassVar[dict[str, str]] = {"bfloat16": "uint16", "float64": "uint64"}

    def module(self) -> Any:
        """Import MLX, on the CPU, which has float64 too."""
        import mlx.core as mx

        mx.set_default_device(mx.cpu)
        return mx

    def own(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of arrays by name."""
        from mlx.nn.losses import binary_cross_entropy as loss

        return loss(arrays["logits"], arrays["targets"], arrays.get("weight"), reduction=reduction)

    def pull_back(self, function: Function, at: Any) -> tuple[Any, Function]:
        """Return the value of ``function``, and its gradient as a function of a cotangent."""
        mx = self.module()
        return function(at), lambda cotangent: mx.vjp(function, [at], [cotangent])[1][0]

    def jvp(self, function: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of ``function`` along ``tangent``."""
        return self.module().jvp(function, [at], [tangent])[1][0]

    def evaluated(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return ``raw`` when it is computed."""
        self.module().eval(raw)
        return raw

    def tensor(self, array: Array) -> Any:
        """Return an array of MLX."""
        return self.module().array(array)

    def recast(self, tensor: Any, dtype: Any) -> Any:
        """Return the bits of ``tensor`` in another format."""
        return tensor.view(dtype)

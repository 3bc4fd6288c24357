"""tinygrad: ``Tensor.binary_crossentropy_logits`` on the CPU, which compiles with clang.

``pos_weight`` and ``reduction`` are its own, ``weight`` is composed. It has no forward mode.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bce_conformance.backends.adapters.kinds.functional import Function, Methods, OwnLossAdapter
from bce_conformance.backends.adapters.kinds.tensors import TensorsAdapter
from bce_conformance.backends.calls import Array


class TinygradAdapter(OwnLossAdapter, TensorsAdapter):
    """tinygrad on the CPU, realised at once."""

    framework = "tinygrad"
    composed: ClassVar[tuple[str, ...]] = ("weight",)
    extensions: ClassVar[tuple[str, ...]] = ()  # operands are arrays
    forward_mode: ClassVar[bool] = False

    def operations(self) -> Any:
        """Return tinygrad's functions, which are methods of tensors."""
        return Methods()

    def formats(self) -> Any:
        """Return tinygrad's formats."""
        return self.module().dtypes

    def own(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of tensors by name."""
        options = {"pos_weight": arrays.get("pos_weight"), "reduction": reduction}
        return arrays["logits"].binary_crossentropy_logits(arrays["targets"], **options)

    def pull_back(self, function: Function, at: Any) -> tuple[Any, Function]:
        """Return the value of ``function``, and its gradient as a function of a cotangent."""
        value = function(at)
        return value, lambda cotangent: value.gradient(at, gradient=cotangent)[0]

    def evaluated(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return ``raw`` when it is computed."""
        return {quantity: tensor.realize() for quantity, tensor in raw.items()}

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as a tensor that is realised."""
        return super().place(array, device).realize()

    def tensor(self, array: Array) -> Any:
        """Return a tensor of ``array``."""
        return self.module().Tensor(array.copy(), device="CPU")

    def recast(self, tensor: Any, dtype: Any) -> Any:
        """Return the bits of ``tensor`` in another format."""
        return tensor.bitcast(dtype)

    def array(self, tensor: Any) -> Any:
        """Return a NumPy array of ``tensor``."""
        return tensor.numpy()

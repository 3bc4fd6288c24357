"""MindSpore: ``mindspore.ops.binary_cross_entropy_with_logits`` on the CPU, in PyNative mode.

``weight``, ``pos_weight`` and ``reduction`` are its own. bfloat16 crosses as float32, which holds
it.
"""

from __future__ import annotations

import os
import tempfile
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.adapters.base import BFLOAT16
from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import Array

from .functional import Function, FunctionalAdapter


def _plain(function: Function) -> Function:
    """The function as one with a name, as MindSpore asks for."""

    def plain(value: Any) -> Any:
        return function(value)

    return plain


class MindsporeAdapter(FunctionalAdapter, NumpyArraysAdapter):
    """MindSpore on the CPU."""

    framework = "mindspore"
    composed: ClassVar[tuple[str, ...]] = ()

    def module(self) -> ModuleType:
        """Import MindSpore, on the CPU, where an error is raised by the call that it is about.

        What it writes down of graphs that do not compile goes among temporary files.
        """
        os.environ.setdefault("MS_OM_PATH", tempfile.gettempdir())
        import mindspore

        mindspore.set_device("CPU")
        mindspore.runtime.launch_blocking()
        return mindspore  # type: ignore[no-any-return,unused-ignore]

    def loss(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of tensors by name."""
        operands = (arrays.get(n) for n in ("logits", "targets", "weight", "pos_weight"))
        return self.module().ops.binary_cross_entropy_with_logits(*operands, reduction)

    def vjp(self, function: Function, at: Any, cotangent: Any) -> Any:
        """Return the gradient of ``function``; a cotangent of None stands for ones."""
        mindspore = self.module()
        loss, pull_back = mindspore.vjp(_plain(function), at)
        ones = mindspore.ops.ones_like(loss) if cotangent is None else cotangent
        return pull_back(ones)[0]

    def jvp(self, function: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of ``function`` along ``tangent``."""
        return self.module().jvp(_plain(function), at, tangent)[1]

    def place(self, array: Array, device: str) -> Any:
        """Return ``array`` as a tensor, which is dense whatever its layout."""
        mindspore = self.module()
        if array.dtype == BFLOAT16:
            wide = mindspore.Tensor(array.astype(np.float32))
            return wide.astype(mindspore.bfloat16)
        return mindspore.Tensor(np.asarray(array, order="C"))

    def to_numpy(self, tensor: Any) -> Array:
        """Return ``tensor`` as a NumPy array."""
        mindspore = self.module()
        if tensor.dtype == mindspore.bfloat16:
            return np.asarray(tensor.astype(mindspore.float32).asnumpy()).astype(BFLOAT16)
        return np.asarray(tensor.asnumpy())

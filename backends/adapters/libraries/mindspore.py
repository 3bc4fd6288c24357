"""MindSpore: ``mindspore.ops.binary_cross_entropy_with_logits`` on the CPU, in PyNative mode.

``weight``, ``pos_weight`` and ``reduction`` are its own. bfloat16 crosses as float32.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any, ClassVar

import numpy as np

from bce_conformance.backends.adapters.kinds.functional import Function, OwnLossAdapter
from bce_conformance.backends.adapters.kinds.tensors import TensorsAdapter
from bce_conformance.backends.calls import Array


class MindsporeAdapter(OwnLossAdapter, TensorsAdapter):
    """MindSpore on the CPU."""

    framework = "mindspore"
    carriers: ClassVar[dict[str, str]] = {"bfloat16": "float32"}  # which holds it

    def module(self) -> Any:
        """Import MindSpore, on the CPU, where an error is raised by the call that it is about."""
        # What it writes down of graphs that do not compile goes among temporary files.
        os.environ.setdefault("MS_OM_PATH", tempfile.gettempdir())
        import mindspore

        mindspore.set_device("CPU")
        mindspore.runtime.launch_blocking()
        return mindspore

    def operations(self) -> Any:
        """Return MindSpore's functions of tensors."""
        return self.module().ops

    def own(self, arrays: dict[str, Any], reduction: str) -> Any:
        """Return the loss of tensors by name."""
        operands = (arrays.get(n) for n in ("logits", "targets", "weight", "pos_weight"))
        return self.operations().binary_cross_entropy_with_logits(*operands, reduction)

    def pull_back(self, function: Function, at: Any) -> tuple[Any, Function]:
        """Return the value of ``function``, and its gradient as a function of a cotangent."""
        value, gradients = self.module().vjp(function, at)
        return value, lambda cotangent: gradients(cotangent)[0]

    def jvp(self, function: Function, at: Any, tangent: Any) -> Any:
        """Return the derivative of ``function`` along ``tangent``."""
        return self.module().jvp(function, at, tangent)[1]

    def tensor(self, array: Array) -> Any:
        """Return a tensor of ``array``."""
        return self.module().Tensor(np.asarray(array, order="C"))

    def recast(self, tensor: Any, dtype: Any) -> Any:
        """Return the numbers of ``tensor`` in another format."""
        return tensor.astype(dtype)

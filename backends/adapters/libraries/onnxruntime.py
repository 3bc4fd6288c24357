"""ONNX Runtime on graphs of the loss: of standard operators, and as PyTorch exports it.

A graph has no derivatives: only the loss is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, ClassVar

from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import Array, LossCall

from . import onnx_graphs


class OnnxruntimeAdapter(NumpyArraysAdapter):
    """ONNX Runtime's CPU provider on the graph of standard operators."""

    framework = "onnxruntime"
    composed: ClassVar[tuple[str, ...]] = ("loss", "weight", "pos_weight", "reduction")
    extensions: ClassVar[tuple[str, ...]] = ()  # operands are arrays

    def runtime(self) -> ModuleType:
        """Import ONNX Runtime."""
        import onnxruntime

        return onnxruntime  # type: ignore[no-any-return,unused-ignore]

    def version(self) -> str:
        """Return ONNX Runtime's version."""
        return str(self.runtime().__version__)

    def graph(self, operands: Mapping[str, Array], reduction: str) -> bytes:
        """Return the graph for these operands."""
        return onnx_graphs.standard(operands, reduction)

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``."""
        operands = onnx_graphs.loss_operands(self, call)
        session = self._session(operands, call.reduction)
        return lambda: {"loss": session.run(None, operands)[0]}

    def _session(self, operands: Mapping[str, Array], reduction: str) -> Any:
        options = self.runtime().SessionOptions()
        # Backends share the processors: threads that wait sleep.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        graph, providers = self.graph(operands, reduction), ["CPUExecutionProvider"]
        return self.runtime().InferenceSession(graph, options, providers=providers)


class OnnxruntimeTorchAdapter(OnnxruntimeAdapter):
    """The same on the graph that PyTorch exports."""

    variant = "torch"
    composed: ClassVar[tuple[str, ...]] = ()

    def graph(self, operands: Mapping[str, Array], reduction: str) -> bytes:
        """Return the graph for these operands."""
        return onnx_graphs.exported(operands, reduction)

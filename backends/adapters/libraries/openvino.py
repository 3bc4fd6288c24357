"""OpenVINO on graphs of the loss: of standard operators, and as PyTorch exports it to ONNX.

A graph has no derivatives: only the loss is given. Its precision is what OpenVINO chooses on the
CPU unless it is told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import Array, LossCall

from . import onnx_graphs


class OpenvinoAdapter(NumpyArraysAdapter):
    """OpenVINO's CPU plug-in on the graph of standard operators."""

    framework = "openvino"
    composed: ClassVar[tuple[str, ...]] = ("loss", "weight", "pos_weight", "reduction")
    extensions: ClassVar[tuple[str, ...]] = ()  # operands are arrays
    _core: Any = None

    def version(self) -> str:
        """Return OpenVINO's version."""
        import openvino

        return str(openvino.__version__).partition("-")[0]

    def graph(self, operands: Mapping[str, Array], reduction: str) -> bytes:
        """Return the graph for these operands."""
        return onnx_graphs.standard(operands, reduction)

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``."""
        import openvino

        self._core = self._core or openvino.Core()
        operands = onnx_graphs.loss_operands(self, call)
        model = self._core.read_model(self.graph(operands, call.reduction))
        compiled = self._core.compile_model(model, "CPU")
        return lambda: {"loss": compiled(operands)[0]}


class OpenvinoTorchAdapter(OpenvinoAdapter):
    """The same on the graph that PyTorch exports."""

    variant = "torch"
    composed: ClassVar[tuple[str, ...]] = ()

    def graph(self, operands: Mapping[str, Array], reduction: str) -> bytes:
        """Return the graph for these operands."""
        return onnx_graphs.exported(operands, reduction)

"""OpenVINO on graphs of the loss: of standard operators, and as PyTorch exports it to ONNX.

A graph has no derivatives: only the loss is given. Its precision is what OpenVINO chooses on the
CPU unless it is told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bce_conformance.backends.adapters.kinds.graphs import ExportedGraphAdapter, GraphAdapter
from bce_conformance.backends.calls import Array


class OpenvinoAdapter(GraphAdapter):
    """OpenVINO's CPU plug-in on the graph of standard operators."""

    framework = "openvino"
    _core: Any = None

    def version(self) -> str:
        """Return OpenVINO's version, without the commit that it was built from."""
        return super().version().partition("-")[0]

    def session(self, graph: bytes) -> Callable[[dict[str, Array]], Any]:
        """Return what evaluates a graph for operands by name: the loss."""
        self._core = self._core or self.module().Core()
        compiled = self._core.compile_model(self._core.read_model(graph), "CPU")
        return lambda operands: compiled(operands)[0]


class OpenvinoTorchAdapter(ExportedGraphAdapter, OpenvinoAdapter):
    """The same on the graph that PyTorch exports."""

"""ONNX Runtime on graphs of the loss: of standard operators, and as PyTorch exports it.

A graph has no derivatives: only the loss is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bce_conformance.backends.adapters.kinds.graphs import ExportedGraphAdapter, GraphAdapter
from bce_conformance.backends.calls import Array


class OnnxruntimeAdapter(GraphAdapter):
    """ONNX Runtime's CPU provider on the graph of standard operators."""

    framework = "onnxruntime"

    def session(self, graph: bytes) -> Callable[[dict[str, Array]], Any]:
        """Return what evaluates a graph for operands by name: the loss."""
        options = self.module().SessionOptions()
        # Backends share the processors: threads that wait sleep.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        session = self.module().InferenceSession(graph, options, providers=providers)
        return lambda operands: session.run(None, operands)[0]


class OnnxruntimeTorchAdapter(ExportedGraphAdapter, OnnxruntimeAdapter):
    """The same on the graph that PyTorch exports."""

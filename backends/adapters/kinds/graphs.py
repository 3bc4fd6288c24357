"""What is shared by libraries that evaluate graphs in the format ONNX: the loss alone.

A graph has no derivatives.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from bce_conformance.backends.adapters.numpy_arrays import NumpyArraysAdapter
from bce_conformance.backends.calls import OPERANDS, Array, LossCall, UnsupportedCall

from . import onnx_graphs


class GraphAdapter(NumpyArraysAdapter):
    """A library on the graph of standard operators."""

    composed: ClassVar[tuple[str, ...]] = ("loss", "weight", "pos_weight", "reduction")
    extensions: ClassVar[tuple[str, ...]] = ()  # operands are arrays

    @abstractmethod
    def session(self, graph: bytes) -> Callable[[dict[str, Array]], Any]:
        """Return what evaluates a graph for operands by name: the loss."""

    def graph(self, operands: Mapping[str, Array], reduction: str) -> bytes:
        """Return the graph for these operands."""
        return onnx_graphs.standard(operands, reduction)

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return a thunk that evaluates ``call``.

        Raises:
            UnsupportedCall: it wants more than the loss, or there is no such reduction.
        """
        if set(call.quantities) != {"loss"}:
            raise UnsupportedCall(f"{self.framework} has no derivatives of a graph")
        self.require_reduction(call.reduction)
        arrays = self.place_all(call)
        operands = {name: arrays[name] for name in OPERANDS if name in arrays}
        evaluate = self.session(self.graph(operands, call.reduction))
        return lambda: {"loss": evaluate(operands)}


class ExportedGraphAdapter(GraphAdapter):
    """A library on the graph that PyTorch exports."""

    variant = "torch"
    composed: ClassVar[tuple[str, ...]] = ()

    def graph(self, operands: Mapping[str, Array], reduction: str) -> bytes:
        """Return the graph for these operands."""
        return onnx_graphs.exported(operands, reduction)

"""Graphs of the loss in the format ONNX: of standard operators, and as PyTorch exports it.

A graph is made for the formats of its operands, and for their shapes or numbers of dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from bce_conformance.backends.adapters.torch import TorchAdapter
from bce_conformance.backends.calls import Array

OPSET = 18
_REDUCTIONS = {"mean": "ReduceMean", "sum": "ReduceSum"}


def standard(operands: Mapping[str, Array], reduction: str) -> bytes:
    """The loss of standard operators: w · [(1 − y)·Softplus(x) + p·y·Softplus(−x)].

    Args:
        operands: arrays of the formats and the numbers of dimensions that the graph is for.
        reduction: ``none``, ``mean`` or ``sum``.
    """
    from onnx import helper, numpy_helper

    nodes: list[Any] = []

    def apply(operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    logits = operands["logits"]
    positive = "targets"
    if "pos_weight" in operands:
        positive = apply("Mul", "pos_weight", "targets")
    negative = apply("Sub", "one", "targets")
    below = apply("Mul", negative, apply("Softplus", "logits"))
    above = apply("Mul", positive, apply("Softplus", apply("Neg", "logits")))
    loss = apply("Add", below, above)
    if "weight" in operands:
        loss = apply("Mul", "weight", loss)
    if reduction != "none":
        loss = apply(_REDUCTIONS[reduction], loss, keepdims=0)
    one = numpy_helper.from_array(logits.dtype.type(1), "one")
    result = helper.make_tensor_value_info(loss, _element(logits), None)
    graph = helper.make_graph(nodes, "loss", _inputs(operands), [result], [one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    return bytes(model.SerializeToString())


def exported(operands: Mapping[str, Array], reduction: str) -> bytes:
    """The loss as PyTorch's exporter translates its function.

    The exporter takes lengths for constants, so that this graph is for arrays of these shapes.

    Args:
        operands: arrays of the formats and shapes that the graph is for.
        reduction: ``none``, ``mean`` or ``sum``.
    """
    return _exported(tuple((n, a.dtype, a.shape) for n, a in operands.items()), reduction)


@lru_cache(maxsize=256)
def _exported(kinds: tuple[tuple[str, Any, tuple[int, ...]], ...], reduction: str) -> bytes:
    adapter = TorchAdapter()
    torch = adapter.module()
    names = [name for name, _, _ in kinds]

    class Loss(torch.nn.Module):  # type: ignore[misc,name-defined,unused-ignore]
        """The function as a module, which is what can be exported."""

        def forward(self, logits: Any, targets: Any, *others: Any) -> Any:
            options = dict(zip(names[2:], others, strict=True))
            return adapter.function()(logits, targets, **options, reduction=reduction)

    examples = tuple(adapter.place(np.zeros(shape, dtype), "cpu") for _, dtype, shape in kinds)
    program = torch.onnx.export(Loss().eval(), examples, input_names=names, verbose=False)
    return bytes(program.model_proto.SerializeToString())


def _element(array: Array) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _inputs(operands: Mapping[str, Array]) -> Sequence[Any]:
    from onnx import helper

    return [
        helper.make_tensor_value_info(name, _element(array), [None] * array.ndim)
        for name, array in operands.items()
    ]

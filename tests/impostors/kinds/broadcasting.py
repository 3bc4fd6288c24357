"""Impostors that find the wrong element of a broadcast weight."""

from collections.abc import Callable
from functools import partial

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from tests.impostors.impostor import Values, declare, right

Shape = tuple[int, ...]
Misreading = Callable[[Array, Shape], Array]  # of the weight and the shape of the logits

# A class of shapes → what is done wrong with it, and the weight of each element that results.
MISREADINGS: dict[str, tuple[str, Callable[[Shape, Shape], bool], Misreading]] = {
    "scalar": (
        "Takes a 0-d {} for 1",
        lambda inner, shape: inner == (),
        lambda w, shape: np.ones(shape, w.dtype),
    ),
    "vector": (
        "Repeats each element of a {} of shape [C] N times instead of the whole, for N < 2 C",
        lambda inner, shape: (
            len(inner) == 1 and len(shape) == 2 and 2 * inner[0] > shape[0] > inner[0]
        ),
        lambda w, shape: np.repeat(w, shape[0]).reshape(shape),
    ),
    "square": (
        "Lays a {} of length N = C along the batch instead of the classes",
        lambda inner, shape: len(inner) == 1 and len(shape) == 2 and shape[0] == shape[1],
        lambda w, shape: np.broadcast_to(w[:, None], shape),
    ),
    "row": (
        "Advances a {} of shape [1, C] by the stride of its first dimension, 0",
        lambda inner, shape: len(inner) == 2 and inner[0] == 1 and shape[0] > 1,
        lambda w, shape: np.broadcast_to(w[0, 0], shape),
    ),
    "column": (
        "Repeats a {} of shape [N, 1] as a whole instead of each element C times",
        lambda inner, shape: len(inner) == 2 and inner[1] == 1 and shape[0] > shape[1] > 1,
        lambda w, shape: np.resize(w, shape),
    ),
    "square_column": (
        "Flattens a {} of shape [N, 1] with N = C, and lays it along the classes",
        lambda inner, shape: len(inner) == 2 and inner[1] == 1 and shape[0] == shape[1] > 1,
        lambda w, shape: np.broadcast_to(w.ravel(), shape),
    ),
    "full": (
        "Reads a {} of the shape of the logits column by column",
        lambda inner, shape: len(inner) == 2 and inner == shape and min(inner) > 1,
        lambda w, shape: w.ravel(order="F").reshape(shape),
    ),
    "channels": (
        "Lays a {} of shape [C, 1, 1] along the pixels instead of the channels",
        lambda inner, shape: len(inner) == 3 and len(shape) == 4,
        lambda w, shape: np.resize(w, shape),
    ),
}


def _forward(operand: str, kind: str) -> Callable[[LossCall], Values]:
    def change(call: LossCall) -> Values:
        given, shape = getattr(call, operand), call.logits.shape
        _, applies, misread = MISREADINGS[kind]
        if given is None or "loss" not in call.quantities or not applies(given.shape, shape):
            return right(call)
        wrong = np.ascontiguousarray(misread(given, shape))
        return {**right(call), **right(call, **{operand: wrong}, quantities=("loss",))}

    return change


def _backward(operand: str, kind: str) -> Callable[[LossCall], Values]:
    def change(call: LossCall) -> Values:
        given, shape, values = getattr(call, operand), call.logits.shape, right(call)
        _, applies, misread = MISREADINGS[kind]
        quantity = f"grad_{operand}"
        if quantity in values and applies(given.shape, shape):
            full = {operand: np.broadcast_to(given, shape).copy()}
            elements = right(call, **full, quantities=(quantity,))[quantity].astype(np.float64)
            index = misread(np.arange(given.size).reshape(given.shape), shape)
            total = np.bincount(index.ravel(), elements.ravel(), given.size + 1)[: given.size]
            values[quantity] = total.reshape(given.shape).astype(call.logits.dtype)
        return values

    return change


for _operand in ("weight", "pos_weight"):
    for _kind, (_sentence, _, _) in MISREADINGS.items():
        _mistake = f"{_sentence.format(_operand)}."
        declare(
            f"{_kind}_{_operand}_misread", _mistake, __name__, partial(_forward, _operand, _kind)
        )
        declare(
            f"{_kind}_{_operand}_gradient_misplaced",
            f"In its gradient: {_mistake[0].lower()}{_mistake[1:]}",
            __name__,
            partial(_backward, _operand, _kind),
        )

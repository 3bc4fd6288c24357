"""Impostors that treat shapes, formats and memory wrongly."""

from collections.abc import Callable
from functools import partial

import numpy as np

from bce_conformance.backends.calls import Array, LossCall

from .impostor import Crash, Values, declare, mistaken, right

Shape = tuple[int, ...]
Misreading = Callable[[Array, Shape], Array]  # of the weight and the shape of the logits


def _first_axis(operand: Array | None, shape: tuple[int, ...]) -> Array | None:
    """A vector laid along the first axis where its length allows it."""
    if operand is None or operand.ndim != 1 or len(shape) != 2 or operand.size != shape[0]:
        return operand
    return operand[:, None]


@mistaken()
def pos_weight_along_the_first_axis(call: LossCall) -> Values:
    """Lays a pos_weight of length N = C along the batch instead of the classes."""
    p = _first_axis(call.pos_weight, call.logits.shape)
    if p is call.pos_weight or "grad_pos_weight" in call.quantities:
        return right(call)
    return right(call, pos_weight=p)


@mistaken()
def weight_along_the_first_axis(call: LossCall) -> Values:
    """Lays a weight of length N = C along the batch instead of the classes."""
    w = _first_axis(call.weight, call.logits.shape)
    return right(call) if "grad_weight" in call.quantities else right(call, weight=w)


def _resized(operand: Array | None, shape: tuple[int, ...]) -> Array | None:
    """The operand, repeated or cut to the shape where it does not broadcast to it."""
    try:
        return operand if operand is None else np.broadcast_to(operand, shape)
    except ValueError:
        return np.resize(operand, shape)


@mistaken()
def misfits_repeated(call: LossCall) -> Values:
    """Repeats or cuts a weight that does not broadcast, instead of refusing it."""
    shape = call.logits.shape
    weight, pos_weight = _resized(call.weight, shape), _resized(call.pos_weight, shape)
    if {"grad_weight", "grad_pos_weight"} & set(call.quantities):
        return right(call)
    return right(call, weight=weight, pos_weight=pos_weight)


@mistaken()
def speechless_errors(call: LossCall) -> Values:
    """Says only that shapes do not match."""
    try:
        return right(call)
    except ValueError:
        raise ValueError("shapes do not match") from None


@mistaken()
def errors_name_one_shape(call: LossCall) -> Values:
    """Names only the shape of the logits in its errors."""
    try:
        return right(call)
    except ValueError:
        raise ValueError(f"does not broadcast to {list(call.logits.shape)}") from None


@mistaken()
def targets_broadcast(call: LossCall) -> Values:
    """Broadcasts logits and targets of different shapes without a word."""
    logits, targets = np.broadcast_arrays(call.logits, call.targets)
    return right(call, logits=logits.copy(), targets=targets.copy())


@mistaken()
def weights_enlarge(call: LossCall) -> Values:
    """Broadcasts the logits to the shape of a larger weight."""
    given = [v for v in (call.logits, call.weight, call.pos_weight) if v is not None]
    try:
        shape = np.broadcast_shapes(*(v.shape for v in given))
    except ValueError:
        return right(call)
    if shape == call.logits.shape or call.logits.shape != call.targets.shape:
        return right(call)
    logits, targets = (np.broadcast_to(v, shape).copy() for v in (call.logits, call.targets))
    return right(call, logits=logits, targets=targets)


@mistaken()
def leading_ones_squeezed(call: LossCall) -> Values:
    """Drops leading dimensions of length 1 of a weight that has too many."""
    operands = {}
    for name in ("weight", "pos_weight"):
        operand = getattr(call, name)
        while operand is not None and operand.ndim > call.logits.ndim and operand.shape[0] == 1:
            operand = operand[0]
        operands[name] = operand
    return right(call, **operands)


@mistaken()
def float64_results(call: LossCall) -> Values:
    """Returns float64 whatever the format of the logits."""
    return {quantity: value.astype(np.float64) for quantity, value in right(call).items()}


@mistaken("float16")
def float32_results(call: LossCall) -> Values:
    """Returns float32 for float16 logits, as mixed precision does."""
    return {quantity: value.astype(np.float32) for quantity, value in right(call).items()}


@mistaken()
def flat_results(call: LossCall) -> Values:
    """Returns the losses of a batch as one long vector."""
    values = right(call)
    if "loss" in values and values["loss"].ndim > 1:
        values["loss"] = values["loss"].ravel()
    return values


@mistaken()
def zero_dimensions_become_one(call: LossCall) -> Values:
    """Returns a loss of shape [1] for a 0-d logit."""
    values = right(call)
    if "loss" in values and not call.logits.ndim:
        values["loss"] = values["loss"].reshape(1)
    return values


@mistaken()
def last_element_uninitialised(call: LossCall) -> Values:
    """Does not write the last element of its output."""
    values = right(call)
    for quantity, value in values.items():
        if value.size > 1 and value.shape == call.logits.shape:
            poisoned = value.copy()
            poisoned.flat[-1] = 777.0
            values[quantity] = poisoned
    return values


@mistaken()
def vector_tail_wrong(call: LossCall) -> Values:
    """Loads the vector beyond the last full eight elements from one place too early."""
    n = call.logits.size
    body = n - n % 8
    if not body or body == n or call.logits.ndim != 1:
        return right(call)
    shifted = np.concatenate([call.logits[:body], call.logits[body - 1 : -1]])
    return right(call, logits=shifted)


@mistaken()
def transposed(call: LossCall) -> Values:
    """Reads a matrix of logits column by column and its targets row by row."""
    if call.logits.ndim != 2:
        return right(call)
    logits = np.ascontiguousarray(call.logits.T).reshape(call.logits.shape)
    return right(call, logits=logits)


@mistaken()
def crashes_on_misfits(call: LossCall) -> Values:
    """Reads beyond the end of operands whose shapes do not fit, and takes its process down."""
    try:
        return right(call)
    except ValueError:
        raise Crash from None


# The wrong elements of broadcast weights: a class of shapes → what is done wrong with it, and the
# weight of each element that results.
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

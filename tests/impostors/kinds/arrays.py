"""Impostors that treat shapes, formats and memory wrongly."""

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from tests.impostors.impostor import Crash, Values, mistaken, right


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

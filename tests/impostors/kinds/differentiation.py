"""Impostors that are wrong where dual numbers, or backward passes, are differentiated."""

import numpy as np

from bce_conformance.backends.calls import LossCall
from tests.impostors.impostor import Values, mistaken, right


def _lost(call: LossCall, *quantities: str, way: str = "forward", where: bool = True) -> Values:
    """The right results, but zeros for some where derivatives are made in a way."""
    values = right(call)
    lost = values.keys() & set(quantities) if where and call.autograd == way else ()
    return values | {quantity: np.zeros_like(values[quantity]) for quantity in lost}


def _is_broadcast(call: LossCall) -> bool:
    return call.weight is not None and call.weight.ndim < call.logits.ndim


@mistaken()
def dual_numbers_of_full_weights_lost(call: LossCall) -> Values:
    """Loses what weights carry along as dual numbers that have as many dimensions as the logits."""
    return _lost(call, "grad_weight", "grad_pos_weight", where=not _is_broadcast(call))


@mistaken()
def dual_numbers_of_broadcast_weights_lost(call: LossCall) -> Values:
    """Loses what a weight carries along as dual numbers that has fewer dimensions."""
    return _lost(call, "grad_weight", where=_is_broadcast(call))


@mistaken()
def dual_numbers_of_logits_lost(call: LossCall) -> Values:
    """Loses what the logits carry along as dual numbers, along a tangent."""
    return _lost(call, "jvp_logits")


@mistaken()
def dual_numbers_of_plain_gradients_lost(call: LossCall) -> Values:
    """Loses in its backward pass without weights what the logits carry along."""
    return _lost(call, "hvp_logits", where=call.weight is None)


@mistaken()
def dual_numbers_of_weighted_gradients_lost(call: LossCall) -> Values:
    """Loses in its backward pass with weights what the logits carry along under ones."""
    weighted = call.weight is not None and call.cotangent is None
    return _lost(call, "hvp_logits", where=weighted)


@mistaken()
def dual_numbers_of_gradients_lost(call: LossCall) -> Values:
    """Loses in its backward pass under a cotangent what the logits carry along."""
    return _lost(call, "hvp_logits", where=call.cotangent is not None)


@mistaken()
def plain_backward_pass_constant_in_targets(call: LossCall) -> Values:
    """Takes the targets for constants in its backward pass without weights."""
    return _lost(call, "grad_targets", way="twice", where=call.weight is None)


@mistaken()
def weighted_backward_pass_constant_in_targets(call: LossCall) -> Values:
    """Takes the targets for constants in its backward pass with weights."""
    return _lost(call, "grad_targets", way="twice", where=call.weight is not None)


@mistaken()
def backward_pass_constant_in_weight(call: LossCall) -> Values:
    """Takes the weight for a constant in its backward pass."""
    return _lost(call, "grad_weight", way="twice")


@mistaken()
def backward_pass_constant_in_pos_weight(call: LossCall) -> Values:
    """Takes pos_weight for a constant in its backward pass."""
    return _lost(call, "grad_pos_weight", way="twice")


@mistaken()
def plain_backward_pass_constant_in_the_cotangent(call: LossCall) -> Values:
    """Takes the cotangent for a constant in its backward pass without weights."""
    return _lost(call, "jvp_logits", way="twice", where=call.weight is None)


@mistaken()
def weighted_backward_pass_constant_in_the_cotangent(call: LossCall) -> Values:
    """Takes the cotangent for a constant in its backward pass with weights."""
    return _lost(call, "jvp_logits", way="twice", where=call.weight is not None)

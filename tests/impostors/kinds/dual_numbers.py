"""Impostors that lose what dual numbers carry along."""

import numpy as np

from bce_conformance.backends.calls import LossCall
from tests.impostors.impostor import Values, mistaken, right


def _lost_by_dual_numbers(call: LossCall, *quantities: str) -> Values:
    """The right results, but zeros for derivatives that dual numbers carry along."""
    values = right(call)
    lost = values.keys() & set(quantities) if call.autograd == "forward" else ()
    return values | {quantity: np.zeros_like(values[quantity]) for quantity in lost}


@mistaken()
def dual_numbers_of_weights_lost(call: LossCall) -> Values:
    """Loses what weight and pos_weight carry along as dual numbers."""
    return _lost_by_dual_numbers(call, "grad_weight", "grad_pos_weight")


@mistaken()
def dual_numbers_of_broadcast_weights_lost(call: LossCall) -> Values:
    """Loses what a weight carries along as dual numbers that has fewer dimensions."""
    broadcast = call.weight is not None and call.weight.ndim < call.logits.ndim
    return _lost_by_dual_numbers(call, *["grad_weight"] * broadcast)


@mistaken()
def dual_numbers_of_gradients_lost(call: LossCall) -> Values:
    """Loses in its backward pass what the logits carry along as dual numbers."""
    return _lost_by_dual_numbers(call, "hvp_logits")

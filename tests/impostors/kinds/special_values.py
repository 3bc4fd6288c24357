"""Impostors that go wrong where special values of several operands meet."""

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from tests.impostors.impostor import Values, mistaken, operands, right


def _is_full(call: LossCall, operand: Array | None) -> bool:
    """Whether an operand is given with a value for each element."""
    return operand is not None and operand.shape == call.logits.shape


@mistaken()
def balance_before_nan(call: LossCall) -> Values:
    """Takes 0 for the slope where both terms balance at 0, before it has looked at the weight."""
    values, (x, y, _, p) = right(call), operands(call)
    with np.errstate(invalid="ignore"):
        balanced = (x == 0) & (1 - y == p * y)
    for quantity in values.keys() & {"grad_logits", "jvp_logits"}:
        if values[quantity].shape == balanced.shape:
            values[quantity] = np.where(balanced, values[quantity].dtype.type(0), values[quantity])
    return values


@mistaken()
def curvature_without_targets(call: LossCall) -> Values:
    """Leaves the targets out of the second derivative where pos_weight is 1."""
    values, (_, y, _, p) = right(call), operands(call)
    if "hvp_logits" in values:
        targets = np.where(p == 1, y.dtype.type(0), y)
        values["hvp_logits"] = right(call, targets=targets)["hvp_logits"]
    return values


@mistaken()
def infinite_weights_clipped(call: LossCall) -> Values:
    """Clips an infinite weight to the largest number."""
    if call.weight is None or call.weight.dtype.kind != "f":
        return right(call)
    largest = np.finfo(call.weight.dtype).max
    return right(call, weight=np.clip(call.weight, -largest, largest))


@mistaken()
def balance_keeps_the_sign_of_zero(call: LossCall) -> Values:
    """Gives a slope that vanishes at a logit of 0 the sign of that zero."""
    values, (x, *_) = right(call), operands(call)
    for quantity in values.keys() & {"grad_logits"}:
        slope = values[quantity]
        if slope.shape == x.shape:
            values[quantity] = np.where((x == 0) & (slope == 0), x, slope)
    return values


def _with_minus_zeros(call: LossCall, where: Array) -> Values:
    """Right but for losses of zero, which are −0 at chosen elements."""
    values = right(call)
    if "loss" in values and values["loss"].shape == where.shape:
        loss = values["loss"]
        values["loss"] = np.where(where & (loss == 0), -loss, loss)
    return values


@mistaken()
def masked_losses_are_minus_zero(call: LossCall) -> Values:
    """Negates a product with the weight: its zeros are −0."""
    return _with_minus_zeros(call, operands(call)[2] == 0)


@mistaken()
def losses_of_ignored_positives_are_minus_zero(call: LossCall) -> Values:
    """Negates a product with pos_weight: its zeros are −0."""
    return _with_minus_zeros(call, operands(call)[3] == 0)


@mistaken()
def product_of_coefficients_underflows(call: LossCall) -> Values:
    """Multiplies pos_weight and targets in the format, where the product may underflow to 0."""
    values, (_, y, _, p) = right(call), operands(call)
    if _is_full(call, call.pos_weight):
        rounded = np.where(p * y == 0, p.dtype.type(0), p)
        apart = {"grad_targets", "grad_pos_weight"}  # which do not contain the product
        others = tuple(name for name in call.quantities if name not in apart)
        if others:
            values |= right(call, pos_weight=rounded, quantities=others)
    return values

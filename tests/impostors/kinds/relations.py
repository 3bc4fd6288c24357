"""Impostors whose results do not fit together, however good each of them is."""

from functools import reduce

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from tests.impostors.impostor import (
    PRETENDED,
    Values,
    mistaken,
    operands,
    right,
    right_elements,
    stateful,
    two_ulps_off,
    with_elements,
    with_formulas,
)

from .formulas import rounded, sigmoid, wide


def _everywhere(call: LossCall) -> Array:
    return np.ones(call.logits.shape, bool)


@mistaken()
def negatives_by_another_formula(call: LossCall) -> Values:
    """Takes another formula for negative logits, two ulps off."""
    return two_ulps_off(right(call), call.logits < 0)


@mistaken()
def complement_for_positives(call: LossCall) -> Values:
    """Takes σ(x) − 1 for the gradient of certain positives, where its digits cancel."""

    def gradient(x: Array, y: Array, w: Array, p: Array) -> Array:
        complement = wide(sigmoid(x) - x.dtype.type(1))
        x, y, w, p = map(wide, (x, y, w, p))
        term = np.where(y == 1, complement, -1 / (1 + np.exp(x)))
        return w * ((1 - y) / (1 + np.exp(-x)) + p * y * term)

    return with_formulas(call, grad_logits=gradient)


@mistaken("float16", "float32")
def losses_clipped(call: LossCall) -> Values:
    """Clips the loss of an element at 50, to keep outliers out of the batch."""
    return with_elements(call, np.minimum(right_elements(call), 50))


@mistaken()
def step_at_four(call: LossCall) -> Values:
    """Takes another formula for logits above 4, whose losses are 10⁻⁵ of themselves too small."""
    factor = np.where(call.logits > 4, 1 - 1e-5, 1)
    return with_elements(call, right_elements(call) * factor)


@mistaken()
def gradient_damped(call: LossCall) -> Values:
    """Damps the gradient in logits beyond ±2 by a tenth."""
    values = right(call)
    if "grad_logits" in values:
        factor = np.where(np.abs(call.logits) > 2, np.float32(0.9), np.float32(1))
        values["grad_logits"] = values["grad_logits"] * factor
    return values


@mistaken()
def gradient_by_pos_weight_twice(call: LossCall) -> Values:
    """Multiplies the gradient in the logits by a pos_weight above 1 once more."""
    values = right(call)
    if "grad_logits" in values:
        *_, p = operands(call)
        values["grad_logits"] = values["grad_logits"] * np.maximum(p, 1)
    return values


@mistaken()
def weights_take_another_path(call: LossCall) -> Values:
    """Takes another formula where weight or pos_weight are given, two ulps off."""
    weighted = call.weight is not None or call.pos_weight is not None
    return two_ulps_off(right(call), _everywhere(call) & weighted)


@mistaken()
def weight_from_its_logarithm(call: LossCall) -> Values:
    """Keeps the logarithms of weights, in half precision."""
    if call.weight is None:
        return right(call)
    with np.errstate(all="ignore"):
        logarithm = np.log(call.weight).astype(np.float16)
    return right(call, weight=rounded(np.exp, logarithm.astype(call.weight.dtype)))


@mistaken()
def weight_in_fixed_point(call: LossCall) -> Values:
    """Keeps weights with three binary digits after the point."""
    return right(call, weight=None if call.weight is None else np.round(call.weight * 8) / 8)


@mistaken()
def one_lane_differs(call: LossCall) -> Values:
    """Computes every eighth element on another unit, two ulps off."""
    numbers = np.arange(call.logits.size).reshape(call.logits.shape)
    return two_ulps_off(right(call), numbers % 8 == 7)


@mistaken()
def negative_differences_rounded_down(call: LossCall) -> Values:
    """Rounds the gradient in the targets toward minus infinity, so that it is not odd."""
    values = right(call)
    if "grad_targets" in values:
        gradient = values["grad_targets"]
        below = np.nextafter(gradient, np.float32(-np.inf))
        values["grad_targets"] = np.where(gradient < 0, below, gradient)
    return values


@mistaken()
def targets_gradient_in_fixed_point(call: LossCall) -> Values:
    """Keeps the gradient in the targets with ten binary digits after the point."""
    values = right(call)
    if "grad_targets" in values:
        scaled = np.trunc(values["grad_targets"] * np.float32(1024))
        values["grad_targets"] = scaled / np.float32(1024)
    return values


@stateful()
class StreamsInTurn:
    """Gives calls to three streams in turn, the second of which computes two ulps off."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, call: LossCall) -> Values:
        self.calls += 1
        return two_ulps_off(right(call), _everywhere(call) & (self.calls % 3 == 2))


@stateful()
class DelayedScaling:
    """Scales by the largest logit of the last call, two ulps off where this one has another."""

    def __init__(self) -> None:
        self.largest = None

    def __call__(self, call: LossCall) -> Values:
        before, self.largest = self.largest, np.max(call.logits, initial=0)
        is_scaled = before is not None and before != self.largest
        return two_ulps_off(right(call), _everywhere(call) & is_scaled)


@mistaken("float32", "float64")
def part_for_each_thread(call: LossCall) -> Values:
    """Splits a sum among the threads that it is given, and adds the parts in the format."""
    if call.reduction == "none" or not call.threads:
        return right(call)
    terms = right_elements(call).astype(call.logits.dtype).ravel()
    parts = np.array_split(terms, call.threads)
    total = reduce(np.add, (np.cumsum(part, dtype=part.dtype)[-1] for part in parts))
    divisor = total.dtype.type(terms.size if call.reduction == "mean" else 1)
    return {**right(call), "loss": np.asarray(total / divisor)}


@mistaken()
def threads_return_accumulators(call: LossCall) -> Values:
    """Returns float64 where a number of threads is asked for."""
    values = right(call)
    return {q: v.astype(np.float64) for q, v in values.items()} if call.threads else values


@mistaken()
def other_device_differs(call: LossCall) -> Values:
    """Takes another formula on devices other than the CPU, two ulps off."""
    return two_ulps_off(right(call), _everywhere(call) & (call.device == PRETENDED))


@mistaken()
def shifted_by_the_largest(call: LossCall) -> Values:
    """Subtracts the largest logit of a batch first and adds it again, as for a softmax."""
    if call.logits.ndim != 2 or not call.logits.size or not np.isfinite(call.logits).all():
        return right(call)
    largest = call.logits.max()
    return right(call, logits=call.logits - largest + largest)


@mistaken()
def short_arrays_go_another_way(call: LossCall) -> Values:
    """Takes another function for arrays of fewer than 64 elements, two ulps off."""
    return two_ulps_off(right(call), _everywhere(call) & (call.logits.size < 64))

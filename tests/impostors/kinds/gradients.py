"""Impostors whose loss is right and whose derivatives are not."""

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from tests.impostors.impostor import (
    Crash,
    Values,
    contracted,
    mistaken,
    operands,
    right,
    with_formulas,
)

from .formulas import rounded, sigmoid


def _wide(*arrays: Array) -> tuple[Array, ...]:
    return tuple(array.astype(np.float64) for array in arrays)


@mistaken("float16", "bfloat16", "float32")
def sigmoid_minus_target(call: LossCall) -> Values:
    """Computes the gradient as σ(x) − y, which vanishes in the positive tail."""

    def gradient(x: Array, y: Array, w: Array, p: Array) -> Array:
        one = x.dtype.type(1)
        return w * ((one - y + p * y) * sigmoid(x) - p * y)

    return with_formulas(call, grad_logits=gradient)


@mistaken("float16", "float32")
def exponentials_quotient(call: LossCall) -> Values:
    """Computes σ(x) as eˣ/(1 + eˣ), which is NaN where eˣ overflows."""

    def gradient(x: Array, y: Array, w: Array, p: Array) -> Array:
        one = x.dtype.type(1)
        positive, negative = (rounded(np.exp, t) / (one + rounded(np.exp, t)) for t in (x, -x))
        return w * ((one - y) * positive - p * y * negative)

    return with_formulas(call, grad_logits=gradient)


def _at_zero(call: LossCall, confused: Array, slope: float) -> Values:
    """The right gradient but where x is a zero that is confused: there σ(x) is ``slope``."""
    values = right(call)
    for quantity in values.keys() & {"grad_logits", "jvp_logits"}:
        _, y, w, p = _wide(*operands(call))
        wrong = contracted(call, quantity, w * ((1 - y) * slope - p * y * (1 - slope)))
        values[quantity] = np.where(confused, wrong, values[quantity])
    return values


@mistaken()
def slope_of_max_at_zero(call: LossCall) -> Values:
    """Takes 0 for the derivatives of max(x, 0) and |x| at 0."""
    return _at_zero(call, call.logits == 0, 0.0)


@mistaken()
def slope_of_abs_at_zero(call: LossCall) -> Values:
    """Takes 1 for the derivative of max(x, 0) at 0, and 0 for that of |x|."""
    return _at_zero(call, call.logits == 0, 1.0)


@mistaken()
def slope_at_negative_zero(call: LossCall) -> Values:
    """Confuses −0 with a negative number, and takes 0 for the derivative of max(x, 0) there."""
    return _at_zero(call, (call.logits == 0) & np.signbit(call.logits), 0.0)


@mistaken()
def slope_at_zero_with_weights(call: LossCall) -> Values:
    """Takes 0 for the derivative of max(x, 0) at 0 on the path that takes weights."""
    weighted = call.weight is not None and call.pos_weight is not None
    return _at_zero(call, (call.logits == 0) & weighted, 0.0)


@mistaken()
def slope_at_zero_without_weights(call: LossCall) -> Values:
    """Takes 0 for the derivative of max(x, 0) at 0 on the path without weights."""
    weighted = call.weight is not None or call.pos_weight is not None
    return _at_zero(call, (call.logits == 0) & (not weighted), 0.0)


@mistaken()
def dead_when_certain(call: LossCall) -> Values:
    """Returns a zero gradient where σ(x) was clipped at ε = 10⁻⁷."""

    def gradient(x: Array, y: Array, w: Array, p: Array) -> Array:
        x, y, w, p = _wide(x, y, w, p)
        slope = w * ((1 - y) * sigmoid(x) - p * y * sigmoid(-x))
        return np.where(np.abs(x) > np.log(1e7), 0, slope)

    return with_formulas(call, grad_logits=gradient)


@mistaken()
def gradient_nan_at_infinity(call: LossCall) -> Values:
    """Computes the gradient as x·0 + …, which is NaN at infinity."""
    for quantity in (values := right(call)).keys() & {"grad_logits"}:
        values[quantity] = values[quantity] * np.where(np.isinf(call.logits), np.nan, 1)
        values[quantity] = values[quantity].astype(call.logits.dtype)
    return values


@mistaken()
def gradient_without_weight(call: LossCall) -> Values:
    """Leaves the weight out of the gradients in logits and targets."""
    quantities = tuple(set(call.quantities) & {"grad_logits", "grad_targets", "jvp_logits"})
    unweighted = right(call, weight=None, quantities=quantities) if quantities else {}
    return {**right(call), **unweighted}


@mistaken()
def gradient_without_pos_weight(call: LossCall) -> Values:
    """Leaves pos_weight out of the gradient in the logits."""
    quantities = tuple(set(call.quantities) & {"grad_logits", "jvp_logits"})
    unweighted = right(call, pos_weight=None, quantities=quantities) if quantities else {}
    return {**right(call), **unweighted}


@mistaken()
def without_cotangent(call: LossCall) -> Values:
    """Does not multiply the cotangent."""
    return right(call, cotangent=None)


@mistaken()
def one_cotangent_for_all(call: LossCall) -> Values:
    """Multiplies the first element's cotangent to every gradient."""
    if call.cotangent is None or not call.cotangent.size:
        return right(call)
    first = np.full(call.cotangent.shape, call.cotangent.flat[0], call.cotangent.dtype)
    return right(call, cotangent=first)


@mistaken()
def positive_cotangents_only(call: LossCall) -> Values:
    """Multiplies the absolute value of the cotangent."""
    return right(call, cotangent=None if call.cotangent is None else np.abs(call.cotangent))


def _scaled(call: LossCall, factor: float) -> Values:
    gradients = {q: v for q, v in right(call).items() if q.startswith("grad_")}
    scaled = {q: (v.astype(np.float64) * factor).astype(v.dtype) for q, v in gradients.items()}
    return {**right(call), **scaled}


@mistaken()
def gradient_without_count(call: LossCall) -> Values:
    """Leaves the factor 1/N out of the gradient of a mean."""
    return _scaled(call, call.logits.size if call.reduction == "mean" else 1)


@mistaken()
def gradient_with_count_twice(call: LossCall) -> Values:
    """Multiplies the factor 1/N twice into the gradient of a mean."""
    return _scaled(call, 1 / max(1, call.logits.size) if call.reduction == "mean" else 1)


@mistaken()
def sum_scaled_as_mean(call: LossCall) -> Values:
    """Multiplies the factor 1/N also into the gradient of a sum."""
    return _scaled(call, 1 / max(1, call.logits.size) if call.reduction == "sum" else 1)


@mistaken()
def targets_gradient_missing(call: LossCall) -> Values:
    """Has no gradient in the targets, and says nothing."""
    return {q: v for q, v in right(call).items() if q != "grad_targets"}


@mistaken()
def targets_gradient_zero(call: LossCall) -> Values:
    """Returns zeros for the gradient in the targets."""
    return {q: v * 0 if q == "grad_targets" else v for q, v in right(call).items()}


@mistaken()
def targets_gradient_sign(call: LossCall) -> Values:
    """Returns the gradient in the targets with the wrong sign."""
    return {q: -v if q == "grad_targets" else v for q, v in right(call).items()}


@mistaken()
def targets_gradient_without_pos_weight(call: LossCall) -> Values:
    """Takes −w·x for the gradient in the targets whatever pos_weight is."""
    return with_formulas(call, grad_targets=lambda x, y, w, p: -w * x)


@mistaken()
def targets_gradient_from_softplus(call: LossCall) -> Values:
    """Takes softplus(−x) − softplus(x) for −x, which cancels for tiny logits."""

    def gradient(x: Array, y: Array, w: Array, p: Array) -> Array:
        zero = x.dtype.type(0)
        tail = rounded(np.log1p, rounded(np.exp, -np.abs(x)))
        return w * (p * (np.maximum(-x, zero) + tail) - (np.maximum(x, zero) + tail))

    return with_formulas(call, grad_targets=gradient)


@mistaken()
def weight_gradient_with_weight(call: LossCall) -> Values:
    """Returns the weighted loss as the gradient in weight."""
    values = right(call)
    if "grad_weight" in values and call.weight is not None:
        values["grad_weight"] = values["grad_weight"] * call.weight
    return values


@mistaken()
def pos_weight_gradient_without_target(call: LossCall) -> Values:
    """Leaves the target out of the gradient in pos_weight."""

    def gradient(x: Array, y: Array, w: Array, p: Array) -> Array:
        x, w = _wide(x, w)
        return w * np.logaddexp(0, -x)

    return with_formulas(call, grad_pos_weight=gradient)


@mistaken()
def pos_weight_gradient_without_weight(call: LossCall) -> Values:
    """Leaves the weight out of the gradient in pos_weight."""
    if "grad_pos_weight" not in call.quantities:
        return right(call)
    return {**right(call), **right(call, weight=None, quantities=("grad_pos_weight",))}


@mistaken()
def overflowing_operand_gradients(call: LossCall) -> Values:
    """Takes the gradients of the other operands from an exponential that overflows."""
    values = right(call)
    limit = np.log(np.finfo(call.logits.dtype).max)
    large = np.abs(call.logits.astype(np.float64)) > limit
    for quantity in values.keys() & {"grad_targets", "grad_weight", "grad_pos_weight"}:
        if values[quantity].shape == call.logits.shape:
            wrong = np.where(large, np.inf, values[quantity])
            values[quantity] = wrong.astype(call.logits.dtype)
    return values


@mistaken()
def detached_second_order(call: LossCall) -> Values:
    """Returns zeros for the second derivative, as a gradient that is a constant has."""
    return {q: v * 0 if q == "hvp_logits" else v for q, v in right(call).items()}


@mistaken()
def second_order_without_pos_weight(call: LossCall) -> Values:
    """Takes σ(x)·(1 − σ(x)) for the second derivative whatever pos_weight is."""
    if "hvp_logits" not in call.quantities:
        return right(call)
    return {**right(call), **right(call, pos_weight=None, quantities=("hvp_logits",))}


@mistaken()
def forward_mode_unsigned(call: LossCall) -> Values:
    """Drops the sign of the direction in forward mode."""
    if "jvp_logits" not in call.quantities or call.tangent is None:
        return right(call)
    return {**right(call), **right(call, tangent=np.abs(call.tangent), quantities=("jvp_logits",))}


@mistaken()
def gradient_unsummed(call: LossCall) -> Values:
    """Returns gradients of broadcast operands in the shape of the logits."""
    values = right(call)
    for quantity in values.keys() & {"grad_weight", "grad_pos_weight"}:
        full = call.logits.shape
        values[quantity] = np.ascontiguousarray(np.broadcast_to(values[quantity], full))
    return values


@mistaken()
def gradient_averaged(call: LossCall) -> Values:
    """Averages over the broadcast dimensions instead of summing over them."""
    values = right(call)
    for quantity in values.keys() & {"grad_weight", "grad_pos_weight"}:
        share = values[quantity].size / call.logits.size
        values[quantity] = (values[quantity].astype(np.float64) * share).astype(call.logits.dtype)
    return values


@mistaken("float16", "float32")
def gradient_summed_in_the_format(call: LossCall) -> Values:
    """Adds the gradient of a weight over more than 100 rows one by one in the format itself."""
    return _added_one_by_one(call, "weight")


@mistaken()
def pos_weight_gradient_summed_in_the_format(call: LossCall) -> Values:
    """Adds the gradient of a pos_weight over more than 100 rows one by one in the format."""
    return _added_one_by_one(call, "pos_weight")


def _added_one_by_one(call: LossCall, name: str) -> Values:
    values, quantity, operand = right(call), f"grad_{name}", getattr(call, name)
    shape = call.logits.shape
    if quantity in values and operand.ndim == 1 and len(shape) == 2 and shape[0] > 100:
        full = np.broadcast_to(operand, shape)
        elements = right(call, **{name: full}, quantities=(quantity,))[quantity]
        values[quantity] = np.cumsum(elements, axis=0, dtype=call.logits.dtype)[-1]
    return values


@mistaken("float16")
def elements_counted_in_the_format(call: LossCall) -> Values:
    """Counts the elements of a mean in the format itself before it divides gradients by them."""
    values = right(call)
    if call.reduction == "mean":
        with np.errstate(over="ignore"):
            counted = float(np.float64(call.logits.size).astype(call.logits.dtype))
        for quantity in values.keys() - {"loss"}:
            exact = values[quantity].astype(np.float64) * (call.logits.size / counted)
            values[quantity] = exact.astype(call.logits.dtype)
    return values


@mistaken()
def second_gradient_forgotten(call: LossCall) -> Values:
    """Returns the gradients in weight and pos_weight only where no other was asked for."""
    values = right(call)
    kept = {q: v for q, v in values.items() if q not in ("grad_weight", "grad_pos_weight")}
    return values if len(values) == 1 else kept


@mistaken()
def operand_gradients_under_mean_missing(call: LossCall) -> Values:
    """Raises for gradients in weight under a mean instead of computing them."""
    if call.reduction == "mean" and "grad_weight" in call.quantities:
        raise NotImplementedError("grad_weight under mean")
    return right(call)


@mistaken()
def unsigned_underflow(call: LossCall) -> Values:
    """Returns +0 for a gradient that underflows from below."""
    return {q: v + 0 if q.startswith("grad_") else v for q, v in right(call).items()}


def _soft_gradient(call: LossCall, wrong: Array, replacement: float) -> Values:
    """The right gradient, but ``replacement`` at soft targets where it is wrong."""
    values = right(call)
    soft = (call.targets > 0) & (call.targets < 1)
    for quantity in values.keys() & {"grad_logits", "jvp_logits"}:
        slope = values[quantity]
        values[quantity] = np.where(soft & wrong, slope.dtype.type(replacement), slope)
    return values


@mistaken()
def squared_exponential(call: LossCall) -> Values:
    """Squares 1 + eˣ on the path for soft targets, which overflows above 44."""
    return _soft_gradient(call, np.abs(call.logits) > 44.4, np.nan)


@mistaken()
def almost_hard_taken_for_hard(call: LossCall) -> Values:
    """Takes targets within 10⁻⁶ of 0 or 1 for hard in the gradient."""
    y = call.targets
    near = np.where(y < 1e-6, 0, np.where(y > 1 - 1e-6, 1, y)).astype(y.dtype)
    if "grad_logits" not in call.quantities:
        return right(call)
    return {**right(call), **right(call, targets=near, quantities=("grad_logits",))}


@mistaken()
def converged(call: LossCall) -> Values:
    """Takes the gradient for zero where σ(x) and y agree to 22 bits and |x| < 8."""
    x = call.logits.astype(np.float64)
    agree = np.abs(sigmoid(x) - call.targets) < 2.0**-22
    return _soft_gradient(call, agree & (np.abs(x) < 8), 0)


@mistaken()
def crashes_in_pos_weight_gradient(call: LossCall) -> Values:
    """Takes its process down when asked for the gradient in pos_weight under a mean."""
    if call.reduction == "mean" and "grad_pos_weight" in call.quantities:
        raise Crash
    return right(call)


@mistaken()
def rounded_terms(call: LossCall) -> Values:
    """Rounds (1 − y)·σ(x) and p·y·σ(−x) into the format before it subtracts them."""

    def gradient(x: Array, y: Array, w: Array, p: Array) -> Array:
        wide_x, wide_y, wide_p = _wide(x, y, p)
        e = np.exp(-np.abs(wide_x))
        small, large = e / (1 + e), 1 / (1 + e)
        rises, falls = np.where(wide_x > 0, large, small), np.where(wide_x > 0, small, large)
        first = ((1 - wide_y) * rises).astype(x.dtype)
        return w * (first - (wide_p * wide_y * falls).astype(x.dtype))

    return with_formulas(call, grad_logits=gradient)

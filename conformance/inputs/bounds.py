"""The bounds of SPEC.md, "Levels": what the errors of a call's results are measured against.

Guarantees that no bound over- or underflows: they are logarithms to base 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array, LossCall

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """What the errors of one array are measured against.

    Attributes:
        scale: log₂ S of level A, of the shape of the result; −inf where S is zero.
        larger_term: log₂ of the larger of the two terms whose difference the result is, where level
            AA allows its ulp instead of the result's; None where it does not.
        terms: N for a sum of N terms, 1 for an element.
    """

    scale: Floats
    larger_term: Floats | None = None
    terms: int = 1

    @property
    def growth(self) -> float:
        """The factor by which the bounds of A and AA grow for a sum."""
        return 1.0 + float(np.log2(self.terms))


def as_float64(values: Array) -> Floats:
    """The values, exactly: every format embeds in float64."""
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return np.asarray(values).astype(np.float64)


def log2(values: Floats) -> Floats:
    """The logarithm to base 2; −∞ for zero."""
    with np.errstate(divide="ignore"):
        logarithm: Floats = np.log2(values)
    return logarithm


def log2_of_product(*logarithms: Floats) -> Floats:
    """The sum of logarithms to base 2; a factor of zero makes a product zero, also beside ∞."""
    with np.errstate(invalid="ignore"):
        total = np.asarray(sum(logarithms[1:], logarithms[0]))
    # Only beside a zero is the sum −∞, and beside ∞ NaN.
    for bits in logarithms if np.isnan(total).any() else ():
        total = np.where(bits == -np.inf, -np.inf, total)
    return total


def _logarithms(*factors: Floats | None) -> list[Floats]:
    """The logarithms of the factors that there are."""
    return [log2(factor) for factor in factors if factor is not None]


def bounds_for(call: LossCall, quantity: str) -> Bounds:
    """The bounds of SPEC.md for one quantity of a call.

    The shape is that of the quantity's result. Operands enter in absolute value; where one is zero
    and another infinite, S is zero: the results are exact there, or NaN.
    """
    weight, pos_weight = (
        None if operand is None else np.abs(as_float64(operand))
        for operand in (call.weight, call.pos_weight)
    )
    with np.errstate(invalid="ignore"):
        element = _element(call, quantity, weight, pos_weight)
        scale, terms = _accumulate(element, call, quantity)
        return Bounds(scale, _larger_term(call, quantity, weight, pos_weight), terms)


def _is_mixed(call: LossCall, quantity: str) -> bool:
    """Whether it is the derivative, in an operand, of the gradient in the logits."""
    return call.autograd == "twice" and quantity.startswith("grad_")


def _element(
    call: LossCall, quantity: str, weight: Floats | None, pos_weight: Floats | None
) -> Floats:
    """log₂ S of each element, of the shape of the logits."""
    logits = as_float64(call.logits)
    factors: list[Floats | None] = []
    if quantity != "grad_weight":
        factors.append(weight)
    if quantity != "grad_pos_weight" and pos_weight is not None:
        factors.append(np.maximum(1, pos_weight))
    mixed = _is_mixed(call, quantity)
    if quantity not in ("grad_logits", "jvp_logits", "hvp_logits") and not mixed:
        factors.append(np.maximum(1, np.abs(logits)))
    if (quantity in ("jvp_logits", "hvp_logits") or mixed) and call.tangent is not None:
        factors.append(np.abs(as_float64(call.tangent)))
    if call.cotangent is not None and quantity not in ("loss", "jvp_logits"):
        factors.append(np.abs(as_float64(call.cotangent)))
    element = log2_of_product(*_logarithms(*factors), np.zeros(logits.shape))
    if call.reduction == "mean" and logits.size:
        element = element - np.log2(logits.size)
    return element


def _accumulate(element: Floats, call: LossCall, quantity: str) -> tuple[Floats, int]:
    """Sum S over the terms that the result sums, and count them."""
    operand: Array | None = None
    if quantity in ("loss", "jvp_logits"):
        if call.reduction == "none":
            return element, 1
        operand = np.empty(())
    elif quantity in ("grad_weight", "grad_pos_weight"):
        operand = call.weight if quantity == "grad_weight" else call.pos_weight
    if operand is None or operand.shape == element.shape:
        return element, 1
    padded = (1,) * (element.ndim - operand.ndim) + operand.shape
    axes = tuple(i for i, (a, b) in enumerate(zip(padded, element.shape, strict=True)) if a != b)
    if operand.ndim == 0:
        axes = tuple(range(element.ndim))
    # At x = ±∞ an element is exact: it is infinite, or adds nothing.
    element = np.where(np.isinf(as_float64(call.logits)) & ~np.isfinite(element), -np.inf, element)
    total: Floats = np.logaddexp2.reduce(element, axis=axes) if axes else element
    return total.reshape(operand.shape), max(1, element.size // max(1, operand.size))


def _larger_term(
    call: LossCall, quantity: str, weight: Floats | None, pos_weight: Floats | None
) -> Floats | None:
    """log₂ of the larger term where the result is a difference of two, else None."""
    logits, targets = as_float64(call.logits), as_float64(call.targets)
    mixed = _is_mixed(call, quantity)
    # What is differentiated in the weight is the gradient in the logits without it.
    of_sigmoids = quantity == ("grad_weight" if mixed else "grad_logits")
    if of_sigmoids and ((targets > 0) & (targets < 1)).any():
        negative = log2_of_product(log2(np.abs(1 - targets)), _log2_sigmoid(logits))
        of_targets = _logarithms(pos_weight, np.abs(targets))
        positive = log2_of_product(*of_targets, _log2_sigmoid(-logits))
    elif quantity == "grad_targets" and call.pos_weight is not None and not mixed:
        negative = _log2_softplus(logits)
        positive = log2_of_product(*_logarithms(pos_weight), _log2_softplus(-logits))
    else:
        return None
    factor = call.tangent if mixed else call.cotangent
    factors = None if mixed else weight, None if factor is None else np.abs(as_float64(factor))
    larger = log2_of_product(np.maximum(negative, positive), *_logarithms(*factors))
    if call.reduction == "mean" and logits.size:
        larger = larger - np.log2(logits.size)
    hard = (targets == 0) | (targets == 1)
    return np.where(hard & of_sigmoids, -np.inf, larger)


def _log2_sigmoid(logits: Floats) -> Floats:
    with np.errstate(over="ignore"):
        logarithm: Floats = -np.logaddexp(0, -logits) / np.log(2)
    return logarithm


def _log2_softplus(logits: Floats) -> Floats:
    """Below −40, where it is eˣ to within all that a bound needs, that does not underflow."""
    with np.errstate(over="ignore"):
        exponent = logits / np.log(2)
    return np.where(logits < -40, exponent, log2(np.logaddexp(0, logits)))

"""The exact results of a call, each with the shape and the format that SPEC.md gives it.

Guarantees that every quantity of any call that the Definition covers has a truth, whatever the
formats of its operands, its reduction, its cotangent and its tangent.
"""

from __future__ import annotations

from dataclasses import replace

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.reference import FORMATS, Format, Truth, format_of, ground_truth

# Of the shape of the loss, and without a cotangent.
FORWARD = ("loss", "jvp_logits")
DIRECTED = ("jvp_logits", "hvp_logits")


def operand_of(quantity: str) -> str:
    """The operand that a quantity has its format from, and a gradient its shape."""
    return quantity.removeprefix("grad_") if quantity.startswith("grad_") else "logits"


def result_shape(call: LossCall, quantity: str) -> tuple[int, ...]:
    """The shape that a quantity of a call should have."""
    if quantity in FORWARD:
        return call.logits.shape if call.reduction == "none" else ()
    operand: Array = getattr(call, operand_of(quantity))
    return operand.shape


def result_format(call: LossCall, quantity: str) -> Format:
    """The format that a quantity of a call should have.

    Raises:
        ValueError: its operand has a dtype that is none of the four formats.
    """
    name = operand_of(quantity)
    operand: Array = getattr(call, name)
    if operand.dtype.name not in FORMATS:
        raise ValueError(
            f"{name} has dtype {operand.dtype}, in which there is no {quantity}; "
            f"accepted are {', '.join(FORMATS)}"
        )
    return format_of(operand.dtype)


def truth_of(call: LossCall, quantity: str, *, cached: bool = True) -> Truth:
    """The exact values of one quantity of a call.

    Args:
        call: any call; its ``quantities`` take no part, and its ``arguments`` must not change the
            reduction (see ``plain``).
        quantity: one of ``QUANTITIES``.
        cached: whether the cache on disk is looked into and filled.

    Raises:
        ValueError: its operand has no format in which there is such a quantity, a shape does not
            fit, or the product of the cotangent and the tangent is not exact in float64.
        TypeError: an operand is not of real numbers.
    """
    if call.autograd == "twice" and quantity.startswith("grad_"):
        return _mixed(call, quantity, cached=cached)
    return ground_truth(
        call.logits,
        call.targets,
        call.weight,
        call.pos_weight,
        quantity=quantity,
        reduction=call.reduction,
        cotangent=None if quantity in FORWARD else call.cotangent,
        tangent=call.tangent if quantity in DIRECTED else None,
        dtype=result_format(call, quantity),
        cached=cached,
    )


def _mixed(call: LossCall, quantity: str, *, cached: bool) -> Truth:
    """The derivative, in an operand, of the gradient in the logits along the tangent."""
    name = operand_of(quantity)
    operand: Array = getattr(call, name)
    full = operand.shape == call.logits.shape and call.reduction == "none"
    if not full or call.tangent is None or call.cotangent is not None:
        raise ValueError(
            f"autograd is 'twice': {quantity} takes reduction none, a tangent, no cotangent, and "
            f"{name} of the shape of the logits"
        )
    return ground_truth(
        call.logits,
        call.targets,
        call.weight,
        call.pos_weight,
        quantity="hess_logits" if name == "logits" else f"hess_logits_{name}",
        reduction="none",
        cotangent=call.tangent,
        dtype=result_format(call, quantity),
        cached=cached,
    )


def plain(call: LossCall) -> LossCall:
    """The call of the function with the reduction that ``arguments`` ask for, and without them.

    ``reduce=False`` means none and ``size_average=False`` sum, whatever ``reduction`` says; see
    API-3 of SPEC.md.
    """
    reduce, size_average = (call.arguments.get(name) for name in ("reduce", "size_average"))
    reduction = call.reduction
    if reduce is False:
        reduction = "none"
    elif reduce is not None or size_average is not None:
        reduction = "sum" if size_average is False else "mean"
    return replace(call, arguments={}, reduction=reduction)

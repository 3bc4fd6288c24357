"""Impostors that are right in each thing alone, and wrong where two or three come together."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.conformance.checks.numbers.test_broadcasting import RANKS
from bce_conformance.reference import format_of
from tests.impostors.impostor import (
    Values,
    Where,
    declare,
    is_plain,
    is_weighted,
    mistaken,
    not_a_number,
    nothing,
    right,
    two_ulps_off,
    wrong_in,
)

wrong = partial(wrong_in, __name__)
OTHERS = ("grad_targets", "grad_weight", "grad_pos_weight")


# --- what is asked for together -----------------------------------------------------------------


@mistaken("float16")
def one_wrong_bit_pattern_of_the_gradient(call: LossCall) -> Values:
    """Returns a gradient two ulps off for the one float16 logit 0x18EC."""
    values, chosen = right(call), call.logits.view(np.uint16) == 0x18EC
    gradient = {q: v for q, v in values.items() if q == "grad_logits"}
    return {**values, **two_ulps_off(gradient, chosen)}


def _is_step(call: LossCall, reduction: str, weighted: bool) -> bool:
    """Whether loss and gradient are asked for in one call under a reduction."""
    both = {"loss", "grad_logits"} <= set(call.quantities)
    kind = is_weighted(call) if weighted else is_plain(call)
    return both and call.reduction == reduction and kind


def _is_unscaled(call: LossCall, reduction: str) -> bool:
    """Whether a gradient without weights and cotangent is asked for without the loss."""
    alone = "loss" not in call.quantities and call.cotangent is None
    return alone and is_plain(call) and call.reduction == reduction


for _reduction, _weighted, _quantity in (
    ("sum", False, "grad_logits"),
    ("mean", False, "loss"),
    ("sum", True, "loss"),
    ("mean", True, "grad_logits"),
):
    _kind = "weighted" if _weighted else "plain"
    wrong(
        f"{_quantity}_of_a_{_kind}_{_reduction}_beside_the_other",
        f"Goes wrong in {_quantity} of a {_kind} {_reduction} where loss and gradient are asked "
        "for together.",
        partial(_is_step, reduction=_reduction, weighted=_weighted),
        _quantity,
    )
for _reduction, _quantity in (("sum", "grad_logits"), ("mean", "grad_targets")):
    wrong(
        f"{_quantity}_of_a_plain_{_reduction}_alone",
        f"Goes wrong in {_quantity} of a {_reduction} without weights, cotangent and loss.",
        partial(_is_unscaled, reduction=_reduction),
        _quantity,
    )


# --- size ---------------------------------------------------------------------------------------


def beyond(size: int, reduction: str) -> Where:
    """The last element, where there are more than ``size`` under a reduction."""

    def where(call: LossCall) -> Any:
        last: Array = np.arange(call.logits.size).reshape(call.logits.shape) + 1
        return (last > max(size, call.logits.size - 1)) & (call.reduction == reduction)

    return where


for _quantity, _size, _reduction in (
    ("grad_logits", 100_000, "none"),
    ("grad_logits", 200_000, "mean"),
    ("grad_weight", 100_000, "none"),
):
    wrong(
        f"last_of_{_size}_lost_in_{_quantity}",
        f"Loses the last element of {_quantity} of more than {_size:,} elements ({_reduction}).",
        beyond(_size, _reduction),
        _quantity,
        instead=nothing,
    )
wrong(
    "chunk_of_rows_added_twice",
    "Adds a chunk of more than 100,000 rows twice to the gradients in weights a class.",
    lambda call: call.logits.ndim == 2 and call.logits.shape[0] > 100_000,
    "grad_weight",
    "grad_pos_weight",
)


# --- second order and forward mode --------------------------------------------------------------

for _quantity in ("hvp_logits", "jvp_logits"):
    wrong(
        f"plain_{_quantity}_of_saturated_sigmoid",
        f"Takes {_quantity} without weights for zero where σ(x) rounds to 1.",
        lambda call: is_plain(call) & (call.logits > 16.7),
        _quantity,
        instead=nothing,
    )
    wrong(
        f"weighted_{_quantity}_at_zero",
        f"Takes the wrong side of a branch in {_quantity} with weights at a logit of zero.",
        lambda call: is_weighted(call) & (call.logits == 0),
        _quantity,
    )


def _reduced(call: LossCall, reduction: str, weighted: bool) -> bool:
    """Whether a call has this reduction, and weights or none."""
    kind = is_weighted(call) if weighted else is_plain(call)
    return call.reduction == reduction and kind


wrong(
    "hvp_with_absolute_cotangent",
    "Multiplies the size of the cotangent of each element to the Hessian-vector product.",
    lambda call: call.reduction == "none" and call.cotangent is not None and call.cotangent < 0,
    "hvp_logits",
    instead=np.negative,
)
for _quantity, _reduction, _weighted in (
    ("hvp_logits", "mean", False),
    ("hvp_logits", "sum", True),
    ("jvp_logits", "sum", False),
    ("jvp_logits", "mean", False),
    ("jvp_logits", "sum", True),
    ("jvp_logits", "mean", True),
):
    _kind = "weighted" if _weighted else "plain"
    wrong(
        f"{_quantity}_of_a_{_kind}_{_reduction}",
        f"Goes wrong in {_quantity} of a {_kind} {_reduction}.",
        partial(_reduced, reduction=_reduction, weighted=_weighted),
        _quantity,
    )


# --- shapes -------------------------------------------------------------------------------------

Shape = tuple[int, ...]


def _has_shapes(call: LossCall, shapes: tuple[Shape, Shape, Shape]) -> bool:
    """Whether logits, weight and pos_weight have these shapes."""
    if call.weight is None or call.pos_weight is None:
        return False
    return (call.logits.shape, call.weight.shape, call.pos_weight.shape) == shapes


def _in_words(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


for _shapes in RANKS:
    _name = "_and_".join(_in_words(shape) for shape in _shapes[1:])
    _name = f"{_name}_on_{_in_words(_shapes[0])}"
    _words = "weight {}, pos_weight {} on {}".format(*(list(_shapes[i]) for i in (1, 2, 0)))
    wrong(
        f"gradient_beside_{_name}",
        f"Goes wrong in the gradient in the logits with {_words}.",
        partial(_has_shapes, shapes=_shapes),
        "grad_logits",
    )
    wrong(
        f"gradient_in_{_name}",
        f"Goes wrong in the gradient in pos_weight with {_words}.",
        partial(_has_shapes, shapes=_shapes),
        "grad_pos_weight",
    )


@mistaken()
def empty_gradient_flattened(call: LossCall) -> Values:
    """Returns the gradient of empty logits without weights in one dimension."""
    values = right(call)
    if not call.logits.size and is_plain(call):
        values |= {q: v.ravel() for q, v in values.items() if q in ("grad_logits", "grad_targets")}
    return values


@mistaken()
def empty_weighted_gradient_in_float64(call: LossCall) -> Values:
    """Returns the gradient in the targets of empty logits with both weights in float64."""
    values = right(call)
    if not call.logits.size and is_weighted(call) and "grad_targets" in values:
        values["grad_targets"] = values["grad_targets"].astype(np.float64)
    return values


@mistaken()
def empty_weights_gradient_of_a_sum_flattened(call: LossCall) -> Values:
    """Returns the gradient in pos_weight of an empty sum in one dimension."""
    values = right(call)
    if not call.logits.size and call.reduction == "sum" and "grad_pos_weight" in values:
        values["grad_pos_weight"] = values["grad_pos_weight"].reshape(-1)
    return values


wrong(
    "empty_weights_gradient_of_a_mean_over_nothing",
    "Divides the gradient in weight of an empty mean by the number of elements, 0.",
    lambda call: not call.logits.size and call.reduction == "mean",
    "grad_weight",
    instead=not_a_number,
)


# --- formats ------------------------------------------------------------------------------------


@mistaken()
def gradient_beside_a_broken_element_in_float64(call: LossCall) -> Values:
    """Returns the gradient in the logits of a sum in float64 where a logit is infinite or NaN."""
    values = right(call)
    if "grad_logits" in values and call.reduction == "sum" and not np.isfinite(call.logits).all():
        values["grad_logits"] = values["grad_logits"].astype(np.float64)
    return values


def digits(format_name: str) -> int:
    """The precision of a format."""
    return format_of(format_name).precision


def _is_other(call: LossCall, operand: str, *, wider: bool) -> bool:
    """Whether an operand is of a format with more digits than the logits, or with less."""
    own, logits = (digits(array.dtype.name) for array in (getattr(call, operand), call.logits))
    return own > logits if wider else own < logits


@mistaken()
def operand_gradients_as_the_logits(call: LossCall) -> Values:
    """Returns the gradient in the targets in the format of the logits, whatever theirs is."""
    values = right(call)
    if "grad_targets" in values:
        values["grad_targets"] = values["grad_targets"].astype(call.logits.dtype)
    return values


def _rounded_first(quantity: str) -> Callable[[LossCall], Values]:
    operand = quantity.removeprefix("grad_")

    def change(call: LossCall) -> Values:
        values = right(call)
        if quantity in values and _is_other(call, operand, wider=True):
            own = getattr(call, operand).dtype
            with np.errstate(over="ignore"):
                values[quantity] = values[quantity].astype(call.logits.dtype).astype(own)
        return values

    return change


for _quantity in ("grad_targets", "grad_weight"):
    _operand_name = _quantity.removeprefix("grad_")
    declare(
        f"{_quantity}_of_a_wider_format_rounded",
        f"Rounds {_quantity} into the format of the logits, where {_operand_name} has a wider one.",
        __name__,
        partial(_rounded_first, _quantity),
        "float16",
        "float32",
    )
    wrong(
        f"{_quantity}_of_a_narrower_format",
        f"Goes wrong in {_quantity} where {_operand_name} has a narrower format than the logits.",
        partial(_is_other, operand=_operand_name, wider=False),
        _quantity,
    )

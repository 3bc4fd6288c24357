"""Impostors that go wrong with extreme weights and cotangents, at infinity and beside NaN."""

from functools import partial
from typing import Any

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.conformance.checks.numbers.test_training import loss_scales
from bce_conformance.reference import FLOAT32, format_of
from tests.impostors.impostor import (
    is_plain,
    is_weighted,
    not_a_number,
    nothing,
    operands,
    wrong_in,
)

wrong = partial(wrong_in, __name__)
OTHERS = ("grad_targets", "grad_weight", "grad_pos_weight")


# --- weights and cotangents beyond the usual ----------------------------------------------------


def product_is_lost(call: LossCall) -> Any:
    """Where w·p over- or underflows in the format, and neither is zero."""
    if not is_weighted(call):
        return False
    _, _, w, p = operands(call)
    with np.errstate(all="ignore"):
        product = np.abs(w * p).astype(call.logits.dtype)
    lost = ~np.isfinite(product) | (product < format_of(product.dtype).smallest_normal)
    return lost & (w != 0) & (p != 0)


for _quantity in ("loss", "grad_logits", "grad_targets"):
    wrong(
        f"weights_multiplied_first_in_{_quantity}",
        f"Multiplies weight and pos_weight first for {_quantity}, which over- or underflows.",
        product_is_lost,
        _quantity,
    )
wrong(
    "loss_divided_by_weight",
    "Divides the loss by the weight for the gradient in weight, which is 0/0 at a weight of 0.",
    lambda call: operands(call)[2] == 0,
    "grad_weight",
    instead=not_a_number,
)
wrong(
    "largest_pos_weight_taken_for_infinite",
    "Takes the largest finite pos_weight for an infinite one.",
    lambda call: operands(call)[3] == format_of(call.logits.dtype).largest_finite,
    "loss",
    instead=not_a_number,
)
for _quantity in ("loss", "grad_logits", "grad_targets", "grad_pos_weight"):
    wrong(
        f"size_of_weight_in_{_quantity}",
        f"Takes the size of a weight that is below zero for {_quantity}.",
        lambda call: operands(call)[2] < 0,
        _quantity,
        instead=np.negative,
    )


def scaled_weight_overflows(call: LossCall) -> Any:
    """Where the cotangent of an element times its weight overflows in the format."""
    if call.cotangent is None or call.reduction != "none":
        return False
    with np.errstate(over="ignore"):
        return np.isinf(call.cotangent * operands(call)[2])


def is_subnormal(call: LossCall) -> Any:
    """Where the cotangent of an element is subnormal."""
    if call.cotangent is None or call.reduction != "none":
        return False
    size = np.abs(call.cotangent.astype(np.float64))
    return (size > 0) & (size < format_of(call.cotangent.dtype).smallest_normal)


wrong(
    "cotangent_times_weight_first",
    "Multiplies cotangent and weight first for the gradient in the logits, which overflows.",
    scaled_weight_overflows,
    "grad_logits",
    instead=not_a_number,
)
wrong(
    "subnormal_cotangents_garbled",
    "Reads subnormal cotangents of the other gradients without their scale.",
    is_subnormal,
    *OTHERS,
)


def _has_scale(call: LossCall, scale: float) -> bool:
    """Whether a sum or mean has this cotangent."""
    scaled = call.reduction != "none" and call.cotangent is not None
    return scaled and float(call.cotangent) == scale  # type: ignore[arg-type]


for _name, _scale in loss_scales(FLOAT32).items():
    wrong(
        f"{_name}_loss_scale_lost",
        f"Goes wrong under sum and mean with the one cotangent {_scale:g}.",
        partial(_has_scale, scale=_scale),
        "grad_logits",
    )


# --- infinity and NaN ---------------------------------------------------------------------------


def at_infinity(call: LossCall) -> Array:
    """Where the logit is infinite."""
    infinite: Array = np.isinf(call.logits)
    return infinite


for _name, _operand in (("weight", 2), ("pos_weight", 3)):
    for _quantity in ("loss", "grad_logits"):
        wrong(
            f"zero_{_name}_times_infinity_in_{_quantity}",
            f"Multiplies a {_name} of 0 to what is infinite at an infinite logit, for {_quantity}.",
            lambda call, place=_operand: at_infinity(call) & (operands(call)[place] == 0),
            _quantity,
            instead=not_a_number,
        )
wrong(
    "plain_targets_gradient_nan_at_infinity",
    "Makes NaN of the gradient in the targets at an infinite logit where there are no weights.",
    lambda call: at_infinity(call) & is_plain(call),
    "grad_targets",
    instead=not_a_number,
)
wrong(
    "weighted_targets_gradient_finite_at_infinity",
    "Clips the gradient in the targets at an infinite logit where there are weights.",
    lambda call: at_infinity(call) & is_weighted(call),
    "grad_targets",
    instead=lambda value: np.nan_to_num(value, posinf=1e30, neginf=-1e30),
)
wrong(
    "pos_weight_gradient_nan_at_infinity",
    "Computes the gradient in pos_weight from a term that is ∞ − ∞ at an infinite logit.",
    at_infinity,
    "grad_pos_weight",
    instead=not_a_number,
)
for _quantity in ("hvp_logits", "jvp_logits"):
    for _name, _has_weights in (("plain", is_plain), ("weighted", is_weighted)):
        wrong(
            f"{_name}_{_quantity}_nan_at_infinity",
            f"Computes a {_name} {_quantity} from a term that is ∞ − ∞ at an infinite logit.",
            lambda call, has_weights=_has_weights: at_infinity(call) & has_weights(call),
            _quantity,
            instead=not_a_number,
        )
for _name, _is_broken in (("infinity", np.isinf), ("nan", np.isnan)):
    for _quantity in ("grad_logits", *OTHERS[1:]):
        wrong(
            f"{_name}_spreads_to_{_quantity}_of_a_mean",
            f"Scales {_quantity} under a mean by the loss over itself: one {_name} spoils all.",
            lambda call, is_broken=_is_broken: (
                call.reduction == "mean" and bool(is_broken(call.logits).any())
            ),
            _quantity,
            instead=not_a_number,
        )


def some_nan(call: LossCall, *names: str) -> Any:
    """Where one of some operands is NaN."""
    given = [getattr(call, name) for name in names]
    return np.any([np.isnan(array) for array in given if array is not None], axis=0)


wrong(
    "nan_weight_lost_in_targets_gradient",
    "Returns zero for the gradient in the targets at a logit of zero, also for a NaN weight.",
    lambda call: (call.logits == 0) & some_nan(call, "weight"),
    "grad_targets",
    instead=nothing,
)
wrong(
    "own_nan_in_weight_gradient",
    "Divides the loss by the weight for the gradient in it, so that a NaN weight makes it NaN.",
    lambda call: some_nan(call, "weight"),
    "grad_weight",
    instead=not_a_number,
)
for _quantity, _operand_name in (("hvp_logits", "targets"), ("jvp_logits", "tangent")):
    wrong(
        f"nan_{_operand_name}_lost_in_{_quantity}",
        f"Returns zero for {_quantity} at an infinite logit, also where {_operand_name} is NaN.",
        lambda call, name=_operand_name: at_infinity(call) & some_nan(call, name),
        _quantity,
        instead=nothing,
    )

"""An element's operands, and its quantities."""

from __future__ import annotations

from typing import NamedTuple

LOSS, GRAD_LOGITS, GRAD_TARGETS, GRAD_WEIGHT, GRAD_POS_WEIGHT, HESSIAN = range(6)
QUANTITIES = 6
# The gradient in each operand.
QUANTITY_OF = {
    "logits": GRAD_LOGITS,
    "targets": GRAD_TARGETS,
    "weight": GRAD_WEIGHT,
    "pos_weight": GRAD_POS_WEIGHT,
}


class Element(NamedTuple):
    """The operands of one element, float64.

    Attributes:
        x: logit.
        y: target.
        w: weight.
        p: pos_weight.
        c: cotangent, which gradients are multiplied by.
        v: direction of the Hessian's product.
    """

    x: float
    y: float
    w: float
    p: float
    c: float
    v: float

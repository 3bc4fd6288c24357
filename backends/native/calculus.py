"""The rules of differentiation that the front ends of frameworks have in common.

Four primitives are closed under differentiation: the loss, its gradient in an operand (reverse
mode), its derivative along a direction in an operand (forward mode), and the Hessian's product in
the logits. The kernels evaluate each. A front end hands its differentiable primitives over as a
``Primitives``; the rules here call these again, so that there is a derivative of any order.

The Hessian's product is a kernel's. Every other second derivative is a first derivative with other
operands, such as ∂²/∂x∂w = ∂/∂x at w = 1. Third derivatives multiply the Hessian's product by
−tanh(x/2) and the like in the framework's own arithmetic.

Notation: x, y, w, p are the operands, ℓ the unreduced loss, c the cotangent, c̃ what each element is
multiplied by: c under ``none`` and ``sum``, c/N under ``mean``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from .arguments import OPERANDS

Operands = tuple[Any, Any, Any, Any]
"""Logits, targets, weight, pos_weight; the weights may be None."""


class Primitives(Protocol):
    """What a front end offers: differentiable primitives, and some of its framework's functions."""

    def gradient(self, operands: Operands, cotangent: Any, reduction: str, name: str) -> Any:
        """The gradient in the operand ``name``, of its shape and format."""

    def derivative(self, operands: Operands, direction: Any, reduction: str, name: str) -> Any:
        """The derivative of the loss along ``direction``, which has the shape of its operand."""

    def hessian(self, operands: Operands, direction: Any, cotangent: Any, reduction: str) -> Any:
        """The Hessian's product with ``direction``; the cotangent may be None."""

    def wide(self, values: Any) -> Any:
        """``values`` in the widest format."""

    def spread(self, values: Any, like: Any) -> Any:
        """``values`` broadcast to the shape of ``like``."""

    def sum_to(self, values: Any, like: Any) -> Any:
        """``values`` summed to the shape of ``like``, in its format."""

    def summed(self, values: Any, like: Any) -> Any:
        """The sum of all ``values``, in the format of ``like``."""

    def ones_like(self, values: Any) -> Any:
        """Ones of the shape and format of ``values``."""

    def tanh(self, values: Any) -> Any:
        """The hyperbolic tangent."""


def count_of(shape: Sequence[int], reduction: str) -> int:
    """What each element's loss is divided by."""
    return max(1, math.prod(shape)) if reduction == "mean" else 1


def total(terms: Sequence[Any]) -> Any:
    """The sum of the terms that are not None; None where all are."""
    present = [term for term in terms if term is not None]
    return sum(present[1:], start=present[0]) if present else None


def _scaled(api: Primitives, operands: Operands, cotangent: Any, reduction: str) -> Any:
    """c̃ for each element; a cotangent of None is 1."""
    x = operands[0]
    wide = api.wide(api.ones_like(x) if cotangent is None else cotangent)
    return api.spread(wide / count_of(x.shape, reduction), x)


def _reduced(api: Primitives, values: Any, logits: Any, reduction: str) -> Any:
    """Elementwise ``values`` reduced as the loss is."""
    if reduction == "none":
        return api.sum_to(values, logits)
    return api.summed(api.wide(values) / count_of(logits.shape, reduction), logits)


def _second(api: Primitives, operands: Operands, names: tuple[str, str], factor: Any) -> Any:
    """``factor`` · ∂²ℓ for each element; None where that is zero."""
    x, y, w, p = operands
    one = api.ones_like(x)

    def slope(targets: Any, weight: Any, pos_weight: Any, factor: Any) -> Any:
        return api.gradient((x, targets, weight, pos_weight), factor, "none", "logits")

    match tuple(sorted(names, key=OPERANDS.index)):
        case "logits", "logits":
            return api.hessian(operands, factor, None, "none")
        case "logits", "targets":
            # −w·[σ(x) + p·σ(−x)], rounded once: where p is small, −1/2 of the slope at y = −1 with
            # 2p; where it is large, and 2p may overflow, the slope at y = 2 with p/2.
            p = api.wide(one if p is None else p)
            large = api.wide(abs(p) >= 1)
            other = api.spread(3 * large - 1, x)
            return slope(
                other, w, p * (2 - 1.5 * large), factor * (1.5 * api.spread(large, x) - 0.5)
            )
        case "logits", "weight":
            return slope(y, None, p, factor)
        case "logits", "pos_weight":
            return slope(one, w, y, factor)  # −w·y·σ(−x)
        case "targets", "weight":
            return api.gradient((x, y, None, p), factor, "none", "targets")
        case "targets", "pos_weight":
            return api.gradient((x, one, w, one), factor, "none", "pos_weight")
        case "weight", "pos_weight":
            return api.gradient((x, y, None, one), factor, "none", "pos_weight")
    return None


def _third(api: Primitives, operands: Operands, name: str, factor: Any) -> Any:
    """``factor`` · ∂³ℓ/∂x∂x∂``name`` for each element; None where that is zero."""
    x, y, w, p = operands
    if name == "logits":
        return -api.tanh(api.wide(x) / 2) * api.hessian(operands, factor, None, "none")
    if name == "weight":
        return api.hessian((x, y, None, p), factor, None, "none")
    if name == "targets":
        return None if p is None else _curvature(api, x, w, factor * (api.wide(p) - 1))
    return _curvature(api, x, w, factor * y)


def _curvature(api: Primitives, x: Any, w: Any, factor: Any) -> Any:
    """``factor`` · w·σ(x)·σ(−x)."""
    return api.hessian((x, 0 * api.ones_like(x), w, None), factor, None, "none")


def _bilinear(
    api: Primitives,
    operands: Operands,
    names: tuple[str, str],
    cotangent: Any,
    direction: Any,
    reduction: str,
) -> Any:
    """Σ c̃·∂²ℓ/∂a∂b·direction for the operands a, b of ``names``, summed to the shape of b.

    The direction has the shape of a, so that the same sum is a gradient's derivative along it.
    """
    if names == ("logits", "logits"):
        return api.hessian(operands, direction, cotangent, reduction)
    scaled = _scaled(api, operands, cotangent, reduction)
    values = _second(api, operands, names, scaled * api.spread(direction, operands[0]))
    return None if values is None else api.sum_to(values, operands[OPERANDS.index(names[1])])


def loss_pullback(
    api: Primitives, operands: Operands, reduction: str, cotangent: Any, needed: Sequence[str]
) -> dict[str, Any]:
    """The gradients of the loss in the ``needed`` operands."""
    return {name: api.gradient(operands, cotangent, reduction, name) for name in needed}


def loss_along(
    api: Primitives, operands: Operands, reduction: str, directions: dict[str, Any]
) -> Any:
    """The derivative of the loss along directions in some operands; None for no direction."""
    return total([api.derivative(operands, t, reduction, k) for k, t in directions.items()])


def pair_pullback(
    api: Primitives,
    operands: Operands,
    settings: tuple[str, str],
    cotangent: Any,
    direction: Any,
    needed: Sequence[str],
) -> dict[str, Any]:
    """The gradients of Σ c̃·∂ℓ/∂``name``·direction in the ``needed`` operands; None for zero.

    It is what a gradient is pulled back as, by the direction that comes from above; and what a
    derivative is pulled back as, by the cotangent.

    Args:
        api: the primitives.
        operands: x, y, w, p.
        settings: the reduction, and the operand of the first derivative.
        cotangent: of the loss's shape.
        direction: of that operand's shape.
        needed: operands.
    """
    reduction, name = settings
    return {
        other: _bilinear(api, operands, (name, other), cotangent, direction, reduction)
        for other in needed
    }


def gradient_along(
    api: Primitives,
    operands: Operands,
    settings: tuple[str, str],
    cotangent: Any,
    directions: dict[str, Any],
) -> Any:
    """The derivative of a gradient along directions in some operands.

    Args:
        api: the primitives.
        operands: x, y, w, p.
        settings: the reduction, and the operand of the gradient.
        cotangent: of the loss's shape.
        directions: by operand.
    """
    reduction, name = settings
    return total(
        [
            _bilinear(api, operands, (other, name), cotangent, direction, reduction)
            for other, direction in directions.items()
        ]
    )


def derivative_along(
    api: Primitives,
    operands: Operands,
    settings: tuple[str, str],
    direction: Any,
    directions: dict[str, Any],
) -> Any:
    """The derivative along ``directions`` of a derivative along ``direction``.

    Args:
        api: the primitives.
        operands: x, y, w, p.
        settings: the reduction, and the operand of ``direction``.
        direction: of that operand's shape.
        directions: by operand.
    """
    reduction, name = settings
    x = operands[0]
    first = api.wide(api.spread(direction, x))
    terms = [
        _second(api, operands, (name, other), first * api.spread(second, x))
        for other, second in directions.items()
    ]
    values = total(terms)
    return None if values is None else _reduced(api, values, x, reduction)


def hessian_pullback(
    api: Primitives,
    operands: Operands,
    reduction: str,
    factors: tuple[Any, Any, Any],
    needed: Sequence[str],
) -> dict[str, Any]:
    """The gradients of the Hessian's product in the ``needed`` operands; None for zero.

    Args:
        api: the primitives.
        operands: x, y, w, p.
        reduction: of the loss.
        factors: what comes from above, the direction and the cotangent, which may be None.
        needed: operands.
    """
    above, direction, cotangent = factors
    factor = api.wide(above) * direction
    factor = factor * _scaled(api, operands, cotangent, reduction)
    found = {}
    for name in needed:
        values = _third(api, operands, name, factor)
        like = operands[OPERANDS.index(name)]
        found[name] = None if values is None else api.sum_to(values, like)
    return found


def hessian_in_cotangent(
    api: Primitives, operands: Operands, reduction: str, above: Any, direction: Any
) -> Any:
    """The gradient of the Hessian's product in the cotangent."""
    product = api.hessian(operands, api.wide(above) * direction, None, "none")
    return _reduced(api, product, operands[0], reduction)


def hessian_along(
    api: Primitives,
    operands: Operands,
    reduction: str,
    factors: tuple[Any, Any],
    directions: dict[str, Any],
) -> Any:
    """The derivative of the Hessian's product along directions in some operands.

    Args:
        api: the primitives.
        operands: x, y, w, p.
        reduction: of the loss.
        factors: the direction and the cotangent, which may be None.
        directions: by operand.
    """
    x = operands[0]
    scaled = _scaled(api, operands, factors[1], reduction) * factors[0]
    terms = [
        _third(api, operands, name, scaled * api.spread(along, x))
        for name, along in directions.items()
    ]
    values = total(terms)
    return None if values is None else api.sum_to(values, x)

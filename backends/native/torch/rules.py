"""How PyTorch differentiates and batches the primitives: the rules of ``calculus.py`` in its terms.

Every rule is made for an *interface*, an object that offers the primitives again: those of
``functions.py`` or those of ``operators.py``. What a rule computes is recorded by these in turn.
A primitive's arguments are four operands, tensors of its own, the reduction, and for a first
derivative the name of an operand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .. import calculus
from ..arguments import OPERANDS
from ..calculus import Operands

Rule = Callable[..., Any]


class Interface:
    """The primitives for the rules, and PyTorch's own functions that they need.

    Args:
        loss: of the four operands and the reduction.
        gradient: of the operands, the cotangent, the reduction and the name of an operand.
        derivative: of the operands, the direction, the reduction and the name of an operand.
        hessian: of the operands, the direction, the cotangent or None, and the reduction.
    """

    def __init__(self, loss: Rule, gradient: Rule, derivative: Rule, hessian: Rule) -> None:
        self._loss, self._gradient = loss, gradient
        self._derivative, self._hessian = derivative, hessian

    def loss(self, operands: Operands, reduction: str) -> Tensor:
        """The loss."""
        return self._loss(*operands, reduction)

    def gradient(self, operands: Operands, cotangent: Tensor, reduction: str, name: str) -> Tensor:
        """The gradient in an operand."""
        return self._gradient(*operands, cotangent, reduction, name)

    def derivative(
        self, operands: Operands, direction: Tensor, reduction: str, name: str
    ) -> Tensor:
        """The derivative of the loss along a direction in an operand."""
        return self._derivative(*operands, direction, reduction, name)

    def hessian(
        self, operands: Operands, direction: Tensor, cotangent: Tensor | None, reduction: str
    ) -> Tensor:
        """The Hessian's product."""
        return self._hessian(*operands, direction, cotangent, reduction)

    def wide(self, values: Tensor) -> Tensor:
        """``values`` in float64."""
        return values.to(torch.float64)

    def spread(self, values: Tensor, like: Tensor) -> Tensor:
        """``values`` broadcast to the shape of ``like``."""
        return values.expand(like.shape)

    def sum_to(self, values: Tensor, like: Tensor) -> Tensor:
        """``values`` summed to the shape of ``like``, in its format."""
        return values.sum_to_size(like.shape).to(like.dtype)

    def summed(self, values: Tensor, like: Tensor) -> Tensor:
        """The sum of all ``values``, in the format of ``like``."""
        return values.sum().to(like.dtype)

    def ones_like(self, values: Tensor) -> Tensor:
        """Ones of the shape and format of ``values``."""
        return torch.ones_like(values, memory_format=torch.contiguous_format)

    def in_front(self, values: Tensor, axis: int) -> Tensor:
        """``values`` with one dimension moved to the front."""
        return values.movedim(axis, 0)

    def repeated(self, values: Tensor, shape: Sequence[int]) -> Tensor:
        """``values`` broadcast to ``shape``."""
        return values.expand(tuple(shape))

    def sums(self, values: Tensor) -> Tensor:
        """``values`` summed over all dimensions but the first."""
        return values.flatten(1).sum(1) if values.dim() > 1 else values

    def in_format(self, values: Tensor, like: Tensor) -> Tensor:
        """``values`` in the format of ``like``."""
        return values.to(like.dtype)

    def tanh(self, values: Tensor) -> Tensor:
        """The hyperbolic tangent."""
        return torch.tanh(values)


def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """Keep the tensors and the other arguments of a primitive, for both modes."""
    tensors = tuple(a for a in inputs if not isinstance(a, str))
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)
    ctx.others = tuple(a for a in inputs if isinstance(a, str))
    ctx.set_materialize_grads(False)


def needed(ctx: Any) -> list[str]:
    """The operands whose gradients are asked for."""
    return [name for name, needs in zip(OPERANDS, ctx.needs_input_grad, strict=False) if needs]


def _moved(tangents: tuple[Any, ...]) -> dict[str, Any]:
    """The operands that have a direction, with it."""
    pairs = zip(OPERANDS, tangents, strict=False)
    return {name: tangent for name, tangent in pairs if tangent is not None}


def returned(ctx: Any, found: dict[str, Any], *others: Any) -> tuple[Any, ...]:
    """Gradients in the order of a primitive's arguments."""
    gradients = (*(found.get(name) for name in OPERANDS), *others)
    return gradients + (None,) * len(ctx.others)


def _like(value: Any, like: Tensor) -> Any:
    """A gradient or tangent in the format of what it belongs to."""
    return None if value is None else value.to(like.dtype)


def _or_zeros(tangent: Any, like: Tensor, reduction: str = "none", *_: str) -> Tensor:
    """A tangent, which PyTorch wants to be there where it is zero."""
    if tangent is not None:
        return tangent
    return like.new_zeros(like.shape if reduction == "none" else ())


def loss_backward(interface: Any) -> Rule:
    """Reverse mode of the loss."""

    def backward(ctx: Any, cotangent: Any) -> tuple[Any, ...]:
        if cotangent is None:
            return returned(ctx, {})
        (reduction,) = ctx.others
        names = needed(ctx)
        pull = calculus.loss_pullback
        return returned(ctx, pull(interface, ctx.saved_tensors, reduction, cotangent, names))

    return backward


def loss_jvp(interface: Any) -> Rule:
    """Forward mode of the loss."""

    def jvp(ctx: Any, *tangents: Any) -> Any:
        (reduction,) = ctx.others
        return calculus.loss_along(interface, ctx.saved_tensors, reduction, _moved(tangents))

    return jvp


def gradient_backward(interface: Any) -> Rule:
    """Reverse mode of a gradient."""

    def backward(ctx: Any, above: Any) -> tuple[Any, ...]:
        if above is None:
            return returned(ctx, {}, None)
        *saved, cotangent = ctx.saved_tensors
        operands = tuple(saved)
        found = calculus.pair_pullback(
            interface, operands, ctx.others, cotangent, above, needed(ctx)
        )
        own = None
        if ctx.needs_input_grad[4]:
            own = _like(interface.derivative(operands, above, *ctx.others), cotangent)
        return returned(ctx, found, own)

    return backward


def gradient_jvp(interface: Any) -> Rule:
    """Forward mode of a gradient."""

    def jvp(ctx: Any, *tangents: Any) -> Any:
        *saved, cotangent = ctx.saved_tensors
        operands = tuple(saved)
        moved, own = _moved(tangents[:4]), tangents[4]
        terms = [calculus.gradient_along(interface, operands, ctx.others, cotangent, moved)]
        terms.append(None if own is None else interface.gradient(operands, own, *ctx.others))
        return _or_zeros(calculus.total(terms), operands[OPERANDS.index(ctx.others[1])])

    return jvp


def derivative_backward(interface: Any) -> Rule:
    """Reverse mode of a derivative along a direction."""

    def backward(ctx: Any, above: Any) -> tuple[Any, ...]:
        if above is None:
            return returned(ctx, {}, None)
        *saved, direction = ctx.saved_tensors
        operands = tuple(saved)
        found = calculus.pair_pullback(
            interface, operands, ctx.others, above, direction, needed(ctx)
        )
        own = None
        if ctx.needs_input_grad[4]:
            own = _like(interface.gradient(operands, above, *ctx.others), direction)
        return returned(ctx, found, own)

    return backward


def derivative_jvp(interface: Any) -> Rule:
    """Forward mode of a derivative along a direction."""

    def jvp(ctx: Any, *tangents: Any) -> Any:
        *saved, direction = ctx.saved_tensors
        operands = tuple(saved)
        moved, own = _moved(tangents[:4]), tangents[4]
        terms = [calculus.derivative_along(interface, operands, ctx.others, direction, moved)]
        terms.append(None if own is None else interface.derivative(operands, own, *ctx.others))
        return _or_zeros(calculus.total(terms), operands[0], *ctx.others)

    return jvp


def hessian_backward(interface: Any) -> Rule:
    """Reverse mode of the Hessian's product."""

    def backward(ctx: Any, above: Any) -> tuple[Any, ...]:
        if above is None:
            return returned(ctx, {}, None, None)
        *saved, direction, cotangent = ctx.saved_tensors
        operands = tuple(saved)
        (reduction,) = ctx.others
        factors = above, direction, cotangent
        found = calculus.hessian_pullback(interface, operands, reduction, factors, needed(ctx))
        own, of_cotangent = None, None
        if ctx.needs_input_grad[4]:
            own = _like(interface.hessian(operands, above, cotangent, reduction), direction)
        if ctx.needs_input_grad[5]:
            of_cotangent = _like(
                calculus.hessian_in_cotangent(interface, operands, reduction, above, direction),
                cotangent,
            )
        return returned(ctx, found, own, of_cotangent)

    return backward


def hessian_jvp(interface: Any) -> Rule:
    """Forward mode of the Hessian's product."""

    def jvp(ctx: Any, *tangents: Any) -> Any:
        *saved, direction, cotangent = ctx.saved_tensors
        operands = tuple(saved)
        (reduction,) = ctx.others
        factors, moved = (direction, cotangent), _moved(tangents[:4])
        terms = [calculus.hessian_along(interface, operands, reduction, factors, moved)]
        if tangents[4] is not None:
            terms.append(interface.hessian(operands, tangents[4], cotangent, reduction))
        if tangents[5] is not None:
            terms.append(interface.hessian(operands, direction, tangents[5], reduction))
        return _or_zeros(calculus.total(terms), operands[0])

    return jvp


def batched(interface: Any, rule: Rule) -> Rule:
    """A rule of ``batching.py`` as PyTorch calls it."""

    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
        return rule(interface, info.batch_size, in_dims, arguments), 0

    return vmap

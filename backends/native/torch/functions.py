"""The primitives as ``torch.autograd.Function``: eager mode and the transforms of ``torch.func``.

A call that nothing records goes straight to the kernels. ``Loss`` keeps the arguments as functorch
demands, ``Training`` is the same function for plain automatic differentiation, where each
microsecond counts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .. import batching
from . import operators, rules, tensors
from .state import is_batched, is_recorded


def _primitive(name: str) -> rules.Rule:
    """A primitive that is recorded where anything is."""
    evaluate, operator = getattr(tensors, name), getattr(operators, name)

    def call(*arguments: Any) -> Tensor:
        if any(isinstance(a, Tensor) and is_batched(a) for a in arguments):
            return operator(*arguments)
        return (_FUNCTIONS[name].apply if is_recorded() else evaluate)(*arguments)

    return call


INTERFACE = rules.Interface(*map(_primitive, ("loss", "gradient", "derivative", "hessian")))


class _Primitive(Function):
    setup_context = staticmethod(rules.setup_context)


class Loss(_Primitive):
    """The loss: x, y, w, p, reduction."""

    forward = staticmethod(tensors.loss)
    backward = staticmethod(rules.loss_backward(INTERFACE))
    jvp = staticmethod(rules.loss_jvp(INTERFACE))
    vmap = staticmethod(rules.batched(INTERFACE, batching.loss))


class Gradient(_Primitive):
    """The gradient in an operand: x, y, w, p, cotangent, reduction, name."""

    forward = staticmethod(tensors.gradient)
    backward = staticmethod(rules.gradient_backward(INTERFACE))
    jvp = staticmethod(rules.gradient_jvp(INTERFACE))
    vmap = staticmethod(rules.batched(INTERFACE, batching.gradient))


class Derivative(_Primitive):
    """The derivative along a direction in an operand: x, y, w, p, direction, reduction, name."""

    forward = staticmethod(tensors.derivative)
    backward = staticmethod(rules.derivative_backward(INTERFACE))
    jvp = staticmethod(rules.derivative_jvp(INTERFACE))
    vmap = staticmethod(rules.batched(INTERFACE, batching.derivative))


class Hessian(_Primitive):
    """The Hessian's product: x, y, w, p, direction, cotangent, reduction."""

    forward = staticmethod(tensors.hessian)
    backward = staticmethod(rules.hessian_backward(INTERFACE))
    jvp = staticmethod(rules.hessian_jvp(INTERFACE))
    vmap = staticmethod(rules.batched(INTERFACE, batching.hessian))


_FUNCTIONS: dict[str, type[Function]] = {
    "loss": Loss,
    "gradient": Gradient,
    "derivative": Derivative,
    "hessian": Hessian,
}


class Training(Function):
    """The loss for plain automatic differentiation, in fewer steps than ``Loss``.

    Under ``mean`` and ``sum`` the forward pass computes the gradient in the logits too, as long as
    the backward passes came with a cotangent of 1. Under another cotangent the gradient is
    evaluated anew, so that it is rounded once; then later forward passes leave it out, until a
    cotangent of 1 comes again. The choice changes the time of a call only.
    """

    expects_one = True

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, w: Tensor | None, p: Tensor | None, reduction: str
    ) -> Tensor:
        """The loss, perhaps with the gradient in the logits."""
        ctx.save_for_backward(x, y, w, p)
        ctx.others = (reduction,)
        ctx.gradient = None
        only_logits = ctx.needs_input_grad == (True, False, False, False, False)
        if only_logits and Training.expects_one and reduction != "none":
            loss, ctx.gradient = tensors.loss_and_gradient(x, y, w, p, reduction)
            return loss
        return tensors.loss(x, y, w, p, reduction)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        """The gradients; recorded where the graph of this pass is kept."""
        # Given away: who keeps a reference makes autograd copy it.
        gradient, ctx.gradient = ctx.gradient, None
        if is_recorded() or is_batched(cotangent):
            return _recorded_backward(ctx, cotangent)
        (reduction,) = ctx.others
        is_one = reduction != "none" and cotangent.item() == 1.0
        if is_one is not Training.expects_one and reduction != "none":
            Training.expects_one = is_one  # seldom: what is set on a class slows its next use
        if gradient is not None and is_one:
            return gradient, None, None, None, None
        found = tensors.gradients(ctx.saved_tensors, cotangent, reduction, rules.needed(ctx))
        return rules.returned(ctx, found)


# ``Training.apply`` without what it does for transforms.
_train = super(Function, Training).apply
_recorded_backward = rules.loss_backward(INTERFACE)


def plain_loss(x: Tensor, y: Tensor, w: Tensor | None, p: Tensor | None, reduction: str) -> Tensor:
    """The loss of tensors in memory, where nothing but plain differentiation is under way."""
    if torch.is_grad_enabled():
        return _train(x, y, w, p, reduction)
    return tensors.loss(x, y, w, p, reduction)

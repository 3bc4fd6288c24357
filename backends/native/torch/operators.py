"""The primitives as operators of ``torch.library``: what ``torch.compile`` puts into its graphs.

An operator is opaque to the compiler, which calls the same kernels as eager mode does. There is no
forward mode for operators of this kind.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.library import custom_op

from .. import batching
from ..arguments import OPERANDS
from . import rules, tensors

_FIRST = "(Tensor logits, Tensor targets, Tensor? weight, Tensor? pos_weight"


@custom_op("bce_conformance::loss", mutates_args=(), schema=f"{_FIRST}, str reduction) -> Tensor")
def loss(*arguments: Any) -> Tensor:
    """The loss."""
    return tensors.loss(*arguments)


@custom_op(
    "bce_conformance::gradient",
    mutates_args=(),
    schema=f"{_FIRST}, Tensor cotangent, str reduction, str name) -> Tensor",
)
def gradient(*arguments: Any) -> Tensor:
    """The gradient in the operand ``name``."""
    return tensors.gradient(*arguments)


@custom_op(
    "bce_conformance::derivative",
    mutates_args=(),
    schema=f"{_FIRST}, Tensor direction, str reduction, str name) -> Tensor",
)
def derivative(*arguments: Any) -> Tensor:
    """The derivative of the loss along a direction in the operand ``name``."""
    return tensors.derivative(*arguments)


@custom_op(
    "bce_conformance::hessian",
    mutates_args=(),
    schema=f"{_FIRST}, Tensor direction, Tensor? cotangent, str reduction) -> Tensor",
)
def hessian(*arguments: Any) -> Tensor:
    """The Hessian's product in the logits."""
    return tensors.hessian(*arguments)


def _empty(like: Tensor, shape: Any = None) -> Tensor:
    return like.new_empty(like.shape if shape is None else shape)


@loss.register_fake
def _(x: Tensor, y: Tensor, w: Any, p: Any, reduction: str) -> Tensor:
    return _empty(x, None if reduction == "none" else ())


@gradient.register_fake
def _(x: Tensor, y: Tensor, w: Any, p: Any, c: Tensor, reduction: str, name: str) -> Tensor:
    return _empty((x, y, w, p)[OPERANDS.index(name)])


@derivative.register_fake
def _(x: Tensor, y: Tensor, w: Any, p: Any, v: Tensor, reduction: str, name: str) -> Tensor:
    return _empty(x, None if reduction == "none" else ())


@hessian.register_fake
def _(x: Tensor, y: Tensor, w: Any, p: Any, v: Tensor, c: Any, reduction: str) -> Tensor:
    return _empty(x)


_INTERFACE = rules.Interface(loss, gradient, derivative, hessian)

for _operator, _backward, _rule in (
    (loss, rules.loss_backward, batching.loss),
    (gradient, rules.gradient_backward, batching.gradient),
    (derivative, rules.derivative_backward, batching.derivative),
    (hessian, rules.hessian_backward, batching.hessian),
):
    _operator.register_autograd(_backward(_INTERFACE), setup_context=rules.setup_context)
    _operator.register_vmap(rules.batched(_INTERFACE, _rule))

"""``torch.vmap`` of the primitives: one call of a kernel for the whole batch.

Under ``mean`` and ``sum`` each sample has a result of its own. The loss of each is the gradient in a
weight of 1 that is broadcast over the sample, and so is rounded once; derivatives in forward mode
are summed in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..arguments import OPERANDS
from ..calculus import Operands, count_of

Rule = Callable[..., tuple[Tensor, int]]


class Batch:
    """The arguments of a primitive, those that have one with the batch's dimension in front.

    Args:
        size: of the batch.
        in_dims: where the batch's dimension is, by argument; None where there is none.
        arguments: the four operands first.
    """

    def __init__(self, size: int, in_dims: tuple[Any, ...], arguments: tuple[Any, ...]) -> None:
        self.size = size
        self._dims = in_dims
        self._arguments = arguments
        self.shape = self.expanded(0).shape
        self.rank = len(self.shape) - 1

    def expanded(self, position: int) -> Tensor:
        """An argument with a sample for each of the batch."""
        tensor, dim = self._arguments[position], self._dims[position]
        if dim is None:
            return tensor.expand(self.size, *tensor.shape)
        return tensor.movedim(dim, 0)

    def aligned(self, position: int) -> Tensor | None:
        """An argument that broadcasts to the logits of the whole batch."""
        if self._arguments[position] is None:
            return None
        tensor = self.expanded(position)
        ones = (1,) * (self.rank + 1 - tensor.dim())
        return tensor.reshape(self.size, *ones, *tensor.shape[1:])

    def operands(self) -> Operands:
        """Logits, targets, weight and pos_weight."""
        return self.aligned(0), self.aligned(1), self.aligned(2), self.aligned(3)

    def factor(self, position: int, reduction: str) -> Tensor | None:
        """A cotangent of the whole batch under ``none``, with 1/N of a mean."""
        tensor = self.aligned(position)
        if tensor is None or reduction == "none":
            return tensor
        return (tensor.double() / self.count(reduction)).expand(self.shape)

    def count(self, reduction: str) -> int:
        """What the loss of a sample is divided by."""
        return count_of(self.shape[1:], reduction)


def loss(interface: Any) -> Rule:
    """The rule of the loss."""

    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
        batch = Batch(info.batch_size, in_dims, arguments)
        x, y, w, p = batch.operands()
        reduction = arguments[4]
        if reduction == "none":
            return interface.loss((x, y, w, p), reduction), 0
        one = x.new_ones(batch.size, *(1,) * batch.rank)
        factor = (one if w is None else w).double() / batch.count(reduction)
        factor = factor.expand(batch.shape)
        found = interface.gradient((x, y, one, p), factor, "none", "weight")
        return found.reshape(batch.size), 0

    return vmap


def gradient(interface: Any) -> Rule:
    """The rule of a gradient."""

    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
        batch = Batch(info.batch_size, in_dims, arguments)
        reduction, name = arguments[5:]
        factor = batch.factor(4, reduction)
        found = interface.gradient(batch.operands(), factor, "none", name)
        return found.reshape(batch.expanded(OPERANDS.index(name)).shape), 0

    return vmap


def derivative(interface: Any) -> Rule:
    """The rule of a derivative along a direction."""

    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
        batch = Batch(info.batch_size, in_dims, arguments)
        reduction, name = arguments[5:]
        each = interface.derivative(batch.operands(), batch.aligned(4), "none", name)
        if reduction == "none":
            return each, 0
        summed = each.double().reshape(batch.size, -1).sum(1) / batch.count(reduction)
        return summed.to(each.dtype), 0

    return vmap


def hessian(interface: Any) -> Rule:
    """The rule of the Hessian's product."""

    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
        batch = Batch(info.batch_size, in_dims, arguments)
        reduction = arguments[6]
        direction, factor = batch.expanded(4), batch.factor(5, reduction)
        if factor is None and reduction == "mean":
            factor = (direction.new_ones(()).double() / batch.count(reduction)).expand(batch.shape)
        return interface.hessian(batch.operands(), direction, factor, "none"), 0

    return vmap

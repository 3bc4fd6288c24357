"""Batches of calls, as the vmap of frameworks makes them: one call of a kernel for a whole batch.

Under ``mean`` and ``sum`` each sample has a result of its own. The loss of a sample is evaluated as
the gradient in a weight of 1 that is broadcast over it, and so is rounded once. Derivatives in
forward mode are added up in the framework's widest format.

A rule takes the interface, the size of the batch, and the arguments of a primitive with the place
of the batch's dimension in each, None where an argument has none. The batch comes first in what it
returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from .arguments import OPERANDS
from .calculus import Operands, Primitives, count_of


class Interface(Primitives, Protocol):
    """What a front end offers beyond ``Primitives``."""

    def loss(self, operands: Operands, reduction: str) -> Any:
        """The loss."""

    def in_front(self, values: Any, axis: int) -> Any:
        """``values`` with one dimension moved to the front."""

    def repeated(self, values: Any, shape: Sequence[int]) -> Any:
        """``values`` broadcast to ``shape``."""

    def sums(self, values: Any) -> Any:
        """``values`` summed over all dimensions but the first."""

    def in_format(self, values: Any, like: Any) -> Any:
        """``values`` in the format of ``like``."""


class _Batch:
    """The arguments of a primitive: four operands, then its own."""

    def __init__(
        self, interface: Interface, size: int, axes: Sequence[int | None], arguments: Sequence[Any]
    ) -> None:
        self._interface = interface
        self._axes = axes
        self._arguments = arguments
        self.size = size
        self.shape = tuple(self.expanded(0).shape)

    def expanded(self, position: int) -> Any:
        """An argument with a sample for each of the batch."""
        values, axis = self._arguments[position], self._axes[position]
        if axis is None:
            return self._interface.repeated(values, (self.size, *values.shape))
        return self._interface.in_front(values, axis)

    def aligned(self, position: int) -> Any:
        """An argument that broadcasts to the logits of the whole batch, or None."""
        if self._arguments[position] is None:
            return None
        values = self.expanded(position)
        ones = (1,) * (len(self.shape) - len(values.shape))
        return values.reshape((self.size, *ones, *values.shape[1:]))

    def operands(self) -> Operands:
        """Logits, targets, weight and pos_weight."""
        return self.aligned(0), self.aligned(1), self.aligned(2), self.aligned(3)

    def factor(self, values: Any, reduction: str) -> Any:
        """What each element is multiplied by under ``none``, where it is ``values`` reduced."""
        if reduction == "none":
            return values
        wide = self._interface.wide(values) / self.count(reduction)
        return self._interface.repeated(wide, self.shape)

    def count(self, reduction: str) -> int:
        """What the loss of a sample is divided by."""
        return count_of(self.shape[1:], reduction)

    def reduced(self, values: Any, reduction: str) -> Any:
        """The reduced ``values`` of samples; NaN where each is a mean over nothing."""
        return values * math.nan if reduction == "mean" and 0 in self.shape[1:] else values

    def ones(self) -> Any:
        """A 1 for each sample, which broadcasts to the logits."""
        zeros = self._interface.sums(0 * self._interface.ones_like(self.expanded(0)))
        return (1 + zeros).reshape((self.size, *(1,) * (len(self.shape) - 1)))


def loss(
    interface: Interface, size: int, axes: Sequence[int | None], arguments: Sequence[Any]
) -> Any:
    """The loss of each sample: x, y, w, p, reduction."""
    batch = _Batch(interface, size, axes, arguments)
    x, y, w, p = batch.operands()
    reduction = arguments[4]
    if reduction == "none":
        return interface.loss((x, y, w, p), reduction)
    one = batch.ones()
    factor = batch.factor(one if w is None else w, reduction)
    found = interface.gradient((x, y, one, p), factor, "none", "weight").reshape((size,))
    return batch.reduced(found, reduction)


def gradient(
    interface: Interface, size: int, axes: Sequence[int | None], arguments: Sequence[Any]
) -> Any:
    """The gradient of each sample: x, y, w, p, cotangent, reduction, name."""
    batch = _Batch(interface, size, axes, arguments)
    reduction, name = arguments[5:]
    factor = batch.factor(batch.aligned(4), reduction)
    found = interface.gradient(batch.operands(), factor, "none", name)
    return found.reshape(batch.expanded(OPERANDS.index(name)).shape)


def derivative(
    interface: Interface, size: int, axes: Sequence[int | None], arguments: Sequence[Any]
) -> Any:
    """The derivative of each sample: x, y, w, p, direction, reduction, name."""
    batch = _Batch(interface, size, axes, arguments)
    reduction, name = arguments[5:]
    each = interface.derivative(batch.operands(), batch.aligned(4), "none", name)
    if reduction == "none":
        return each
    found = interface.sums(interface.wide(each)) / batch.count(reduction)
    return interface.in_format(batch.reduced(found, reduction), each)


def hessian(
    interface: Interface, size: int, axes: Sequence[int | None], arguments: Sequence[Any]
) -> Any:
    """The Hessian's product of each sample: x, y, w, p, direction, cotangent, reduction."""
    batch = _Batch(interface, size, axes, arguments)
    reduction = arguments[6]
    cotangent = batch.ones() if arguments[5] is None else batch.aligned(5)
    factor = batch.factor(cotangent, reduction)
    factor = interface.repeated(factor, batch.shape)
    return interface.hessian(batch.operands(), batch.expanded(4), factor, "none")

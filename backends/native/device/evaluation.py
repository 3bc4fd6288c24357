"""One call on a CUDA device: device arrays in, device arrays out, nothing leaves the device.

All work goes to the stream of the logits, in which they and all others have to be ready.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numba import config, cuda

from ..arguments import OPERANDS, Array, check_broadcast, check_reduction
from ..element.ladder import WEIGHTED, WIDE
from ..element.quantities import HESSIAN, LOSS, QUANTITY_OF
from . import training
from .compiling import uncontracted
from .elements import THREADS, elements, finish, gathered, sums
from .memory import VIEWS, Walk, flat, here, scratch, to_device, walk_of

MOST_BLOCKS = 1024

LEAST_BLOCKS = 1 if config.ENABLE_CUDASIM else 128
"""With fewer Numba warns that a device is not busy. Blocks without work cost next to nothing."""

_FLOAT32, _FLOAT64, _INT64 = (np.dtype(kind) for kind in (np.float32, np.float64, np.int64))


def _common(formats: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """The narrowest format that has all numbers of these."""
    found = set(formats)
    if len(found) == 1:
        return found.pop()
    return _FLOAT64 if _FLOAT64 in found else _FLOAT32


def _is_number(value: Any) -> bool:
    """Whether something is one number of the processor's."""
    kinds = (bool, int, float, np.bool, np.number)
    return isinstance(value, kinds) or (isinstance(value, np.ndarray) and not value.ndim)


def _is_array(value: Any) -> bool:
    """Whether something is an array on a device, or on the simulated one."""
    attributes = ("dtype", "shape", "strides")
    return not isinstance(value, np.ndarray) and all(hasattr(value, name) for name in attributes)


def _grid(blocks: int) -> int:
    return max(LEAST_BLOCKS, min(blocks, MOST_BLOCKS))


def _grid_of(size: int, each: int = THREADS) -> int:
    """The blocks of a kernel for so many elements, of which a block takes ``each`` at a time."""
    return _grid(-(-size // each))


def _widened(
    memory: Any, walk: Walk, shape: tuple[int, ...], dtype: np.dtype[Any], stream: Any
) -> tuple[Any, Walk]:
    """An operand's numbers in a wider format, one after the other, and the walk through them.

    ``shape`` is the operand's, with as many dimensions as the logits.
    """
    size = math.prod(shape)
    wide = cuda.device_array(max(size, 1), dtype, stream=stream)
    if size:
        steps, sizes = (here(row, _INT64) for row in (walk.steps, shape))
        launched = gathered[_grid_of(size), THREADS, stream]
        launched(memory, steps, sizes, walk.first, wide)
    strides = [dtype.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return wide, walk_of(shape, strides, dtype.itemsize, len(shape))


class Evaluation:
    """One call on the device.

    Args:
        operands: device arrays by name; ``"weight"`` and ``"pos_weight"`` may be absent.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        cotangent: device array or scalar that broadcasts to the loss, or None.
        vector: direction in an operand, for forward mode, or in the logits, for a Hessian-vector
            product; or None.

    Raises:
        TypeError: an operand has no accepted format.
        ValueError: shapes disagree.
    """

    def __init__(
        self,
        operands: Mapping[str, Any],
        reduction: str,
        cotangent: Any = None,
        vector: Any = None,
    ) -> None:
        check_reduction(reduction)
        logits = operands["logits"]
        self.dtype: np.dtype[Any] = np.dtype(logits.dtype)
        self.shape = tuple(logits.shape)
        self.reduction = reduction
        self.size = math.prod(self.shape)
        self.stream = getattr(logits, "stream", 0)
        self.count = float(max(self.size, 1)) if reduction == "mean" else 1.0
        given = {**operands, "cotangent": cotangent, "vector": vector}
        names = (*OPERANDS, "cotangent", "vector")
        self.formats = {name: self._format(name, given.get(name)) for name in names}
        common = _common(self.formats.values())
        self.checks = WIDE if common == _FLOAT64 else 0
        if any(given.get(name) is not None for name in names[2:]):
            self.checks += WEIGHTED
        taken = [self._take(name, given.get(name), common) for name in names]
        self.inputs = [memory for memory, _ in taken]
        self.walks = [walk for _, walk in taken]

    def _format(self, name: str, value: Any) -> np.dtype[Any]:
        """The format of an operand.

        Raises:
            TypeError: it is neither a number nor an array of an accepted format.
        """
        if value is None:
            return self.dtype
        if not _is_number(value) and not _is_array(value):
            raise TypeError(
                f"{name} is a {type(value).__name__}; accepted are arrays on the logits' device"
            )
        dtype: np.dtype[Any] = np.dtype(getattr(value, "dtype", np.int64))
        if dtype in VIEWS:
            return dtype
        if not _is_number(value):
            raise TypeError(
                f"{name} has dtype {dtype}; on a device accepted are float16, bfloat16, float32 "
                "and float64"
            )
        with np.errstate(over="ignore"):
            is_exact = float(np.asarray(value, self.dtype)) == float(value) or value != value
        return self.dtype if is_exact else _FLOAT64

    def _take(self, name: str, value: Any, common: np.dtype[Any]) -> tuple[Any, Walk]:
        """One operand's memory in the common format, and how elements of the logits find theirs."""
        dimensions = len(self.shape)
        shape = tuple(np.shape(value) if _is_number(value) else getattr(value, "shape", ()))
        if name == "targets" and shape != self.shape:
            raise ValueError(
                f"targets has shape {shape} and logits has shape {self.shape}; "
                "accepted are equal shapes"
            )
        if value is None or _is_number(value):
            number = 1.0 if value is None else np.asarray(value).item()
            return here((number,), common), Walk((0,) * dimensions, 0, 1)
        check_broadcast(name, np.broadcast_to(np.empty(()), shape), self.shape)
        dtype = self.formats[name]
        walk = walk_of(shape, tuple(value.strides), dtype.itemsize, dimensions)
        memory = flat(value, walk, VIEWS[dtype])
        if dtype == common:
            return memory, walk
        full = (*(1 for _ in range(dimensions - len(shape))), *shape)
        return _widened(memory, walk, full, common, self.stream)

    def _walks_of(self, groups: Sequence[Sequence[int]]) -> tuple[list[tuple[int, ...]], list[int]]:
        """The steps of the operands in each dimension, in this order, and the dimensions.

        Dimensions of a group that all operands walk through as one are one.
        """
        steps = [(0,) * len(self.walks)]  # of a dimension of one element, where there is no other
        sizes = [1]
        for group in groups:
            before = len(sizes)
            for axis in group:
                size, step = self.shape[axis], tuple(walk.steps[axis] for walk in self.walks)
                if size == 1:
                    continue
                joined = len(sizes) > before and steps[-1] == tuple(size * one for one in step)
                if joined:
                    steps[-1], sizes[-1] = step, sizes[-1] * size
                else:
                    steps.append(step)
                    sizes.append(size)
        if len(sizes) > 1:
            del steps[0], sizes[0]
        return steps, sizes

    def _walks(self, *groups: Sequence[int]) -> tuple[Any, Any, Any]:
        """On the device: the steps of each operand, the dimensions, and the beginnings."""
        steps, sizes = self._walks_of(groups)
        first = [walk.first for walk in self.walks]
        rows = list(zip(*steps, strict=True))
        return here(rows, _INT64), here(sizes, _INT64), here(first, _INT64)

    def elementwise(
        self, quantity: int, shape: tuple[int, ...] | None = None, operand: str = "logits"
    ) -> Any:
        """A device array with ``quantity`` of every element, in the format of an operand.

        Its shape is the logits', or another of as many elements.
        """
        out, bits = self._result(self.shape if shape is None else shape, operand)
        if self.size:
            walk = self._walks(range(len(self.shape)))
            with uncontracted():
                elements[_grid_of(self.size), THREADS, self.stream](
                    quantity, tuple(self.inputs), walk, self.count, self.checks, bits
                )
        return out

    def summed(
        self, quantity: int, target: tuple[int, ...], count: float, operand: str = "logits"
    ) -> Any:
        """``quantity`` summed over all that broadcasts to ``target``, of that shape.

        It is in the format of an operand.
        """
        full = (1,) * (len(self.shape) - len(target)) + target
        axes = range(len(self.shape))
        outer = [axis for axis in axes if full[axis] != 1]
        inner = [axis for axis in axes if full[axis] == 1]
        out, bits = self._result(target, operand)
        sums_wanted = math.prod(target)
        if not sums_wanted:
            return out
        terms = self.size // sums_wanted
        blocks = max(1, min(-(-terms // THREADS), MOST_BLOCKS // sums_wanted))
        partials = cuda.device_array((sums_wanted, blocks, 2), np.float64, stream=self.stream)
        each = (quantity, tuple(self.inputs), self._walks(outer, inner))
        with uncontracted():
            sums[_grid(sums_wanted * blocks), THREADS, self.stream](
                *each, self.count, self.checks, terms, bits, partials
            )
            finish[_grid_of(sums_wanted), THREADS, self.stream](partials, count, bits)
        return out

    def _result(self, shape: tuple[int, ...], operand: str) -> tuple[Any, Any]:
        """A fresh device array in an operand's format, and its memory as the kernels see it."""
        dtype = self.formats[operand]
        out = cuda.device_array(shape, dtype, stream=self.stream)
        walk = walk_of(shape, tuple(out.strides), dtype.itemsize, len(shape))
        return out, flat(out, walk, VIEWS[dtype])

    @cached_property
    def _is_trained(self) -> bool:
        """Whether the call is one of ``training.py``."""
        if self.reduction == "none" or not self.size or self.checks:
            return False
        if self.dtype == _FLOAT64 or set(self.formats.values()) != {self.dtype}:
            return False
        steps, sizes = self._walks_of([range(len(self.shape))])
        return len(sizes) == 1 and steps[0][:2] in ((1, 1), (0, 0))

    def _trained(self, gradient: Any = None) -> Any:
        """The reduced loss, and the gradient in the logits into an array, where there is one."""
        loss, out = self._result((), "logits")
        blocks = _grid_of(self.size, training.THREADS * training.AT_ONCE)
        partials, done = scratch(MOST_BLOCKS, self.stream)
        with uncontracted():
            training.training_pass[blocks, training.THREADS, self.stream](
                *self.inputs[:2],
                self.count,
                gradient is not None,
                out,
                out if gradient is None else gradient,
                partials,
                done,
            )
        return loss

    def loss(self) -> Any:
        """The reduced loss."""
        if self.reduction == "none":
            return self.elementwise(LOSS)
        if self._is_trained:
            return self._trained()
        if not self.size:
            return to_device(np.full((), 0.0 if self.reduction == "sum" else np.nan, self.dtype))
        return self.summed(LOSS, (), self.count)

    def gradient(self, name: str, shape: tuple[int, ...]) -> Any:
        """The gradient in operand ``name``, of its ``shape`` and format."""
        if math.prod(shape) == self.size:
            return self.elementwise(QUANTITY_OF[name], shape, name)
        return self.summed(QUANTITY_OF[name], shape, 1.0, name)

    def loss_and_gradients(
        self, names: Sequence[str], arrays: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The reduced loss, and the gradients in operands, by name."""
        if tuple(names) == ("logits",) and self._is_trained:
            gradient, memory = self._result(self.shape, "logits")
            return self._trained(memory), {"logits": gradient}
        return self.loss(), {name: self.gradient(name, tuple(arrays[name].shape)) for name in names}

    def forward(self, name: str) -> Any:
        """The derivative of the reduced loss along the vector, a direction in operand ``name``."""
        along = copy(self)
        along.inputs, along.walks = (
            [*rows[:4], rows[5], rows[4]] for rows in (self.inputs, self.walks)
        )
        if self.reduction == "none":
            return along.elementwise(QUANTITY_OF[name])
        return along.summed(QUANTITY_OF[name], (), 1.0) if self.size else self.loss()

    def hessian(self) -> Array:
        """The Hessian-vector product."""
        return self.elementwise(HESSIAN)

"""One call on a CUDA device: device arrays in, device arrays out, nothing leaves the device.

**Untested on GPU.** Numba's CUDA simulator runs it in the tests, which checks indexing, reductions
and the element's arithmetic. NVVM compiles the kernels in the tests, for a device that is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numba import cuda

from .arguments import OPERANDS, Array, check_broadcast, check_reduction
from .element.ladder import WEIGHTED, WIDE
from .element.quantities import HESSIAN, LOSS, QUANTITY_OF
from .kernels.cuda import THREADS, elements, finish, gathered, sums, uncontracted

MOST_BLOCKS = 1024

# How a format is seen by the kernels (see half.widen).
_VIEWS: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float16): np.dtype(np.int16),
    np.dtype(ml_dtypes.bfloat16): np.dtype(np.uint16),
    np.dtype(np.float32): np.dtype(np.float32),
    np.dtype(np.float64): np.dtype(np.float64),
}
_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


class Walk(NamedTuple):
    """How elements of the logits find those of an operand in its memory.

    Attributes:
        steps: elements from one to the next, by dimension of the logits; 0 where it is broadcast.
        first: where the first element lies, in elements from the lowest.
        span: elements from the lowest to the highest.
    """

    steps: tuple[int, ...]
    first: int
    span: int


def walk_of(shape: Sequence[int], strides: Sequence[int], itemsize: int, dimensions: int) -> Walk:
    """The walk of an operand of a shape and strides, in bytes, among logits of so many dimensions.

    Raises:
        ValueError: the strides are no multiples of the size of an element.
    """
    if any(stride % itemsize for stride in strides):
        raise ValueError(
            f"an operand has strides {tuple(strides)}; accepted are multiples of {itemsize}"
        )
    pairs = zip(shape, strides, strict=True)
    steps = [stride // itemsize if size > 1 else 0 for size, stride in pairs]
    reach = [step * (size - 1) for size, step in zip(shape, steps, strict=True) if size]
    first = -sum(far for far in reach if far < 0)
    span = 0 if 0 in shape else 1 + sum(map(abs, reach))
    return Walk((*(0 for _ in range(dimensions - len(steps))), *steps), first, span)


def _common(formats: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """The narrowest format that has all numbers of these."""
    found = set(formats)
    if len(found) == 1:
        return found.pop()
    return _FLOAT64 if _FLOAT64 in found else _FLOAT32


class _Memory:
    """A flat piece of memory, by the interface that arrays on CUDA devices have.

    Args:
        owner: lives as long.
        interface: of the piece.
    """

    def __init__(self, owner: Any, interface: dict[str, Any]) -> None:
        self.owner = owner
        self.__cuda_array_interface__ = self.__array_interface__ = interface


def _flat(value: Any, walk: Walk, view: np.dtype[Any]) -> Any:
    """The memory that an array on a device walks through, as numbers that the kernels know.

    Under the simulator the memory is the processor's.
    """
    if not walk.span:
        return cuda.device_array(1, view)
    simulated = not hasattr(value, "__cuda_array_interface__")
    interface = value.__array_interface__ if simulated else value.__cuda_array_interface__
    address, read_only = interface["data"]
    piece = {
        "data": (address - walk.first * view.itemsize, read_only),
        "shape": (walk.span,),
        "strides": None,
        "typestr": view.str,
        "stream": interface.get("stream"),
        "version": 3,
    }
    memory = _Memory(value, piece)
    return type(value)(np.asarray(memory)) if simulated else cuda.as_cuda_array(memory)


def _is_number(value: Any) -> bool:
    """Whether something is one number of the processor's."""
    kinds = (bool, int, float, np.bool, np.number)
    return isinstance(value, kinds) or (isinstance(value, np.ndarray) and not value.ndim)


def _is_array(value: Any) -> bool:
    """Whether something is an array on a device, or on the simulated one."""
    attributes = ("dtype", "shape", "strides")
    return not isinstance(value, np.ndarray) and all(hasattr(value, name) for name in attributes)


def _blocks(size: int, most: int) -> int:
    return max(1, min(most, -(-size // THREADS)))


def _widened(
    memory: Any, walk: Walk, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[Any, Walk]:
    """An operand's numbers in a wider format, one after the other, and the walk through them.

    ``shape`` is the operand's, with as many dimensions as the logits.
    """
    size = int(np.prod(shape, dtype=np.int64))
    wide = cuda.device_array(max(size, 1), dtype)
    if size:
        steps, sizes = (cuda.to_device(np.array(row, np.int64)) for row in (walk.steps, shape))
        gathered[_blocks(size, MOST_BLOCKS), THREADS](memory, steps, sizes, walk.first, wide)
    strides = [dtype.itemsize * int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
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
        self.size = int(np.prod(self.shape, dtype=np.int64))
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
        if dtype in _VIEWS:
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
            scalar = np.full(1, 1.0 if value is None else value, common)
            return cuda.to_device(scalar.view(_VIEWS[common])), Walk((0,) * dimensions, 0, 1)
        check_broadcast(name, np.broadcast_to(np.empty(()), shape), self.shape)
        dtype = self.formats[name]
        walk = walk_of(shape, tuple(value.strides), dtype.itemsize, dimensions)
        memory = _flat(value, walk, _VIEWS[dtype])
        if dtype == common:
            return memory, walk
        full = (*(1 for _ in range(dimensions - len(shape))), *shape)
        return _widened(memory, walk, full, common)

    def _walks(self, order: Sequence[int]) -> tuple[Any, Any, Any]:
        """The steps of the operands in the dimensions in this order, these, and the beginnings."""
        steps = np.array([walk.steps for walk in self.walks], np.int64).reshape(6, -1)
        shape = np.array(self.shape, np.int64)
        first = np.array([walk.first for walk in self.walks], np.int64)
        arrays = np.ascontiguousarray(steps[:, order]), shape[list(order)], first
        return tuple(map(cuda.to_device, arrays))

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
                elements[_blocks(self.size, MOST_BLOCKS), THREADS](
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
        sums_wanted = int(np.prod(target, dtype=np.int64))
        if not sums_wanted:
            return out
        terms = self.size // sums_wanted
        blocks = _blocks(terms, max(1, MOST_BLOCKS // sums_wanted))
        partials = cuda.device_array((sums_wanted, blocks, 2), np.float64)
        each = (quantity, tuple(self.inputs), self._walks([*outer, *inner]))
        with uncontracted():
            sums[min(sums_wanted * blocks, MOST_BLOCKS), THREADS](
                *each, self.count, self.checks, terms, bits, partials
            )
            finish[_blocks(sums_wanted, MOST_BLOCKS), THREADS](partials, count, bits)
        return out

    def _result(self, shape: tuple[int, ...], operand: str) -> tuple[Any, Any]:
        """A fresh device array in an operand's format, and its memory as the kernels see it."""
        dtype = self.formats[operand]
        out = cuda.device_array(shape, dtype)
        walk = walk_of(shape, tuple(out.strides), dtype.itemsize, len(shape))
        return out, _flat(out, walk, _VIEWS[dtype])

    def loss(self) -> Any:
        """The reduced loss."""
        if self.reduction == "none":
            return self.elementwise(LOSS)
        if not self.size:
            return cuda.to_device(
                np.full((), 0.0 if self.reduction == "sum" else np.nan, self.dtype)
            )
        return self.summed(LOSS, (), self.count)

    def gradient(self, name: str, shape: tuple[int, ...]) -> Any:
        """The gradient in operand ``name``, of its ``shape`` and format."""
        if int(np.prod(shape, dtype=np.int64)) == self.size:
            return self.elementwise(QUANTITY_OF[name], shape, name)
        return self.summed(QUANTITY_OF[name], shape, 1.0, name)

    def gradients(self, names: Sequence[str], arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The gradients in operands, by name, each of its operand's shape and format."""
        return {name: self.gradient(name, tuple(arrays[name].shape)) for name in names}

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

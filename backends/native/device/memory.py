"""The memory of arrays on CUDA devices: how the kernels see it, walk through it and get more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numba import cuda

from ..arguments import Array

# How a format is seen by the kernels (see half.widen).
VIEWS: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float16): np.dtype(np.int16),
    np.dtype(ml_dtypes.bfloat16): np.dtype(np.uint16),
    np.dtype(np.float32): np.dtype(np.float32),
    np.dtype(np.float64): np.dtype(np.float64),
}


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


class _Memory:
    """A flat piece of memory, by the interface that arrays on CUDA devices have.

    Args:
        owner: lives as long.
        interface: of the piece.
    """

    def __init__(self, owner: Any, interface: dict[str, Any]) -> None:
        self.owner = owner
        self.__cuda_array_interface__ = self.__array_interface__ = interface


def flat(value: Any, walk: Walk, view: np.dtype[Any]) -> Any:
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
        "version": 3,
    }
    memory = _Memory(value, piece)
    return type(value)(np.asarray(memory)) if simulated else cuda.as_cuda_array(memory, sync=False)


_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def _bits(array: Any) -> Any:
    """An array, or the bits of one in bfloat16, which Numba copies neither to a device nor back."""
    return array.view(np.int16) if array.dtype == _BFLOAT16 else array


def to_device(array: Array) -> Any:
    """A copy of an array on the current device, of any format that is accepted."""
    return cuda.to_device(_bits(array)).view(array.dtype)


def to_host(array: Any) -> Array:
    """A copy of an array of the device's."""
    return np.asarray(_bits(array).copy_to_host()).view(array.dtype)


@lru_cache(maxsize=1024)
def _copied(numbers: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], device: int) -> Any:
    """An array of the processor's, given by its bytes, on the current device, of this number."""
    array = np.frombuffer(numbers, dtype).reshape(shape)
    copied = cuda.to_device(array.view(VIEWS.get(dtype, dtype)))
    cuda.synchronize()
    return copied


def here(values: Any, dtype: np.dtype[Any]) -> Any:
    """Numbers, perhaps nested, on the current device. They are not to be written to."""
    array = np.array(values, dtype)
    return _copied(array.tobytes(), array.shape, dtype, current())


def current() -> int:
    """The number of the current device."""
    return int(getattr(cuda.current_context().device, "id", 0))  # the simulated one has none


@lru_cache(maxsize=64)
def _scratch(pairs: int, device: int, stream: int) -> tuple[Any, Any]:
    partials = cuda.device_array((pairs, 2), np.float64)
    done = cuda.to_device(np.zeros(1, np.int64))
    cuda.synchronize()
    return partials, done


def scratch(pairs: int, stream: Any) -> tuple[Any, Any]:
    """Pairs of float64, and a number that is 0 between kernels, for the kernels of a stream.

    These follow each other, so that all calls share them.
    """
    return _scratch(pairs, current(), int(stream))

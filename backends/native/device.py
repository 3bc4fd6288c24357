"""One call on a CUDA device: device arrays in, device arrays out, nothing leaves the device.

**Untested on GPU.** It runs over the processor's tests under numba's CUDA simulator, which checks
indexing, reductions and the element's arithmetic, but neither compilation for a device nor speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import ml_dtypes
import numpy as np
from numba import cuda

from .arguments import OPERANDS, Array, check_broadcast, check_reduction
from .element.quantities import HESSIAN, LOSS, QUANTITY_OF
from .kernels.cuda import THREADS, elements, finish, sums

MOST_BLOCKS = 1024

# How a format is seen by the kernels (see half.widen).
_VIEWS: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float16): np.dtype(np.int16),
    np.dtype(ml_dtypes.bfloat16): np.dtype(np.uint16),
    np.dtype(np.float32): np.dtype(np.float32),
    np.dtype(np.float64): np.dtype(np.float64),
}


class Evaluation:
    """One call on the device.

    Args:
        operands: device arrays by name; ``"weight"`` and ``"pos_weight"`` may be absent.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        cotangent: device array or scalar that broadcasts to the loss, or None.
        vector: direction in an operand, for forward mode, or in the logits, for a Hessian-vector
            product; or None.

    Raises:
        TypeError: the logits have no accepted format, or another operand another one.
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
        if self.dtype not in _VIEWS:
            raise TypeError(
                f"logits has dtype {self.dtype}; accepted are float16, bfloat16, float32 or float64"
            )
        self.reduction = reduction
        self.size = int(np.prod(self.shape, dtype=np.int64))
        self.count = float(max(self.size, 1)) if reduction == "mean" else 1.0
        given = {**operands, "cotangent": cotangent, "vector": vector}
        names = (*OPERANDS, "cotangent", "vector")
        self.weighted = any(given.get(name) is not None for name in names[2:])
        self.inputs: list[Any] = []
        self.walks: list[tuple[int, ...]] = []
        for name in names:
            self._take(name, given.get(name))

    def _take(self, name: str, value: Any) -> None:
        """Append one operand, flat, and how an element of the logits walks through it."""
        view = _VIEWS[self.dtype]
        if value is None or np.isscalar(value):
            scalar = np.full(1, 1.0 if value is None else value, self.dtype)
            self.inputs.append(cuda.to_device(scalar.view(view)))
            self.walks.append((0,) * len(self.shape))
            return
        if np.dtype(value.dtype) != self.dtype:
            raise TypeError(f"{name} has dtype {value.dtype}; on a device accepted is {self.dtype}")
        shape = tuple(value.shape)
        if name == "targets" and shape != self.shape:
            raise ValueError(
                f"targets has shape {shape} and logits has shape {self.shape}; "
                "accepted are equal shapes"
            )
        check_broadcast(name, np.broadcast_to(np.empty(()), shape), self.shape)
        full = (1,) * (len(self.shape) - len(shape)) + shape
        walk, step = [0] * len(full), 1
        for axis in range(len(full) - 1, -1, -1):
            walk[axis] = step if full[axis] > 1 else 0
            step *= full[axis]
        flat = cuda.as_cuda_array(value) if hasattr(value, "__cuda_array_interface__") else value
        self.inputs.append(flat.reshape(max(1, step)).view(view) if step else flat)
        self.walks.append(tuple(walk))

    def elementwise(self, quantity: int) -> Any:
        """A device array of the logits' shape with ``quantity`` of every element."""
        out = cuda.device_array(max(self.size, 1), _VIEWS[self.dtype])
        if self.size:
            walks = cuda.to_device(np.array(self.walks, np.int64).reshape(6, -1))
            shape = cuda.to_device(np.array(self.shape, np.int64))
            walk = walks, shape, cuda.to_device(np.zeros(6, np.int64))
            elements[self._blocks(self.size), THREADS](
                quantity, tuple(self.inputs), walk, self.count, self.weighted, out
            )
        return out[: self.size].view(self.dtype).reshape(self.shape)

    def summed(self, quantity: int, target: tuple[int, ...], count: float) -> Any:
        """``quantity`` summed over all that broadcasts to ``target``, of that shape."""
        full = (1,) * (len(self.shape) - len(target)) + target
        axes = range(len(self.shape))
        inner = [axis for axis in axes if full[axis] == 1]
        outer = [axis for axis in axes if full[axis] != 1]
        walks = np.array(self.walks, np.int64).reshape(6, -1)
        inner_shape = np.array([self.shape[axis] for axis in inner], np.int64)
        size = int(np.prod(inner_shape))
        out = cuda.device_array(int(np.prod(target, dtype=np.int64)), _VIEWS[self.dtype])
        blocks = self._blocks(size)
        partials = cuda.device_array((blocks, 2), np.float64)
        inner_walks = cuda.to_device(np.ascontiguousarray(walks[:, inner]))
        for at, index in enumerate(np.ndindex(*[self.shape[axis] for axis in outer])):
            kept = walks[:, outer] @ np.array(index, np.int64)
            walk = inner_walks, cuda.to_device(inner_shape), cuda.to_device(kept)
            sums[blocks, THREADS](
                quantity, tuple(self.inputs), walk, self.count, self.weighted, size, partials
            )
            finish[1, 1](partials, count, self.inputs[0], out, at)
        return out.view(self.dtype).reshape(target)

    def loss(self) -> Any:
        """The reduced loss."""
        if self.reduction == "none":
            return self.elementwise(LOSS)
        if not self.size:
            empty = np.full((), 0.0 if self.reduction == "sum" else np.nan)
            return cuda.to_device(empty.astype(self.dtype))
        return self.summed(LOSS, (), self.count)

    def gradient(self, name: str, shape: tuple[int, ...]) -> Any:
        """The gradient in operand ``name``, of its ``shape``."""
        if int(np.prod(shape, dtype=np.int64)) == self.size:
            return self.elementwise(QUANTITY_OF[name]).reshape(shape)
        return self.summed(QUANTITY_OF[name], shape, 1.0)

    def gradients(self, names: Sequence[str], arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The gradients in operands, by name, each of its operand's shape."""
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

    @staticmethod
    def _blocks(size: int) -> int:
        return max(1, min(MOST_BLOCKS, -(-size // THREADS)))

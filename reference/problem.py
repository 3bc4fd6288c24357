"""A question to the ground truth, and the form of its answer.

Operands are read, broadcast, and grouped into results.

Guarantees: every operand is held without rounding; bad input raises ValueError or TypeError that
names the argument. Never evaluates anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .formats import FORMATS, Format, format_of
from .quantities import QUANTITIES, Row

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
REDUCTIONS = ("none", "mean", "sum")


@dataclass(frozen=True)
class Problem:
    """One question to the ground truth, all arrays flat and of one length unless None.

    Attributes:
        quantity: a key of ``QUANTITIES``.
        columns: x, y, w, p and the cotangent, as float64 that holds them exactly; None where absent
            (weights of 1, a cotangent of 1).
        shape: the shape of the result.
        groups: for each element the flat index of the result that it is added to; None where every
            element is a result of its own.
        count: what results are divided by: the number of elements for ``"mean"``, else 1.
        fmt: the format to round into.
    """

    quantity: str
    columns: tuple[Float64, Float64, Float64 | None, Float64 | None, Float64 | None]
    shape: tuple[int, ...]
    groups: Int64 | None
    count: int
    fmt: Format

    def row(self, index: int) -> Row:
        """Return one element's inputs."""
        x, y, w, p, c = (None if col is None else float(col[index]) for col in self.columns)
        return x, y, w, p, c  # type: ignore[return-value]  # x and y are never None


@dataclass(frozen=True)
class Outcome:
    """Flat arrays, one entry a result: ``nearest`` as float64, ``offset``, ``precision``."""

    nearest: NDArray[np.float64]
    offset: NDArray[np.float64]
    precision: NDArray[np.int32]


def read_exactly(name: str, value: Any) -> Float64:
    """Return a float64 array that holds the values of an argument exactly.

    Raises:
        TypeError: not real numbers of one of the four formats, integers or booleans.
        ValueError: an integer that float64 cannot hold.
    """
    array = np.asarray(value)
    if array.dtype.name in FORMATS:
        with np.errstate(invalid="ignore"):  # a signalling NaN
            return array.astype(np.float64)
    if array.dtype.kind not in "biu":
        accepted = ", ".join((*FORMATS, "integers", "booleans"))
        raise TypeError(f"{name} has dtype {array.dtype}; accepted are {accepted}")
    wide = array.astype(np.float64)
    large = np.abs(wide) >= 2.0**53
    for number, image in zip(array[large].tolist(), wide[large].tolist(), strict=True):
        if int(number) != int(image):
            raise ValueError(f"{name} holds {int(number)}, which float64 cannot hold exactly")
    return wide


def _broadcast(name: str, value: Float64 | None, shape: tuple[int, ...]) -> Float64 | None:
    if value is None:
        return None
    try:
        wide = np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {value.shape}, which does not broadcast to logits of shape {shape}"
        ) from None
    return value.reshape(-1) if value.size == wide.size else wide.reshape(-1)


def _cotangent(value: Any, reduction: str, quantity: str, shape: tuple[int, ...]) -> Float64 | None:
    if value is None:
        return None
    if quantity == "loss":
        raise ValueError("cotangent is given, but quantity 'loss' takes none")
    array = read_exactly("cotangent", value)
    wanted = shape if reduction == "none" else ()
    if array.shape != wanted:
        raise ValueError(
            f"cotangent has shape {array.shape}; the loss with reduction {reduction!r} has {wanted}"
        )
    return np.broadcast_to(array, shape).reshape(-1)


def _choice(name: str, value: Any, accepted: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in accepted:
        raise ValueError(f"{name} is {value!r}; accepted are {', '.join(accepted)}")


def _groups(operand: Float64, shape: tuple[int, ...]) -> Int64 | None:
    """Return for each element the flat index of the operand's entry; None where that is itself."""
    size = int(np.prod(shape, dtype=np.int64))
    if operand.size == size:
        return None
    index = np.arange(operand.size, dtype=np.int64).reshape(operand.shape)
    return np.broadcast_to(index, shape).reshape(-1)


def read_problem(
    logits: ArrayLike,
    targets: ArrayLike,
    weight: ArrayLike | None,
    pos_weight: ArrayLike | None,
    quantity: str,
    reduction: str,
    cotangent: ArrayLike | None,
    dtype: Any,
) -> Problem:
    """Read and check the arguments of ``ground_truth``; see there."""
    _choice("quantity", quantity, tuple(QUANTITIES))
    _choice("reduction", reduction, REDUCTIONS)
    fmt = format_of(dtype)
    x, y = read_exactly("logits", logits), read_exactly("targets", targets)
    if x.shape != y.shape:
        raise ValueError(f"targets has shape {y.shape}; it must be the shape of logits, {x.shape}")
    operands: dict[str, Float64 | None] = {"logits": x, "targets": y}
    for name, value in (("weight", weight), ("pos_weight", pos_weight)):
        operands[name] = None if value is None else read_exactly(name, value)
    wanted = operands[QUANTITIES[quantity].operand]
    if wanted is None:
        name = QUANTITIES[quantity].operand
        raise ValueError(f"{name} is None, but quantity is {quantity!r}")
    w, p = (_broadcast(name, operands[name], x.shape) for name in ("weight", "pos_weight"))
    c = _cotangent(cotangent, reduction, quantity, x.shape)
    columns = (x.reshape(-1), y.reshape(-1), w, p, c)
    count = x.size if reduction == "mean" else 1
    if quantity == "loss" and reduction != "none":
        return Problem(quantity, columns, (), np.zeros(x.size, np.int64), count, fmt)
    return Problem(quantity, columns, wanted.shape, _groups(wanted, x.shape), count, fmt)

"""A question to the ground truth, and the form of its answer.

Operands are read, broadcast, and grouped into results.

Guarantees: every operand is held without rounding; bad input raises ValueError or TypeError that
names the argument. Never evaluates anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .formats import FORMATS, Format, format_of
from .quantities import QUANTITIES, Quantity, Row

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Columns = tuple[Float64, Float64, Float64 | None, Float64 | None, Float64 | None]
REDUCTIONS = ("none", "mean", "sum")
# Derivatives along a tangent are other quantities whose cotangent has it as a factor: the Jacobian
# of the losses and the Hessian of each of them are diagonal.
DIRECTED = {"jvp_logits": "grad_logits", "hvp_logits": "hess_logits"}
FORWARD = ("loss", "jvp_logits")  # of the shape of the loss, without a cotangent
_SPLITTER = 2.0**27 + 1


@dataclass(frozen=True)
class Problem:
    """One question to the ground truth, all arrays flat and of one length unless None.

    Attributes:
        quantity: a key of ``QUANTITIES``.
        columns: x, y, w, p and the cotangent, as float64 that holds them exactly; None where absent
            (weights of 1, a cotangent of 1), or where the formula does not contain them (targets
            are zeros then). The cotangent has the tangent as a factor, where there is one.
        shape: the shape of the result.
        groups: for each element the flat index of the result that it is added to; None where every
            element is a result of its own.
        count: what results are divided by: the number of elements for ``"mean"``, else 1.
        fmt: the format to round into.
        empty: the result of no elements.
    """

    quantity: str
    columns: Columns
    shape: tuple[int, ...]
    groups: Int64 | None
    count: int
    fmt: Format
    empty: float = 0.0

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
    if quantity in FORWARD:
        raise ValueError(f"cotangent is given, but quantity {quantity!r} takes none")
    array = read_exactly("cotangent", value)
    wanted = shape if reduction == "none" else ()
    if array.shape != wanted:
        raise ValueError(
            f"cotangent has shape {array.shape}; the loss with reduction {reduction!r} has {wanted}"
        )
    return np.broadcast_to(array, shape).reshape(-1)


def _tangent(value: Any, quantity: str, shape: tuple[int, ...]) -> Float64 | None:
    if quantity not in DIRECTED:
        if value is not None:
            raise ValueError(f"tangent is given, but quantity {quantity!r} takes none")
        return None
    if value is None:
        raise ValueError(f"tangent is None, but quantity is {quantity!r}")
    array = read_exactly("tangent", value)
    if array.shape != shape:
        raise ValueError(f"tangent has shape {array.shape}; logits have {shape}")
    return array.reshape(-1)


def _product(cotangent: Float64 | None, tangent: Float64 | None) -> Float64 | None:
    """Return cotangent·tangent, exactly; a factor that is absent is 1.

    Raises:
        ValueError: float64 does not hold a product.
    """
    if cotangent is None or tangent is None:
        return cotangent if tangent is None else tangent
    with np.errstate(all="ignore"):
        product = cotangent * tangent
        finite = np.isfinite(cotangent) & np.isfinite(tangent)
        exact = ~finite | _is_product(product, cotangent, tangent)
    if not exact.all():
        at = int(np.argmin(exact))
        raise ValueError(
            f"tangent has {tangent[at].hex()} where cotangent has {cotangent[at].hex()}: float64 "
            "does not hold their product; accepted are factors whose product is exact"
        )
    return product


def _is_product(product: Float64, a: Float64, b: Float64) -> NDArray[np.bool_]:
    """Tell where ``product``, which is a·b rounded, is a·b.

    The rounding error of the product of the significands is Dekker's, which is exact for them.
    """
    (a, a_exponent), (b, b_exponent) = np.frexp(a), np.frexp(b)
    significand, exponent = np.frexp(a * b)
    a_high, b_high = ((_SPLITTER * v) - (_SPLITTER * v - v) for v in (a, b))
    a_low, b_low = a - a_high, b - b_high
    error = a_low * b_low - (((a * b - a_high * b_high) - a_low * b_high) - a_high * b_low)
    rounded, its_exponent = np.frexp(product)  # differs where it over- or underflowed
    same = (rounded == significand) & (its_exponent == exponent + a_exponent + b_exponent)
    zero = (a == 0) | (b == 0)
    return np.asarray(zero | (same & (error == 0)))


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
    tangent: ArrayLike | None = None,
) -> Problem:
    """Read and check the arguments of ``ground_truth``; see there."""
    _choice("quantity", quantity, (*QUANTITIES, *DIRECTED))
    _choice("reduction", reduction, REDUCTIONS)
    fmt = format_of(dtype)
    x, y = read_exactly("logits", logits), read_exactly("targets", targets)
    if x.shape != y.shape:
        raise ValueError(f"targets has shape {y.shape}; it must be the shape of logits, {x.shape}")
    operands: dict[str, Float64 | None] = {"logits": x, "targets": y}
    for name, value in (("weight", weight), ("pos_weight", pos_weight)):
        operands[name] = None if value is None else read_exactly(name, value)
    evaluated = DIRECTED.get(quantity, quantity)
    formula = QUANTITIES[evaluated]
    wanted = operands[formula.operand]
    if wanted is None:
        raise ValueError(f"{formula.operand} is None, but quantity is {quantity!r}")
    w, p = (_broadcast(name, operands[name], x.shape) for name in ("weight", "pos_weight"))
    c = _product(
        _cotangent(cotangent, reduction, quantity, x.shape), _tangent(tangent, quantity, x.shape)
    )
    columns = _contained(formula, x.reshape(-1), y.reshape(-1), w, p, c)
    count = x.size if reduction == "mean" else 1
    if quantity in FORWARD and reduction != "none":
        empty = nan if reduction == "mean" else 0.0
        return Problem(evaluated, columns, (), np.zeros(x.size, np.int64), count, fmt, empty)
    return Problem(evaluated, columns, wanted.shape, _groups(wanted, x.shape), count, fmt)


def _contained(
    formula: Quantity,
    x: Float64,
    y: Float64,
    w: Float64 | None,
    p: Float64 | None,
    c: Float64 | None,
) -> Columns:
    """Return the columns of a problem, without what its formula does not contain."""
    has = formula.factors
    y = y if "y" in has or "n" in has else np.zeros_like(y)
    return x, y, w if "w" in has else None, p if "p" in has else None, c

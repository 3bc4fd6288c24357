"""What a caller may pass: every argument is checked here, before anything is computed.

Guarantees that a call which is refused names the argument, what was given and what is accepted, and
that nothing here copies or changes an array that already is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

REDUCTIONS = ("none", "mean", "sum")
OPERANDS = ("logits", "targets", "weight", "pos_weight")
FORMATS = (
    np.dtype(np.float16),
    np.dtype(ml_dtypes.bfloat16),
    np.dtype(np.float32),
    np.dtype(np.float64),
)
_ACCEPTED = "float16, bfloat16, float32 or float64"


@dataclass(frozen=True, slots=True)
class Operands:
    """The checked operands of one evaluation.

    Attributes:
        logits: x, in one of ``FORMATS`` (either byte order).
        targets: y, the shape of ``logits``; a float format, integer or boolean.
        weight: w, broadcastable to ``logits``, or None.
        pos_weight: p, broadcastable to ``logits``, or None.
        formats: of the gradients, by operand.
    """

    logits: Array
    targets: Array
    weight: Array | None
    pos_weight: Array | None
    formats: Mapping[str, np.dtype[Any]] = field(default_factory=dict)

    def named(self) -> dict[str, Array | None]:
        """The operands by name."""
        return {name: getattr(self, name) for name in OPERANDS}

    @property
    def dtype(self) -> np.dtype[Any]:
        """The format of the loss: that of the logits, in native byte order."""
        return self.logits.dtype.newbyteorder("=")


def as_array(name: str, value: Any) -> Array:
    """Return ``value`` as an array, sharing memory where it has any.

    Raises:
        TypeError: ``value`` is not an array, a scalar or nested sequences of numbers.
    """
    if isinstance(value, np.ma.MaskedArray | np.matrix):
        raise TypeError(
            f"{name} is a {type(value).__name__}; accepted are arrays without a mask, and of any "
            "number of dimensions"
        )
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    known = isinstance(value, bool | int | float | Sequence) or hasattr(value, "__array__")
    if not known and not hasattr(value, "__dlpack__"):
        raise TypeError(
            f"{name} is a {type(value).__name__}; accepted are arrays, scalars, and objects with "
            "__array__ or __dlpack__"
        )
    try:
        array = np.asarray(value) if known else np.from_dlpack(value)
    except (TypeError, BufferError) as error:
        raise TypeError(f"{name} is a {type(value).__name__}, not to be read: {error}") from error
    if isinstance(value, int) and array.dtype.kind in "iu":
        array = array.astype(np.float64)
    return array


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether ``dtype`` is one of ``FORMATS``, in either byte order."""
    return dtype.newbyteorder("=") in FORMATS


def as_format(name: str, value: Any, *, exact: bool) -> Array:
    """Return ``value`` as an array of a float format; with ``exact``, integers and booleans too.

    Raises:
        TypeError: the array's dtype is none of these.
    """
    array = as_array(name, value)
    if is_float(array.dtype) or (exact and array.dtype.kind in "biu"):
        return array
    accepted = f"{_ACCEPTED}, integer or boolean" if exact else _ACCEPTED
    raise TypeError(f"{name} has dtype {array.dtype}; accepted are {accepted}")


def gradient_format(value: Any, array: Array, otherwise: np.dtype[Any]) -> np.dtype[Any]:
    """The format of the gradient in an operand: its own, in native byte order.

    That of the logits, ``otherwise``, where it is integer or boolean, or not an array but a number
    or nested numbers.
    """
    own = array.dtype.newbyteorder("=")
    return own if hasattr(value, "dtype") and own in FORMATS else otherwise


def check_broadcast(name: str, array: Array, shape: tuple[int, ...], onto: str = "logits") -> None:
    """Check that ``array`` broadcasts to ``shape`` without enlarging it.

    Raises:
        ValueError: it does not.
    """
    given = array.shape
    fits = len(given) <= len(shape) and all(
        size in (1, wanted) for size, wanted in zip(reversed(given), reversed(shape), strict=False)
    )
    if not fits:
        raise ValueError(
            f"{name} has shape {given}, which does not broadcast to {onto} of shape {shape}"
        )


def check_reduction(reduction: Any) -> None:
    """Check ``reduction``; raises ValueError where it is none of ``REDUCTIONS``."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}; accepted are 'none', 'mean' and 'sum'")


def check_operands(
    logits: Any, targets: Any, weight: Any, pos_weight: Any, *, check_targets: bool
) -> Operands:
    """Return the operands as arrays, checked against each other.

    Raises:
        TypeError: an operand is not an array of an accepted dtype.
        ValueError: shapes disagree, or ``check_targets`` and a target is outside [0, 1].
    """
    x = as_format("logits", logits, exact=False)
    y = as_format("targets", targets, exact=True)
    if y.shape != x.shape:
        raise ValueError(
            f"targets has shape {y.shape} and logits has shape {x.shape}; accepted are equal shapes"
        )
    scales: list[Array | None] = []
    plain = x.dtype.newbyteorder("=")
    formats = {"logits": plain, "targets": gradient_format(targets, y, plain)}
    for name, value in (("weight", weight), ("pos_weight", pos_weight)):
        scale = None if value is None else as_format(name, value, exact=True)
        if scale is not None:
            check_broadcast(name, scale, x.shape)
            formats[name] = gradient_format(value, scale, plain)
        scales.append(scale)
    if check_targets and y.size and not (bool((y >= 0).all()) and bool((y <= 1).all())):
        raise ValueError("targets has values outside [0, 1], which check_targets refuses")
    return Operands(x, y, scales[0], scales[1], formats)


def check_wrt(wrt: Any, operands: Mapping[str, Any]) -> tuple[str, ...]:
    """Return ``wrt`` as a tuple of operand names.

    Raises:
        ValueError: a name is unknown, repeated, or of an operand that is None.
    """
    names = (wrt,) if isinstance(wrt, str) else tuple(wrt)
    for name in names:
        if name not in OPERANDS:
            raise ValueError(f"wrt has {name!r}; accepted are {', '.join(OPERANDS)}")
        if operands.get(name) is None:
            raise ValueError(f"wrt has {name!r}, but {name} is None")
    if len(set(names)) != len(names):
        raise ValueError(f"wrt is {names}; accepted are distinct names")
    return names


def check_cotangent(cotangent: Any, shape: tuple[int, ...]) -> Array | None:
    """Return ``cotangent`` as an array that broadcasts to the loss's ``shape``, or None."""
    if cotangent is None:
        return None
    array = as_format("cotangent", cotangent, exact=True)
    check_broadcast("cotangent", array, shape, "the loss")
    return array


def _shares_elements(array: Array) -> bool:
    """Whether two elements of ``array`` may lie in the same memory."""
    reach = array.itemsize
    walks = zip(array.strides, array.shape, strict=True)
    for stride, size in sorted((abs(stride), size) for stride, size in walks if size > 1):
        if stride < reach:
            return True
        reach += stride * (size - 1)
    return False


def check_out(
    name: str, out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], others: Mapping[str, Any]
) -> Array:
    """Return ``out``, a writable array of ``shape`` and ``dtype`` in memory of its own.

    Args:
        name: what it is called.
        out: what is to receive a result.
        shape: of the result.
        dtype: of the result.
        others: arrays of the call that it must not overlap, by name; None is no array.

    Raises:
        TypeError: it is not an array of that dtype.
        ValueError: it has another shape, is read-only, or shares memory.
    """
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        given = f"dtype {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"{name} is {given}; accepted is a NumPy array of dtype {dtype}")
    if out.shape != shape:
        raise ValueError(f"{name} has shape {out.shape}; accepted is {shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only; accepted is a writable array")
    if _shares_elements(out):
        raise ValueError(
            f"{name} has strides {out.strides}, with which elements share memory; accepted is an "
            "array whose elements do not"
        )
    for other, array in others.items():
        if array is not None and np.shares_memory(out, array):
            raise ValueError(f"{name} shares memory with {other}; accepted is memory of its own")
    return out


# So many elements of an operand are looked at for being all ones, or harmless.
FEW = 4096
# Below it, products of four operands may leave float64's range (see ``double_double.py``); above
# what float32 has, exp(−|x|) may be clamped too early for a result of float32 (``functions.py``).
_LOW, _HIGH = 2.0**-240, 2.0**128


def is_harmless(operand: Array | None) -> bool:
    """Whether an operand is known to take no product with those of float32 out of range."""
    if operand is None or operand.dtype.newbyteorder("=") != np.float64:
        return True
    size = np.abs(operand) if operand.size <= FEW else np.array(np.nan)
    return bool(((size == 0) | ((size >= _LOW) & (size <= _HIGH))).all())


def is_finite(operand: Array | None) -> bool:
    """Whether an operand is known to have no infinity, no NaN and nothing negative."""
    if operand is None or operand.dtype.kind in "bu":
        return True
    if operand.size > FEW:
        return False
    with np.errstate(invalid="ignore"):  # NaN
        return bool(((operand >= 0) & (operand < np.inf)).all())

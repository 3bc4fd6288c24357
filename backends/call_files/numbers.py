"""Numbers as JSON has them: exact, and short where they are simple.

Guarantees that every bit pattern of a dtype is written and read back as itself. A float is written
as an integer or a short decimal where that is exact, else in C99's hexadecimal, ``inf``, ``-0`` or
``nan(0x…)`` with the bits of its significand where they are not those of the usual NaN.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array

Token = int | float | str | bool

# Named explicitly: NumPy knows `bfloat16` by its name only once ml_dtypes is imported.
DTYPES: dict[str, np.dtype[Any]] = {
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    **{name: np.dtype(name) for name in ("float16", "float32", "float64", "bool")},
    **{name: np.dtype(name) for name in ("int8", "int16", "int32", "int64")},
    **{name: np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64")},
    **{name: np.dtype(name) for name in ("complex64", "complex128")},
}
# Bits of the significand that are stored.
_STORED = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
ACCEPTED = (
    "numbers, and as text hexadecimal such as 0x1.8p+4, inf, -inf, nan, nan(0x…) with the bits of "
    "the significand, or -0"
)
_HEXADECIMAL = re.compile(r"[+-]?0x[0-9a-f]+(\.[0-9a-f]*)?(p[+-]?[0-9]+)?")
_NAN = re.compile(r"(-?)nan(?:\((0x[0-9a-f]+)\))?")
_SHORT = 8  # characters of a decimal that is as easy to read as an integer


class WrittenDecimal(float):
    """A decimal that keeps its text: a float64 alone would round it before its own format does."""

    text: str

    def __new__(cls, text: str) -> WrittenDecimal:
        """Read a decimal; one that is beyond float64 is infinite."""
        found = super().__new__(cls, text)
        found.text = text
        return found


def exact(number: float) -> Fraction:
    """A finite number without rounding: of a decimal what its text says, but 0 where float64's is.

    A text that is no zero and yet one in float64 may take gigabytes to write out.
    """
    if isinstance(number, WrittenDecimal) and number:
        return Fraction(Decimal(number.text))
    return Fraction(number)


def has_text(dtype: np.dtype[Any]) -> bool:
    """Whether numbers of a dtype have a form here: all but complex ones."""
    return dtype.kind != "c"


def tokens(values: Array) -> list[Token]:
    """The numbers of a one-dimensional array in the machine's byte order."""
    if values.dtype.name not in _STORED:
        found: list[Token] = values.tolist()
        return found
    bits = values.view(f"u{values.itemsize}")
    with np.errstate(invalid="ignore"):  # a signalling NaN
        wide = values.astype(np.float64)
    return [
        _nan(int(pattern), values.dtype) if math.isnan(number) else float_token(number)
        for pattern, number in zip(bits.tolist(), wide.tolist(), strict=True)
    ]


def float_token(number: float) -> Token:
    """One float that is no NaN."""
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    if number == 0 and math.copysign(1, number) < 0:
        return "-0"
    if number == int(number) and abs(number) < 2.0**53:
        return int(number)
    decimal = repr(number)
    if len(decimal) <= _SHORT and Decimal(decimal) == Decimal(number):
        return number
    significand, _, exponent = number.hex().partition("p")
    return f"{significand.rstrip('0').rstrip('.')}p{exponent}"


def _nan(bits: int, dtype: np.dtype[Any]) -> str:
    stored = _STORED[dtype.name]
    significand = bits & ((1 << stored) - 1)
    sign = "-" if bits >> (8 * dtype.itemsize - 1) else ""
    usual = significand == 1 << (stored - 1)
    return f"{sign}nan" if usual else f"{sign}nan({significand:#x})"


def numbers(found: list[Any], dtype: np.dtype[Any], where: str) -> Array:
    """The one-dimensional array of a dtype that tokens stand for.

    Decimals are rounded to the nearest number of a floating dtype; all else must be exact.

    Raises:
        ValueError: a token is no number of the dtype; ``where`` names its place.
    """
    if dtype.name in _STORED:
        return _floats(found, dtype, where)
    limits = (0, 1)
    if dtype.kind != "b":
        limits = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    for index, token in enumerate(found):
        whole = isinstance(token, int) and (dtype.kind == "b" or not isinstance(token, bool))
        if not whole or not limits[0] <= token <= limits[1]:
            accepted = "true and false" if dtype.kind == "b" else f"{limits[0]} to {limits[1]}"
            raise ValueError(
                f"{where}[{index}] is {token!r}, no number of {dtype.name}; accepted are {accepted}"
            )
    return np.array(found, dtype)


def _floats(found: list[Any], dtype: np.dtype[Any], where: str) -> Array:
    wide = np.array([_float(token, f"{where}[{i}]") for i, token in enumerate(found)], np.float64)
    near = [_nearest(*both, dtype) for both in zip(found, wide.tolist(), strict=True)]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        values: Array = np.array(near, np.float64).astype(dtype)
        back = values.astype(np.float64)
    for index, token in enumerate(found):
        _check_rounding(token, wide[index], back[index], dtype, f"{where}[{index}]")
    bits = values.view(f"u{dtype.itemsize}")
    for index in np.flatnonzero(np.isnan(wide)).tolist():
        bits[index] = _nan_bits(found[index], dtype, f"{where}[{index}]")
    return values


def _nearest(token: Any, wide: float, dtype: np.dtype[Any]) -> float:
    """The number of a format that is nearest to a token, ties to even, rounded once.

    Texts stay as they are, and so do infinity, NaN, and what is nothing in float64.
    """
    finite = math.isfinite(wide) and not isinstance(token, str)
    if not finite or dtype.name == "float64" or not wide:
        return wide
    value, limits = exact(token), ml_dtypes.finfo(dtype)
    exponent = math.frexp(wide)[1] - 1  # of the power of two below, or of the one just above
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    step = Fraction(2) ** (max(exponent, int(limits.minexp)) - _STORED[dtype.name])
    return float(round(value / step) * step)


def _float(token: Any, where: str) -> float:
    if isinstance(token, str):
        text = token.strip().lower()
        if _NAN.fullmatch(text):
            return math.nan
        if text in ("inf", "+inf", "-inf", "-0"):
            return float(text)
        if _HEXADECIMAL.fullmatch(text):
            return float.fromhex(text)
    elif isinstance(token, int | float) and not isinstance(token, bool):
        try:
            number = float(token)
        except OverflowError:
            raise ValueError(f"{where} is {token!r}, which is beyond every format") from None
        if isinstance(token, WrittenDecimal) and math.isinf(number):
            raise ValueError(
                f"{where} is {token.text}, which is beyond every format; infinity is 'inf'"
            )
        return number
    raise ValueError(f"{where} is {token!r}; accepted are {ACCEPTED}")


def _check_rounding(
    token: Any, wide: np.float64, back: np.float64, dtype: np.dtype[Any], where: str
) -> None:
    if np.isinf(back) and not np.isinf(wide):
        raise ValueError(f"{where} is {token!r}, which is beyond {dtype.name}; infinity is 'inf'")
    if isinstance(token, str) and not (back == wide or np.isnan(wide)):
        raise ValueError(
            f"{where} is {token!r}, which {dtype.name} does not hold; accepted are numbers that it "
            "holds, or decimals, which are rounded"
        )


def _nan_bits(token: str | float, dtype: np.dtype[Any], where: str) -> int:
    match = _NAN.fullmatch(str(token).strip().lower())
    assert match is not None  # as it was read as NaN
    stored = _STORED[dtype.name]
    significand = int(match[2], 16) if match[2] else 1 << (stored - 1)
    if not 0 < significand < 1 << stored:
        raise ValueError(
            f"{where} is {token!r}; accepted significands of {dtype.name} are 0x1 to "
            f"{(1 << stored) - 1:#x}"
        )
    width = 8 * dtype.itemsize
    exponent = ((1 << (width - 1 - stored)) - 1) << stored
    return (bool(match[1]) << (width - 1)) | exponent | significand


def same_bits(values: Array) -> NDArray[np.bool_]:
    """For each number of a one-dimensional array but the first: whether it equals the one before.

    Numbers are equal when their bits are.
    """
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(values.size, values.itemsize)
    return np.asarray((raw[1:] == raw[:-1]).all(axis=1))

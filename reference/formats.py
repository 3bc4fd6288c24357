"""The four floating-point formats as one table, and what can be asked of their values.

Guarantees: every number here is exact. All four formats embed in float64 without rounding, so
float64 carries their values, their ulps and their hexadecimal form. Never rounds silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Format:
    """A binary format: normal numbers are ±1.f·2^e with ``emin`` ≤ e ≤ ``emax``.

    Attributes:
        name: ``"float16"``, ``"bfloat16"``, ``"float32"`` or ``"float64"``.
        precision: bits of the significand, the leading one included.
        emin: exponent of the smallest normal number.
        emax: exponent of the largest finite number.
    """

    name: str
    precision: int
    emin: int
    emax: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype; bfloat16's is of ml_dtypes."""
        return np.dtype(ml_dtypes.bfloat16 if self.name == "bfloat16" else self.name)

    @property
    def bits_dtype(self) -> np.dtype[Any]:
        """The unsigned integer of the same width."""
        return np.dtype(f"uint{8 * self.dtype.itemsize}")

    @property
    def unit_roundoff(self) -> float:
        """Half the distance from 1 to the next number."""
        return 2.0**-self.precision

    @property
    def smallest_normal(self) -> float:
        """The smallest positive normal number."""
        return 2.0**self.emin

    @property
    def smallest_subnormal(self) -> float:
        """The smallest positive number, which is the ulp of everything below the normals."""
        return 2.0 ** (self.emin - self.precision + 1)

    @property
    def largest_finite(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0 ** (1 - self.precision)) * 2.0**self.emax

    @property
    def largest_ulp(self) -> float:
        """The ulp of the top binade, which stands for everything beyond it too."""
        return 2.0 ** (self.emax - self.precision + 1)

    def ulp(self, value: ArrayLike) -> NDArray[np.float64]:
        """Return the unit in the last place of the format at each value.

        Args:
            value: real numbers, any shape, of a format of the table. Below the smallest normal,
                zero included, the answer is the smallest subnormal; beyond the largest finite,
                infinity included, the ulp of the top binade; at NaN, NaN.
        """
        real = np.asarray(value).astype(np.float64)
        magnitude = np.where(np.isfinite(real), np.abs(real), self.largest_finite)
        exponent = np.clip(np.frexp(magnitude)[1] - 1, self.emin, self.emax)
        unit = np.ldexp(1.0, np.where(magnitude > 0, exponent, self.emin) - self.precision + 1)
        return np.where(np.isnan(real), np.nan, unit)

    def ordinal(self, value: ArrayLike) -> NDArray[np.int64]:
        """Number the format's values in order: 0 for ±0, ±1 for the smallest subnormals, and so on.

        Args:
            value: array of this format's dtype, or Python floats that it holds exactly. The
                infinities follow the largest finite numbers; NaNs lie beyond them.

        Raises:
            ValueError: a value is not a number of this format.
        """
        bits = self.exactly(value).view(self.bits_dtype)
        sign_bit = self.bits_dtype.type(1 << (8 * self.dtype.itemsize - 1))
        magnitude = (bits & ~sign_bit).astype(np.int64)
        return np.asarray(np.where(bits & sign_bit != 0, -magnitude, magnitude), np.int64)

    def from_ordinal(self, ordinal: ArrayLike) -> NDArray[Any]:
        """Return the values with these ordinals, in this format's dtype; 0 becomes +0."""
        number = np.asarray(ordinal, dtype=np.int64)
        sign_bit = np.uint64(1 << (8 * self.dtype.itemsize - 1))
        bits = np.abs(number).astype(np.uint64) | np.where(number < 0, sign_bit, np.uint64(0))
        return bits.astype(self.bits_dtype).view(self.dtype)

    def exactly(self, value: ArrayLike) -> NDArray[Any]:
        """Return the values in this format's dtype, unchanged.

        Raises:
            ValueError: a value is not a number of this format.
        """
        array = np.asarray(value)
        if array.dtype == self.dtype:
            return np.ascontiguousarray(array).reshape(array.shape)
        wide = array.astype(np.float64)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            narrow = wide.astype(self.dtype)
        if not np.array_equal(narrow.astype(np.float64), wide, equal_nan=True):
            raise ValueError(f"value is not exactly a {self.name}: {value!r}")
        return narrow

    def hex(self, value: Any) -> str:
        """Return one value as ``float.hex`` writes it; it reads back exactly in every format."""
        return float(value).hex()


FLOAT16 = Format("float16", 11, -14, 15)
BFLOAT16 = Format("bfloat16", 8, -126, 127)
FLOAT32 = Format("float32", 24, -126, 127)
FLOAT64 = Format("float64", 53, -1022, 1023)
FORMATS: dict[str, Format] = {f.name: f for f in (FLOAT16, BFLOAT16, FLOAT32, FLOAT64)}


def format_of(dtype: Any) -> Format:
    """Return the format of a dtype, a scalar type, a name or a ``Format``.

    Raises:
        TypeError: it is none of the four.
    """
    if isinstance(dtype, Format):
        return dtype
    name = dtype if isinstance(dtype, str) else None
    if name is None:
        try:
            name = np.dtype(dtype).name
        except TypeError:
            name = None
    if name is None or name not in FORMATS:
        raise TypeError(f"dtype is {dtype!r}; accepted are {', '.join(FORMATS)}")
    return FORMATS[name]

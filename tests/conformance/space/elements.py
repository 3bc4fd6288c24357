"""Elements of arrays as tests of the lattice see them."""

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array


def bits_of(values: Array) -> NDArray[np.uint64]:
    return values.view(f"uint{8 * values.dtype.itemsize}").astype(np.uint64)


def spoiled(value: Array, how: int) -> Array:
    """1.5 times the value and a quarter, or NaN; where that is the same number, NaN too."""
    with np.errstate(over="ignore"):
        off = (value.astype(np.float64) * 1.5 + 0.25).astype(value.dtype)
    return value * np.nan if how % 2 or off == value else off

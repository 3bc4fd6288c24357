"""Intervals of the logit: narrow where losses change, wide elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DENSE = (-2.0, 4.0)  # decades of |x| in which losses change: eight intervals each, else one
_PER_DECADE = 8


def interval(logits: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the interval of a logit, increasing with |x|; negative logits have odd ones."""
    with np.errstate(divide="ignore"):
        decade = np.log10(np.abs(logits))
    low, high = _DENSE
    decade = np.maximum(decade, -400.0)
    dense = np.clip(decade, low, high) * _PER_DECADE
    sparse = decade - np.clip(decade, low, high)
    number: NDArray[np.int64] = np.floor(dense + sparse + 1000).astype(np.int64)
    numbered: NDArray[np.int64] = 2 * number + (logits < 0)
    return numbered

"""Error maps: the largest ULP error seen over logit and soft target, by backend.

No input is evaluated for a map: like the curves, it is a by-product of judging unweighted
elementwise losses and gradients.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bce_conformance.results.model import ErrorMap
from bce_conformance.results.rounding import beside

_SIZES = tuple(round(10.0 ** (quarter / 4 - 2), 6) for quarter in range(21))
LOGITS = (*(-size for size in reversed(_SIZES)), *_SIZES)
"""Edges of the columns, ascending: four a decade of |x| from 0.01 to 1000, where losses change."""

_NEAR = (0.0, *(2.0**-power for power in (24, 12, 6, 5, 4, 3, 2)), 0.375)
TARGETS = (*_NEAR, 0.5, *(1 - target for target in reversed(_NEAR)))
"""Edges of the rows, ascending from 0 to 1: narrow at both ends, where a target is nearly hard."""

DIGITS = 4
"""Significant digits of an error that is kept, but near a bound: a map is looked at."""

_ROW = 1000  # numbers of one row of squares; more than there are columns

Key = tuple[str, str, str, str, str]
Points = Mapping[int, tuple[float, float]]


def square(logits: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the square of a logit and a target; −1 outside the map.

    A value on an edge belongs to the higher column or row, but to the last one at the end.
    """
    columns = np.searchsorted(LOGITS, logits, side="right") - 1
    columns = np.where(logits == LOGITS[-1], len(LOGITS) - 2, columns)
    rows = np.searchsorted(TARGETS, targets, side="right") - 1
    inside = (columns >= 0) & (columns < len(LOGITS) - 1) & (targets > 0) & (targets < 1)
    number: NDArray[np.int64] = np.where(inside, rows * _ROW + columns, -1).astype(np.int64)
    return number


def error_map(key: Key, points: Points) -> ErrorMap:
    """The map of numbered squares; ``key`` is backend, device, dtype, quantity and a name."""
    ulps: list[list[float | None]] = [
        [None] * (len(LOGITS) - 1) for _ in range(len(TARGETS) - 1)
    ]  # fmt: skip
    for number, (_, ulp) in points.items():
        ulps[number // _ROW][number % _ROW] = beside(ulp, DIGITS)
    return ErrorMap(*key[:4], LOGITS, TARGETS, tuple(map(tuple, ulps)))

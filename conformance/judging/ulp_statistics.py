"""Statistics of errors that come in pieces, in constant memory.

Guarantees the exact maximum, mean and share of correctly rounded results; the 99th percentile is
the upper edge of one of 64 intervals an octave, so that it is at most 1.1 % too large.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bce_conformance.results.cells import HISTOGRAM, UlpStatistics

_PER_OCTAVE = 64
_INFINITE = 1100 * _PER_OCTAVE  # the interval of infinitely wrong results; float64 ends at 2¹⁰²⁴
_ZERO = -_INFINITE  # that of exact ones
_SCALE = 2.0**-60  # of a sum of errors near the largest number, so that it does not overflow
_BOUNDS = [_PER_OCTAVE * int(np.log2(bound)) - _ZERO for bound in HISTOGRAM]  # ends of intervals


class ErrorStatistics:
    """Collects ULP errors."""

    def __init__(self) -> None:
        self._count = 0
        self._right = 0
        self._sum = 0.0
        self._max = self._drawn_max = 0.0
        self._intervals = np.zeros(2 * _INFINITE + 1, np.int64)

    def add(self, ulp: NDArray[np.float64], counts: NDArray[np.int64] | None = None) -> None:
        """Take in errors in units in the last place, none of them NaN.

        Args:
            ulp: the errors.
            counts: how often each occurred; None: once.
        """
        if not ulp.size:
            return
        self._count += ulp.size if counts is None else int(counts.sum())
        self._right += _count(ulp <= 0.5, counts)
        with np.errstate(over="ignore", divide="ignore"):
            scaled = ulp * _SCALE
            self._sum += float((scaled if counts is None else scaled * counts).sum())
            intervals = np.ceil(np.log2(ulp) * _PER_OCTAVE)
        self._drawn_max = max(self._drawn_max, float(ulp.max()))
        self._max = max(self._max, self._drawn_max)
        is_between = (intervals > _ZERO) & (intervals < _INFINITE)
        self._intervals[0] += _count(intervals <= _ZERO, counts)
        self._intervals[-1] += _count(intervals >= _INFINITE, counts)
        numbers = intervals[is_between].astype(np.int64) - _ZERO
        if numbers.size:  # they lie close together: most intervals are not looked at
            first = int(numbers.min())
            found = np.bincount(numbers - first, None if counts is None else counts[is_between])
            self._intervals[first : first + found.size] += found.astype(np.int64)

    def widen(self, ulp: NDArray[np.float64]) -> None:
        """Take in errors that were searched for: they say how large errors get, not how often."""
        self._max = max(self._max, float(ulp.max(initial=0.0)))

    def summary(self) -> UlpStatistics | None:
        """The statistics; None where there was no error to take in."""
        if not self._count:
            return None
        mean = min(self._sum / self._count / _SCALE, self._drawn_max)  # it may be rounded above
        right = self._right / self._count
        return UlpStatistics(self._max, self._percentile(0.99), mean, right, self._histogram())

    def _histogram(self) -> tuple[int, ...]:
        """The counts between the bounds of ``HISTOGRAM``, without the zeros at the end."""
        ends = [0, *(bound + 1 for bound in _BOUNDS), self._intervals.size - 1]
        counts = [int(self._intervals[low:high].sum()) for low, high in pairwise(ends)]
        counts.append(int(self._intervals[-1]))
        while counts and not counts[-1]:
            counts.pop()
        return tuple(counts)

    def _percentile(self, share: float) -> float:
        reached = np.cumsum(self._intervals) >= share * self._count
        number = int(np.argmax(reached)) + _ZERO
        if number in (_ZERO, _INFINITE):
            return 0.0 if number == _ZERO else float("inf")
        with np.errstate(over="ignore"):  # the edge of the last interval
            return float(min(np.exp2(number / _PER_OCTAVE), self._drawn_max))


def _count(chosen: NDArray[np.bool_], counts: NDArray[np.int64] | None) -> int:
    """How many errors are chosen, each as often as it occurred."""
    return int(np.count_nonzero(chosen) if counts is None else counts[chosen].sum())

"""Error curves: the largest ULP error seen in each interval of the logit, by backend.

No input is evaluated for a curve: it is a by-product of the judging of unweighted elementwise
losses and gradients, thinned to one point an interval so that it can be drawn. So are the maps over
logit and soft target, whose squares are numbered as the intervals of a curve are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.intervals import interval
from bce_conformance.results.model import Curve, ErrorMap

from .error_maps import error_map, square

_MAP = "map"  # the name of a map's squares, where a curve has that of its target
_QUANTITIES = ("loss", "grad_logits")

Key = tuple[str, str, str, str, str]
Point = tuple[float, float]
Points = dict[int, Point]  # by the number of the interval


class Curves:
    """Collects points (logit, largest ULP error) by backend, device, dtype, quantity and target."""

    def __init__(self) -> None:
        self._points: dict[Key, Points] = {}

    def add(
        self,
        backend: str,
        device: str,
        inputs: Inputs,
        quantity: str,
        ulp: NDArray[np.float64],
    ) -> None:
        """Add the errors of one judged array, flattened like the logits."""
        plain = inputs.weight is None and inputs.pos_weight is None and inputs.cotangent is None
        plain &= inputs.reduction == "none" and not inputs.mixed
        if quantity not in _QUANTITIES or not plain:
            return
        logits = inputs.logits.astype(np.float64).ravel()
        targets = inputs.targets.astype(np.float64).ravel()
        for name, chosen in (
            ("0", targets == 0),
            ("1", targets == 1),
            ("soft", (targets > 0) & (targets < 1)),
        ):
            chosen &= np.isfinite(logits)
            if chosen.any():
                key = (backend, device, inputs.format.name, quantity, name)
                points = self._points.setdefault(key, {})
                _merge(points, logits[chosen], ulp[chosen], interval(logits[chosen]))
        squares = square(logits, targets)
        chosen = squares >= 0
        if chosen.any():
            key = (backend, device, inputs.format.name, quantity, _MAP)
            points = self._points.setdefault(key, {})
            _merge(points, logits[chosen], ulp[chosen], squares[chosen])

    def take(self, others: Curves | Mapping[Key, Points]) -> dict[Key, Points]:
        """Take over the points of others that are the first, or have larger errors; return those.

        Points of one cell after the other give the same curves as all errors of those cells.
        """
        given = others._points if isinstance(others, Curves) else others
        taken = {key: _widen(self._points.setdefault(key, {}), more) for key, more in given.items()}
        return {key: points for key, points in taken.items() if points}

    def curves(self) -> tuple[Curve, ...]:
        """The curves, points in the order of the logit."""
        return tuple(
            Curve(*key, tuple(sorted(points.values())))
            for key, points in sorted(self._points.items())
            if key[-1] != _MAP
        )

    def maps(self) -> tuple[ErrorMap, ...]:
        """The maps of soft targets."""
        return tuple(
            error_map(key, points)
            for key, points in sorted(self._points.items())
            if key[-1] == _MAP
        )


def _merge(
    points: Points,
    logits: NDArray[np.float64],
    ulp: NDArray[np.float64],
    intervals: NDArray[np.int64],
) -> None:
    """Keep the largest error of each interval."""
    largest = np.full(intervals.max(initial=0) + 1, -1.0)
    np.maximum.at(largest, intervals, ulp)
    at_largest = np.flatnonzero(ulp == largest[intervals])
    _, first = np.unique(intervals[at_largest], return_index=True)
    chosen = at_largest[first]
    found = zip(logits[chosen].tolist(), ulp[chosen].tolist(), strict=True)
    _widen(points, dict(zip(intervals[chosen].tolist(), found, strict=True)))


def _widen(points: Points, others: Points) -> Points:
    """Take over the points with larger errors than those of their intervals; return them.

    Of points with the same error the one with the lesser logit stays, in whatever order they come.
    """
    taken = {
        number: (logit, error)
        for number, (logit, error) in others.items()
        if number not in points or (points[number][1], -points[number][0]) < (error, -logit)
    }
    points.update(taken)
    return taken

"""Error maps: every soft target is in its square, and what was not tried is in none."""

import math
from typing import Any

import numpy as np
import pytest

from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.judging.error_maps import LOGITS, TARGETS
from bce_conformance.reference import FLOAT64
from bce_conformance.reports.figures.heat import classed


def _curves(logits: Any, targets: Any, ulps: Any) -> Curves:
    curves = Curves()
    inputs = Inputs("soft", FLOAT64, np.array(logits, float), np.array(targets, float))
    curves.add("torch", "cpu", inputs, "loss", np.array(ulps, float))
    return curves


def _at(curves: Curves) -> dict[tuple[float, float], float]:
    """The lower edges of the squares that have an error."""
    (found,) = curves.maps()
    assert (found.logits, found.targets) == (LOGITS, TARGETS)
    assert len(found.ulps) == len(TARGETS) - 1
    return {
        (LOGITS[column], TARGETS[row]): ulp
        for row, errors in enumerate(found.ulps)
        for column, ulp in enumerate(errors)
        if ulp is not None
    }


def test_each_square_has_its_largest_error() -> None:
    curves = _curves([20, 30, 20, -1, 0], [0.6, 0.51, 0.7, 2.0**-30, 0.5], [3, 7.12345678, 1, 2, 9])
    assert _at(curves) == {
        (LOGITS[LOGITS.index(10) + 1], 0.5): 7.123,
        (LOGITS[LOGITS.index(10) + 1], 0.625): 1.0,
        (-1.0, 0.0): 2.0,
        (-0.01, 0.5): 9.0,
    }


@pytest.mark.parametrize("ulp", [0.50004, 0.99996, 4.0004, 1e6 + 1])
def test_rounding_moves_no_error_across_a_bound(ulp: float) -> None:
    (kept,) = _at(_curves([20], [0.6], [ulp])).values()
    assert kept == ulp
    assert classed(kept) == classed(ulp)


def test_hard_targets_and_far_logits_are_in_no_square() -> None:
    logits = [1.0, 1.0, 1001.0, -1e9, math.inf]
    assert _curves(logits, [0, 1, 0.5, 0.5, 0.5], np.ones(5)).maps() == ()


def test_the_ends_are_inside() -> None:
    curves = _curves([-1000, 1000], [0.5, np.nextafter(1, 0)], [1, math.inf])
    assert _at(curves) == {(-1000.0, 0.5): 1.0, (LOGITS[-2], TARGETS[-2]): math.inf}


def test_maps_are_taken_over_as_curves_are() -> None:
    whole = _curves([20, 20], [0.6, 0.6], [1, 5])
    parts = Curves()
    for ulp in (5, 1):
        parts.take(_curves([20], [0.6], [ulp]))
    assert parts.maps() == whole.maps()
    assert parts.curves() == whole.curves()
    assert [curve.target for curve in whole.curves()] == ["soft"]

"""Calls for a result that NaN or infinity in an operand does not spoil."""

import numpy as np
import pytest

from bce_conformance.backends.calls import DTYPES
from bce_conformance.conformance.judging.calls import expectations
from bce_conformance.conformance.space.drawing import draw
from bce_conformance.conformance.space.factors import FACTORS
from bce_conformance.conformance.space.rules import forbidden, space
from bce_conformance.conformance.space.spared import spared

NUMBER = {factor.name: i for i, factor in enumerate(FACTORS)}
ALL = [levels for dtype in DTYPES for levels in spared(dtype)]


def test_they_are_calls_of_the_space() -> None:
    rows = [[f.names.index(levels[f.name]) for f in FACTORS] for levels in ALL]
    assert len(space().rows(rows)) == len(rows)  # refuses a row with a forbidden pair
    for dtype in DTYPES:
        assert {levels["dtype"] for levels in spared(dtype)} == {dtype}


@pytest.mark.parametrize(
    ("operand", "value"),
    [("weight", "infinite"), ("pos_weight", "infinite"), ("pos_weight", "NaN"), ("targets", "NaN")],
)
def test_an_operand_that_spoils_meets_each_level(operand: str, value: str) -> None:
    own = NUMBER[operand], FACTORS[NUMBER[operand]].names.index(value)
    met = {(name, level) for each in ALL if each[operand] == value for name, level in each.items()}
    lacking = {
        (factor.name, level.name)
        for i, factor in enumerate(FACTORS)
        for j, level in enumerate(factor.levels)
        if factor.name not in (operand, "dtype") and (factor.name, level.name) not in met
        if (min(own, (i, j)), max(own, (i, j))) not in forbidden()
    }
    # A weight that is there has a format, and what is the weight's is not the targets'.
    assert {level for _, level in lacking} <= {"absent", "weight's"}


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_an_operand_spoils_and_a_result_is_left(dtype: str) -> None:
    left = 0
    for number, levels in enumerate(spared(dtype)):
        call = draw(levels, number)
        operands = [a for a in (call.weight, call.pos_weight, call.targets) if a is not None]
        if call.logits.size and "overlapping" not in levels.values():  # all may be one number
            assert not all(np.isfinite(a.astype(float)).all() for a in operands), levels
        results = expectations(call, cached=False).results.values()
        left += any(np.isfinite(r.truth.nearest.astype(float)).any() for r in results)
    assert left > 0.9 * len(spared(dtype))

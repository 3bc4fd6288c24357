"""Impostors that go wrong at a few logits only, where formulas change over."""

from collections.abc import Callable
from functools import partial

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.reference import FLOAT32
from tests.impostors.impostor import Values, declare, right

# Where a formula in float32 changes over: what e^−|x| passes there, and the |x|.
LIMITS = {
    "a_unit_roundoff": -np.log(FLOAT32.unit_roundoff),
    "half_a_unit_roundoff": -np.log(FLOAT32.unit_roundoff / 2),
    "the_smallest_normal": -np.log(FLOAT32.smallest_normal),
    "the_smallest_subnormal": -np.log(FLOAT32.smallest_subnormal),
    "half_the_smallest_subnormal": -np.log(FLOAT32.smallest_subnormal / 2),
    "the_inverse_of_the_largest": np.log(FLOAT32.largest_finite),
}


def spoiled(call: LossCall, wrong: Array) -> Values:
    """The right values, but at wrong logits: a thousandth and three subnormals off."""
    values, step = right(call), np.float32(3 * FLOAT32.smallest_subnormal)
    for quantity, value in values.items():
        if value.shape == wrong.shape:
            off = value * np.float32(1 + 2.0**-10) + step
            values[quantity] = np.where(wrong, off, value)
    return values


def _near(limit: float, least: float, most: float) -> Callable[[LossCall], Values]:
    """Wrong where | |x| − limit | lies between ``least`` and ``most``."""

    def change(call: LossCall) -> Values:
        distance = np.abs(np.abs(call.logits.astype(np.float64)) - limit)
        return spoiled(call, (distance >= least) & (distance <= most))

    return change


def _at(logit: float) -> Callable[[LossCall], Values]:
    """Wrong at one logit, and for its own sign of zero."""

    def change(call: LossCall) -> Values:
        same = (call.logits == logit) & (np.signbit(call.logits) == np.signbit(logit))
        return spoiled(call, same)

    return change


for _name, _limit in LIMITS.items():
    _ulp = float(FLOAT32.ulp(_limit))
    declare(
        f"edge_at_{_name}",
        f"Goes wrong within three ulps of where e^−|x| is {_name.replace('_', ' ')}.",
        __name__,
        partial(_near, _limit, 0, 3 * _ulp),
    )
_LIMIT = LIMITS["a_unit_roundoff"]
declare(
    "beside_the_edge",
    "Goes wrong at a distance of about 2⁻¹⁰ from where e^−|x| is a unit roundoff.",
    __name__,
    partial(_near, _LIMIT, 0.9 * 2.0**-10, 1.1 * 2.0**-10),
)
for _name, _logit in {"zero": 0.0, "minus_zero": -0.0, "one": 1.0, "minus_one": -1.0}.items():
    declare(
        f"edge_at_{_name}",
        f"Takes both sides of a branch for the logit {_name.replace('_', ' ')}.",
        __name__,
        partial(_at, _logit),
    )

"""NaN and infinities among special values: no wrong element of them passes."""

from functools import cache
from math import prod

import numpy as np
import pytest

from bce_conformance.backends.calls import LossCall, LossResult
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.inputs.sampler import Builder, Sampler
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.conformance.space.lattice import (
    WEIGHTED,
    axis,
    contains,
    infinite_factors,
    infinite_logits_with_cotangent,
    infinite_logits_with_tangent,
    nan_among,
)
from bce_conformance.conformance.space.special_values import Depth
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import FORMATS, Format
from tests.conformance.space.elements import bits_of, spoiled
from tests.impostors.recording import checks

QUANTITIES = tuple(WEIGHTED)
SEED = 20

each_format = pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda f: f.name)
each_quantity = pytest.mark.parametrize("quantity", QUANTITIES)


NAN = {
    "LAT-8": ("loss", "grad_logits"),
    "LAT-9": ("grad_targets", "grad_weight", "grad_pos_weight"),
    "LAT-10": ("jvp_logits",),
    "LAT-11": ("hvp_logits",),
}


class Broken:
    """Answers with NaN where an operand of the formula is NaN, but for one element; else with 0."""

    def __init__(self, wrong: tuple[str, int] | None) -> None:
        self._wrong = wrong

    def evaluate(self, call: LossCall) -> LossResult:
        found = {}
        for quantity in call.quantities:
            nan = np.zeros(call.logits.shape, bool)
            for operand in contains(quantity):
                nan |= np.isnan(getattr(call, operand))
            value = np.where(nan, np.nan, 0).astype(call.logits.dtype)
            if self._wrong is not None and self._wrong[0] == quantity:
                value[np.flatnonzero(nan)[self._wrong[1]]] = 0
            found[quantity] = value
        return LossResult(found)


def nan_verdict(identifier: str, dtype: str, wrong: tuple[str, int] | None) -> str:
    requirement, pools = requirements()[identifier], PoolStore(0, TIERS["quick"])
    process = Broken(wrong)
    subject = Subject(process, "broken", "cpu", FORMATS[dtype], requirement, pools, Curves())
    checks()[identifier](subject)
    return subject.kept.verdict()


@each_format
@pytest.mark.parametrize("identifier", NAN)
def test_one_number_for_nan_fails(identifier: str, format_: Format) -> None:
    assert nan_verdict(identifier, format_.name, None) == "AAA"
    random = np.random.default_rng(SEED)
    for quantity in NAN[identifier]:
        for index in (0, -1, int(random.integers(5_000))):
            assert nan_verdict(identifier, format_.name, (quantity, index)) == "fails"


def test_what_the_formula_of_a_quantity_contains() -> None:
    for quantity in QUANTITIES:
        beside = {"logits", "targets", "weight", "pos_weight"} - set(contains(quantity))
        assert beside == {quantity.removeprefix("grad_")} & {"targets", "weight", "pos_weight"}


@each_format
@pytest.mark.parametrize("direction", ["cotangent", "tangent"])
def test_nan_meets_every_special_value(format_: Format, direction: str) -> None:
    """Each operand is NaN beside every combination of the others' values."""
    inputs = nan_among(format_, direction)
    nan = {operand: np.isnan(row) for operand, row in inputs.rows().items()}
    assert np.logical_or.reduce(list(nan.values())).all()
    sizes = {operand: len(np.unique(bits_of(row))) for operand, row in inputs.rows().items()}
    product = prod(sizes.values())
    assert inputs.logits.size == product - prod(size - 1 for size in sizes.values())
    for operand, is_nan in nan.items():
        assert is_nan.sum() == product // sizes[operand]


# --- infinity ------------------------------------------------------------------------------------

OTHERS = ("grad_targets", "grad_weight", "grad_pos_weight")
INFINITE = {
    "LAT-12": (infinite_logits_with_cotangent, ("loss", "grad_logits")),
    "LAT-13": (infinite_logits_with_cotangent, OTHERS),
    "LAT-14": (infinite_logits_with_tangent, ("jvp_logits",)),
    "LAT-15": (infinite_logits_with_tangent, ("hvp_logits",)),
    "LAT-16": (infinite_factors, ("loss", "grad_logits")),
    "LAT-17": (infinite_factors, OTHERS),
}


@cache
def infinite(dtype: str, builder: Builder) -> Inputs:
    return builder(Sampler(FORMATS[dtype], builder.name, 0, 1))


class Extended:
    """Answers with what extended arithmetic gives, but for one element."""

    def __init__(self, inputs: Inputs, wrong: tuple[str, int] | None) -> None:
        self._inputs, self._wrong = inputs, wrong

    def evaluate(self, call: LossCall) -> LossResult:
        found = {q: self._inputs.truth(q).nearest.copy() for q in call.quantities}
        if self._wrong is not None:
            quantity, index = self._wrong
            value = found[quantity][index]
            found[quantity][index] = 1 if np.isnan(value) else spoiled(value, index)
        return LossResult(found)


def infinite_verdict(identifier: str, dtype: str, wrong: tuple[str, int] | None) -> str:
    requirement, pools = requirements()[identifier], PoolStore(0, TIERS["quick"])
    process = Extended(infinite(dtype, INFINITE[identifier][0]), wrong)
    subject = Subject(process, "extended", "cpu", FORMATS[dtype], requirement, pools, Curves())
    checks()[identifier](subject)
    return subject.kept.verdict()


@each_format
@pytest.mark.parametrize("identifier", INFINITE)
def test_one_wrong_value_at_infinity_is_noticed(identifier: str, format_: Format) -> None:
    assert infinite_verdict(identifier, format_.name, None) == "AAA"
    random = np.random.default_rng(SEED)
    builder, quantities = INFINITE[identifier]
    size = infinite(format_.name, builder).logits.size
    for quantity in quantities:
        for index in (0, int(random.integers(size))):
            assert infinite_verdict(identifier, format_.name, (quantity, index)) != "AAA"


def sizes_of(inputs: Inputs) -> dict[str, int]:
    return {operand: len(np.unique(bits_of(row))) for operand, row in inputs.rows().items()}


@each_format
@pytest.mark.parametrize("builder", [infinite_logits_with_cotangent, infinite_logits_with_tangent])
def test_infinite_logits_meet_every_special_value(format_: Format, builder: Builder) -> None:
    inputs = infinite(format_.name, builder)
    direction = builder.name.rpartition(" ")[2]
    depths = {"targets": Depth.MANY, "weight": Depth.MANY, "pos_weight": Depth.MANY}
    depths[direction] = Depth.FEW
    points = {operand: len(axis(operand, format_, depth)) for operand, depth in depths.items()}
    assert sizes_of(inputs) == {"logits": 2, **points}
    assert inputs.logits.size == prod(sizes_of(inputs).values())
    assert np.isinf(inputs.logits).all()


@each_format
def test_infinite_factors_meet_every_special_value(format_: Format) -> None:
    inputs = infinite(format_.name, infinite_factors)
    factors = {operand: inputs.rows()[operand] for operand in ("weight", "pos_weight", "cotangent")}
    assert np.logical_or.reduce([np.isinf(factor) for factor in factors.values()]).all()
    sizes = sizes_of(inputs)
    finite = {name: len(np.unique(factor[np.isfinite(factor)])) for name, factor in factors.items()}
    assert {name: sizes[name] - finite[name] for name in factors} == {
        "weight": 2,
        "pos_weight": 1,
        "cotangent": 2,
    }
    others = sizes["logits"] * sizes["targets"]
    assert np.isinf(inputs.logits).any()
    assert inputs.logits.size == others * (
        prod(sizes[name] for name in factors) - prod(finite.values())
    )

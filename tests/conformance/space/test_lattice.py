"""The lattice of special values: a full product of listed values, no wrong element of which passes.

Elements are made wrong one by one in results that are right, of all formats and quantities.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import prod

import numpy as np
import pytest
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array, LossCall, LossResult
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.inputs.sampler import Builder, Sampler
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.judging.judge import judge
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.conformance.space.lattice import (
    LISTS,
    UNWEIGHTED,
    WEIGHTED,
    Axes,
    axis,
    lattice,
    lattices,
)
from bce_conformance.conformance.space.special_values import BALANCES, Depth, rounded, values
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import FLOAT16, FLOAT32, FORMATS, Format
from bce_conformance.results.cells import Level
from tests.conformance.space.elements import bits_of, spoiled
from tests.impostors.recording import checks

QUANTITIES = tuple(WEIGHTED)
DENSITY = TIERS["default"].lattice
MOST = 300_000  # elements of a lattice in the default tier
PLANTED = 200
SEED = 20

each_format = pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda f: f.name)
each_quantity = pytest.mark.parametrize("quantity", QUANTITIES)


def distinct_rows(operands: list[Array]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct combinations, and how often each occurs."""
    table = np.stack([bits_of(operand) for operand in operands], axis=1)
    return np.unique(table, axis=0, return_counts=True)


# --- a full product ------------------------------------------------------------------------------


@each_format
@each_quantity
@pytest.mark.parametrize("axes", [WEIGHTED, UNWEIGHTED], ids=["weighted", "unweighted"])
def test_every_combination_occurs_with_every_target(
    format_: Format, quantity: str, axes: dict[str, Axes]
) -> None:
    inputs = lattice(format_, axes[quantity], 0)
    depths = {operand: depth[0] for operand, depth in axes[quantity].items()}
    points = {operand: axis(operand, format_, depth) for operand, depth in depths.items()}
    constant, balances = (
        points.pop("targets"),
        [b for b in BALANCES if b.depth <= depths["targets"]],
    )
    others = prod(len(found) for found in points.values())
    assert inputs.logits.shape == (others * (len(constant) + len(balances)),)
    assert inputs.exhaustive
    assert inputs.given().keys() == depths.keys()
    assert {operand.shape for operand in inputs.given().values()} == {inputs.logits.shape}
    rows, counts = distinct_rows([inputs.rows()[operand] for operand in points])
    assert len(rows) == others
    assert set(counts.tolist()) == {len(constant) + len(balances)}
    for target in constant:
        at = np.flatnonzero(bits_of(inputs.targets) == bits_of(target[None]))
        found, _ = distinct_rows([inputs.rows()[operand][at] for operand in points])
        assert len(found) == others, float(target)


@each_format
@each_quantity
def test_the_default_tier_tries_many_and_not_too_many(format_: Format, quantity: str) -> None:
    size = lattice(format_, WEIGHTED[quantity], DENSITY).logits.size
    assert 100_000 < size <= MOST


@each_format
@pytest.mark.parametrize("operand", LISTS)
def test_every_listed_value_is_tried_with_both_signs_of_logits(
    format_: Format, operand: str
) -> None:
    deepest = max(axes[operand][2] for axes in WEIGHTED.values() if operand in axes)
    found = set(bits_of(axis(operand, format_, deepest)).tolist())
    for special in LISTS[operand]:
        listed = rounded(special.within(format_), format_)
        if special.depth <= deepest:
            assert set(bits_of(listed).tolist()) <= found, special.why
            assert operand != "logits" or set(bits_of(-listed).tolist()) <= found, special.why
        assert special.why
    assert not np.isnan(axis(operand, format_, Depth.DENSE).astype(np.float64)).any()


@each_format
@pytest.mark.parametrize("operand", LISTS)
def test_values_are_distinct_and_those_of_a_lesser_depth_stay(
    format_: Format, operand: str
) -> None:
    sets = []
    for depth in Depth:
        found = bits_of(axis(operand, format_, depth)).tolist()
        assert len(found) == len(set(found)) > 0
        sets.append(set(found))
    assert all(less < more for less, more in pairwise(sets))


def test_a_greater_density_tries_all_that_a_lesser_one_tries() -> None:
    for axes in (*WEIGHTED.values(), *UNWEIGHTED.values()):
        assert all(list(depths) == sorted(depths) for depths in axes.values())
    densities = [tier.lattice for tier in TIERS.values()]
    assert densities == sorted(densities) == [0, 1, 2]


def test_a_threshold_that_rounds_to_a_number_of_the_list_appears_once() -> None:
    """In float16 7.625 is where e⁻ˣ passes u, 2⁻¹¹; float32 has two numbers more near it."""
    assert np.count_nonzero(axis("logits", FLOAT16, Depth.MANY) == 7.625) == 1
    assert len(values(LISTS["logits"], FLOAT16, Depth.MANY)) < len(
        values(LISTS["logits"], FLOAT32, Depth.MANY)
    )


@each_format
def test_balanced_targets_balance(format_: Format) -> None:
    """y at σ(x), p·y = 1 − y, and the gradient with pos_weight, each to within a rounding of y."""
    inputs = lattice(format_, WEIGHTED["loss"], DENSITY)
    x, y, p = (
        operand.astype(np.float64) for operand in (inputs.logits, inputs.targets, inputs.pos_weight)
    )
    with np.errstate(over="ignore"):
        near = {"σ(x)": 1 / (1 + np.exp(-x)), "1/(1 + p)": 1 / (1 + p)}
    for name, target in near.items():
        pairs = np.stack([x, p], axis=1)[np.abs(y - target) <= 2 * format_.unit_roundoff * target]
        finite = np.isfinite(x) & (target > format_.smallest_normal)
        wanted = np.stack([x, p], axis=1)[finite]
        missing = set(map(tuple, wanted.tolist())) - set(map(tuple, pairs.tolist()))
        assert not missing, name
    assert (y >= 0).all()
    assert (y <= 1).all()
    exact = (p == 3) & (y == 0.25) & (x == 0)
    assert exact.any()


# --- no wrong element passes ---------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """One element of a lattice."""

    dtype: str
    quantity: str
    weighted: bool
    index: int


def builder_of(quantity: str, weighted: bool, density: int) -> Builder:
    return lattices(quantity, density)[0 if weighted else 1]


@cache
def inputs_of(dtype: str, quantity: str, weighted: bool, density: int) -> Inputs:
    builder = builder_of(quantity, weighted, density)
    return builder(Sampler(FORMATS[dtype], builder.name, 0, 1))


def places(count: int, density: int) -> list[Place]:
    """Elements at random over formats and quantities; one in ten of those without weights."""
    random = np.random.default_rng(SEED)
    found = []
    for number in range(count):
        dtype, quantity = random.choice([*FORMATS]), random.choice(QUANTITIES)
        size = inputs_of(str(dtype), str(quantity), number % 10 > 0, density).logits.size
        index = int(random.integers(size))
        found.append(Place(str(dtype), str(quantity), number % 10 > 0, index))
    return found


def judged_with_one_wrong(density: int, count: int) -> list[Place]:
    """Places at which a wrong value alone is not noticed."""
    missed = []
    for number, place in enumerate(places(count, density)):
        inputs = inputs_of(place.dtype, place.quantity, place.weighted, density)
        truth, format_ = inputs.truth(place.quantity), FORMATS[place.dtype]
        got = truth.nearest.copy()
        got[place.index] = spoiled(got[place.index], number)
        judgement = judge(got, truth, format_, inputs.bounds(place.quantity))
        wrong = np.flatnonzero(judgement.levels < Level.AAA).tolist()
        missed += [place] if wrong != [place.index] else []
    return missed


def test_single_wrong_elements_of_the_quick_tier_are_all_caught() -> None:
    assert judged_with_one_wrong(TIERS["quick"].lattice, PLANTED) == []


@pytest.mark.slow
def test_single_wrong_elements_of_the_default_tier_are_all_caught() -> None:
    assert judged_with_one_wrong(DENSITY, PLANTED) == []


class Recorded:
    """Answers with the correctly rounded values, but for one element."""

    def __init__(self, dtype: str, quantity: str, wrong: tuple[bool, int] | None) -> None:
        self.asked: list[LossCall] = []
        self._dtype, self._quantity, self._wrong = dtype, quantity, wrong

    def evaluate(self, call: LossCall) -> LossResult:
        weighted = call.weight is not None and call.pos_weight is not None
        self.asked.append(call)
        inputs = inputs_of(self._dtype, self._quantity, weighted, 0)
        value = inputs.truth(self._quantity).nearest.copy()
        if self._wrong is not None and self._wrong[0] == weighted:
            value[self._wrong[1]] = spoiled(value[self._wrong[1]], self._wrong[1])
        return LossResult({self._quantity: value})


def verdict(number: int, dtype: str, wrong: tuple[bool, int] | None) -> tuple[str, Recorded]:
    requirement = requirements()[f"LAT-{number + 1}"]
    process, pools = Recorded(dtype, QUANTITIES[number], wrong), PoolStore(0, TIERS["quick"])
    subject = Subject(process, "recorded", "cpu", FORMATS[dtype], requirement, pools, Curves())
    checks()[requirement.id](subject)
    assert subject.kept.evidence() == "exhaustive"
    return subject.kept.verdict(), process


@each_format
@pytest.mark.parametrize("number", range(len(QUANTITIES)), ids=QUANTITIES)
def test_each_requirement_fails_for_one_wrong_element_and_for_none_else(
    number: int, format_: Format
) -> None:
    right, process = verdict(number, format_.name, None)
    assert right == "AAA"
    assert [call.weight is not None and call.pos_weight is not None for call in process.asked] == [
        True,
        False,
    ]
    for weighted in (True, False):
        size = inputs_of(format_.name, QUANTITIES[number], weighted, 0).logits.size
        for index in (0, size // 3, size - 1):
            assert verdict(number, format_.name, (weighted, index))[0] != "AAA"


# --- NaN -----------------------------------------------------------------------------------------

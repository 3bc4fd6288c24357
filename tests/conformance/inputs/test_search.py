"""A search finds what draws miss, and stays within what its pool draws."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends import LossCall, LossResult
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.pools import PoolStore
from bce_conformance.conformance.inputs.sampler import POOL_SIZE, Sampler, drawn
from bce_conformance.conformance.inputs.search import PARENTS, can_search, near
from bce_conformance.conformance.judging.error_curves import Curves
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.tiers import TIERS, Tier
from bce_conformance.reference import FLOAT32, FORMATS, Format, ground_truth
from bce_conformance.results.cells import Witness

PEAK = 2.758182
QUICK = TIERS["quick"]

by_format = pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda f: f.name)


@drawn("test_search.pool")
def pool(s: Sampler) -> Inputs:
    logits = s.signed(s.cast(s.log_uniform(0.5, 16)))
    targets = s.any_target()
    return s.inputs("pool", logits, targets, weight=s.positive(0.25, 4.0))


def pool_of(format_: Format = FLOAT32) -> Inputs:
    return PoolStore(0, TIERS["quick"]).get(pool, format_)


def rounds(inputs: Inputs, severity, count: int) -> Inputs:
    random = np.random.default_rng(0)
    for _ in range(count):
        inputs = near(inputs, severity(inputs), random)
    return inputs


@by_format
def test_neighbours_are_what_the_pool_could_have_drawn(format_: Format) -> None:
    inputs = pool_of(format_)
    found = rounds(inputs, lambda i: np.abs(i.logits.astype(np.float64)), 3)
    assert found.source is not None
    assert (found.source.near, found.source.lasting) == (True, False)
    for name, operand in found.rows().items():
        before = inputs.rows()[name]
        assert operand.dtype == format_.dtype
        assert operand.shape == (POOL_SIZE,)
        sizes, drawn_sizes = np.abs(operand), np.abs(before)
        assert (sizes >= drawn_sizes.min()).all()
        assert (sizes <= drawn_sizes.max()).all()
    assert found.weight is not None
    assert (found.weight > 0).all()
    assert set(np.unique(np.sign(found.logits.astype(np.float64)))) == {-1, 1}
    hard = np.isin(found.targets.astype(np.float64), (0, 1)).mean()
    assert 0.2 < hard < 0.8  # they stay hard


def test_signs_and_hard_targets_stay() -> None:
    @drawn("test_search.negative")
    def negative(s: Sampler) -> Inputs:
        return s.inputs("x < 0", -s.cast(s.log_uniform(0.5, 16)), s.hard())

    inputs = PoolStore(0, QUICK).get(negative, FLOAT32)
    found = rounds(inputs, lambda i: np.abs(i.logits.astype(np.float64)), 3)
    assert (found.logits < 0).all()
    assert set(np.unique(found.targets)) == {0, 1}


def test_the_worst_elements_stay() -> None:
    inputs = pool_of()
    severity = np.random.default_rng(1).permutation(inputs.logits.size).astype(np.float64)
    worst = np.argsort(-severity)[: PARENTS // 2]
    found = near(inputs, severity, np.random.default_rng(0))
    assert np.isin(inputs.logits[worst], found.logits[:PARENTS]).all()


def test_places_that_are_less_bad_are_looked_at_too() -> None:
    """Half of the parents are chosen by where they lie: no single peak takes all."""
    inputs = pool_of()
    severity = (inputs.logits > 8).astype(np.float64)
    found = near(inputs, severity, np.random.default_rng(0))
    for low, high in ((0.5, 1), (1, 2), (-2, -1), (-16, -8)):
        assert ((found.logits > low) & (found.logits < high)).any()


def test_a_search_climbs_a_peak_that_draws_miss() -> None:
    """The error is largest within 2⁻²⁰ of a logit, and grows towards it from 2⁻⁶ on."""

    def severity(inputs: Inputs) -> np.ndarray:
        distance = np.abs(inputs.logits.astype(np.float64) - PEAK)
        return -np.log2(np.maximum(distance, 2.0**-20))

    draws = [PoolStore(seed, TIERS["default"]).get(pool, FLOAT32) for seed in range(3)]
    assert max(severity(inputs).max() for inputs in draws) < 18
    assert severity(rounds(pool_of(), severity, 4)).max() == 20


def test_only_finite_elements_of_a_pool_are_searched() -> None:
    inputs = pool_of()
    assert can_search(inputs)
    assert not can_search(replace(inputs, source=None))
    assert not can_search(replace(inputs, exhaustive=True))
    logits = inputs.logits.copy()
    logits[0] = np.inf
    assert not can_search(replace(inputs, logits=logits))


# --- in a cell -----------------------------------------------------------------------------------


class WrongAtThePeak:
    """Losses that are off by one ulp more for every three octaves that the logit is nearer."""

    def evaluate(self, call: LossCall) -> LossResult:
        right = ground_truth(call.logits, call.targets, call.weight, cached=False).nearest
        distance = np.abs(call.logits.astype(np.float64) - PEAK)
        octaves = np.maximum(0, -np.log2(np.maximum(distance, 2.0**-18)))
        off = np.floor(octaves / 3).astype(np.int64)
        return LossResult({"loss": FLOAT32.from_ordinal(FLOAT32.ordinal(right) + off)})


def cell(
    tier: Tier, seed: int = 0, witnesses: Iterable[Witness] = (), found: Iterable[Witness] = ()
) -> Subject:
    pools = PoolStore(seed, tier, witnesses, found=found)
    asked = requirements()["VAL-10"]
    subject = Subject(WrongAtThePeak(), "fake", "cpu", FLOAT32, asked, pools, Curves())
    subject.judge(subject.pool(pool))
    return subject


def test_what_a_search_finds_is_found_by_every_run_that_has_its_witness() -> None:
    plain, searched = cell(QUICK), cell(replace(QUICK, search_rounds=6))
    assert (plain.kept.verdict(), searched.kept.verdict()) == ("AA", "A")
    assert searched.kept.tried == plain.kept.tried + 6 * POOL_SIZE
    witness = searched.kept.witness()
    assert witness is not None
    logit = float.fromhex(dict(witness.element)["logits"])
    assert abs(logit - PEAK) < 2.0**-11
    for seed in range(3):
        again = cell(QUICK, seed, [witness])
        assert again.kept.verdict() == "A"
        assert again.kept.witness() is None  # nothing new
        hunted = cell(QUICK, seed, found=[witness])
        assert (hunted.kept.verdict(), hunted.kept.witness()) == ("A", witness)  # to be entered


def test_what_fails_in_every_run_needs_no_witness() -> None:
    searched = cell(replace(QUICK, search_rounds=6))
    assert searched.kept.witness() is not None
    searched.require(False, "an error is due")
    assert searched.kept.witness() is None


def test_a_search_says_how_large_errors_get_but_not_how_often() -> None:
    plain = cell(QUICK).kept.statistics()
    searched = cell(replace(QUICK, search_rounds=6)).kept.statistics()
    assert plain is not None
    assert searched is not None
    assert searched.max > plain.max
    assert replace(searched, max=0) == replace(plain, max=0)


def test_nothing_is_searched_where_nothing_worse_can_be_found() -> None:
    class Wrong:
        def evaluate(self, call: LossCall) -> LossResult:
            return LossResult({"loss": np.full_like(call.logits, np.nan)})

    pools = PoolStore(0, replace(QUICK, search_rounds=6))
    asked = requirements()["VAL-10"]
    subject = Subject(Wrong(), "fake", "cpu", FLOAT32, asked, pools, Curves())
    subject.judge(subject.pool(pool))
    assert (subject.kept.verdict(), subject.kept.tried) == ("fails", 2 * POOL_SIZE)

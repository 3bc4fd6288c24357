"""The samplers: exact in their format, reproducible, and where they should be dense."""

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from bce_conformance.conformance.inputs import (
    POOL_SIZE,
    Inputs,
    PoolStore,
    Sampler,
    every_finite_pattern,
    repeated,
)
from bce_conformance.conformance.judge import bounds_for
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reference import BFLOAT16, FLOAT16, FLOAT32, FORMATS, Format, ground_truth

FORMAT_LIST = list(FORMATS.values())
SIZE = 1000

by_format = pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)


def sampler(format_: Format, name: str = "test", seed: int = 0) -> Sampler:
    return Sampler(format_, name, seed, SIZE)


METHODS = (
    "tail",
    "huge",
    "tiny",
    "every_magnitude",
    "hard",
    "soft",
    "nearly_hard",
    "any_target",
    "positive",
    "cotangent",
    "fragile",
    "diverse",
    "divisive",
)


@by_format
@pytest.mark.parametrize("method", METHODS)
def test_draws_are_finite_sized_reproducible_and_depend_on_seed_and_name(
    format_: Format, method: str
) -> None:
    draw = getattr(sampler(format_), method)()
    assert draw.shape == (SIZE,)
    assert draw.dtype == format_.dtype
    assert np.isfinite(draw.astype(np.float64)).all()
    assert np.array_equal(draw, getattr(sampler(format_), method)())
    assert not np.array_equal(draw, getattr(sampler(format_, seed=1), method)())
    assert not np.array_equal(draw, getattr(sampler(format_, name="other"), method)())


@by_format
def test_tails_reach_below_the_smallest_subnormal(format_: Format) -> None:
    tail = sampler(format_).tail().astype(np.float64)
    assert tail.min() >= 1
    exponentials = np.exp(-tail.astype(np.longdouble))
    subnormal = (exponentials < format_.smallest_normal) & (
        exponentials > format_.smallest_subnormal
    )
    assert subnormal.sum() >= 10
    assert (exponentials < np.longdouble(format_.smallest_subnormal) / 2).any()
    near = np.abs(exponentials / format_.unit_roundoff - 1) < 0.5
    assert near.sum() >= 5


@by_format
def test_exponentials_of_fragile_logits_lie_between_two_numbers(format_: Format) -> None:
    logits = sampler(format_).fragile().astype(np.float64)
    assert logits.min() >= -4
    assert logits.max() <= 1
    with mpmath.workprec(200):
        exact = [mpmath.exp(-mpmath.mpf(x)) for x in logits]
        units = format_.ulp([float(e) for e in exact])
        fractions = [float(e / mpmath.mpf(u) % 1) for e, u in zip(exact, units, strict=True)]
    np.testing.assert_allclose(fractions, 0.5, atol=1 / 32)


@by_format
def test_huge_and_tiny_hold_their_edges(format_: Format) -> None:
    s = sampler(format_)
    huge, tiny = s.huge().astype(np.float64), s.tiny().astype(np.float64)
    assert huge.max() == format_.largest_finite
    assert (np.exp(-huge.astype(np.longdouble)) < format_.smallest_subnormal).all()
    assert {0.0, format_.smallest_subnormal} <= set(np.abs(tiny))
    assert np.signbit(tiny[tiny == 0]).any()
    assert not np.signbit(tiny[tiny == 0]).all()
    assert ((np.abs(tiny) < format_.smallest_normal) & (tiny != 0)).sum() > SIZE // 10
    assert np.abs(tiny).max() <= format_.unit_roundoff


@by_format
def test_targets_lie_where_they_should(format_: Format) -> None:
    s = sampler(format_)
    assert set(s.hard().astype(np.float64)) == {0.0, 1.0}
    soft = s.soft().astype(np.float64)
    assert soft.min() > 0
    assert soft.max() < 1
    near = s.nearly_hard().astype(np.float64)
    distance = np.minimum(near, 1 - near)
    assert distance.min() > 0
    assert distance.max() <= 0.1 + format_.unit_roundoff
    assert 1 - format_.unit_roundoff in near
    kinds = s.any_target().astype(np.float64)
    for share in (kinds == 0, kinds == 1, (kinds > 0.2) & (kinds < 0.8)):
        assert share.mean() > 0.1


@by_format
def test_balanced_targets_nearly_cancel_the_gradient(format_: Format) -> None:
    s = sampler(format_)
    logits = s.signed(s.cast(s.uniform(0, 8)))
    targets = s.balanced(logits)
    truth = ground_truth(logits, targets, quantity="grad_logits", dtype=format_.name)
    assert (np.abs(truth.nearest.astype(np.float64)) < 16 * format_.unit_roundoff).mean() > 0.9


@pytest.mark.parametrize(("format_", "count"), [(FLOAT16, 63488), (BFLOAT16, 65280)])
def test_every_finite_pattern_is_every_finite_pattern(format_: Format, count: int) -> None:
    patterns = every_finite_pattern(format_)
    assert len(set(patterns.view(np.uint16).tolist())) == patterns.size == count
    assert np.isfinite(patterns.astype(np.float64)).all()


def test_fill_refuses_more_curated_values_than_there_is_room_for() -> None:
    with pytest.raises(ValueError, match="curated has 1001 values, size is 1000"):
        sampler(FLOAT32).fill(np.zeros(1001), random=np.zeros(0))


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_repeated_knows_the_truth_of_all_its_elements(reduction: str) -> None:
    s = sampler(FLOAT32)
    base = s.inputs("x", s.cast(s.uniform(-4, 4))[:50], s.soft()[:50], reduction=reduction)
    inputs = repeated(base, 7)
    assert inputs.logits.shape == (350,)
    right = ground_truth(inputs.logits, inputs.targets, reduction=reduction, dtype="float32")
    assert inputs.truth("loss").nearest == right.nearest
    assert inputs.truth("loss").offset == pytest.approx(right.offset)
    bounds = bounds_for(inputs.call(), "loss")
    assert inputs.bounds("loss").scale == pytest.approx(bounds.scale)
    assert inputs.bounds("loss").terms == bounds.terms


def test_the_store_builds_once_and_forgets_the_oldest() -> None:
    built = []

    def builder(s: Sampler) -> Inputs:
        built.append(s.format.name)
        return s.inputs("x", s.hard(), s.hard())

    store = PoolStore(0, TIERS["quick"], keep=1)
    first = store.get(builder, "x", FLOAT32)
    assert store.get(builder, "x", FLOAT32) is first
    store.get(builder, "x", FLOAT16)
    store.get(builder, "x", FLOAT32)
    draws = sum(TIERS["quick"].pool_draws)
    assert built == ["float32"] * draws + ["float16"] * draws + ["float32"] * draws


def row(s: Sampler) -> Inputs:
    logits = s.signed(s.cast(s.uniform(0, 4)))
    return s.inputs("row", logits, s.soft(), cotangent=s.cast(np.array(2.0)), tangent=s.cotangent())


def elements(inputs: Inputs) -> set[float]:
    return set(inputs.logits.tolist())


@pytest.mark.parametrize("tier", TIERS.values(), ids=lambda tier: tier.name)
def test_a_pool_has_draws_that_are_the_same_for_every_seed_and_draws_that_are_not(tier) -> None:
    fixed, seeded = tier.pool_draws
    one, other = (PoolStore(seed, tier).get(row, "row", FLOAT32) for seed in (0, 1))
    for name in ("logits", "targets", "tangent"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.shape == second.shape == ((fixed + seeded) * POOL_SIZE,)
        same = first == second
        assert same[: fixed * POOL_SIZE].all()
        assert same[fixed * POOL_SIZE :].mean() < 0.01
    assert one.cotangent is not None
    assert one.cotangent.shape == ()
    assert len(elements(one)) > (fixed + seeded) * POOL_SIZE * 0.9


def test_what_a_smaller_tier_draws_a_larger_one_draws_too() -> None:
    tiers = [TIERS[name] for name in ("quick", "default")]
    small, large = (PoolStore(3, tier) for tier in tiers)
    assert elements(small.get(row, "row", FLOAT32)) < elements(large.get(row, "row", FLOAT32))
    few, many = (store.draws(row, "row", FLOAT32) for store in (small, large))
    assert len(few) == sum(tiers[0].sum_draws) < len(many)
    assert all(any(np.array_equal(a.logits, b.logits) for b in many) for a in few)
    (only,) = large.draws(row, "row", FLOAT32, only=1)
    assert np.array_equal(only.logits, many[0].logits)


@pytest.mark.parametrize("tier", TIERS.values(), ids=lambda tier: tier.name)
def test_a_tier_limits_how_many_draws_are_the_same_in_every_run(tier) -> None:
    one, other = (PoolStore(seed, tier).draws(row, "row", FLOAT32, only=6) for seed in (0, 1))
    assert len(one) == tier.few_draws
    assert all(np.array_equal(a.logits, b.logits) for a, b in zip(one, other, strict=True))


def swept(seed: int, tier: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ordinals of the logits of a sweep at target 0 and at target 1."""
    pieces = list(PoolStore(seed, TIERS[tier]).float32_sweep())
    logits = np.concatenate([inputs.logits for inputs in pieces])
    targets = np.concatenate([inputs.targets for inputs in pieces])
    negative, positive = (np.sort(FLOAT32.ordinal(logits[targets == y])) for y in (0, 1))
    return negative, positive


def test_a_sweep_goes_through_all_of_float32_and_another_seed_through_others() -> None:
    ordinals, at_one = swept(0, "quick")
    assert np.array_equal(ordinals, at_one)
    last = FLOAT32.ordinal(FLOAT32.largest_finite)
    assert ordinals[0] < 2**16 - last
    assert ordinals[-1] > last - 2**16
    assert np.diff(ordinals).max() <= 2**16
    other, _ = swept(1, "quick")
    assert ordinals.size // 2 - 1 <= np.isin(ordinals, other).sum() < ordinals.size * 0.6
    assert np.isin(ordinals, swept(0, "default")[0]).all()


def test_the_truth_of_a_sweep_is_the_truth() -> None:
    inputs = next(iter(PoolStore(0, TIERS["quick"]).float32_sweep()))
    few = slice(0, None, 997)
    right = ground_truth(inputs.logits[few], inputs.targets[few], dtype="float32")
    assert np.array_equal(inputs.truth("loss").nearest[few], right.nearest)
    assert np.allclose(inputs.truth("loss").offset[few], right.offset, rtol=0, atol=2.0**-10)


def test_what_is_no_row_of_elements_is_drawn_once() -> None:
    def rows(s: Sampler) -> Inputs:
        return s.inputs("rows", s.hard()[:8].reshape(4, 2), s.hard()[:8].reshape(4, 2))

    def exhaustive(s: Sampler) -> Inputs:
        return s.inputs("all", s.hard()[:8], s.hard()[:8], exhaustive=True)

    store = PoolStore(0, TIERS["default"])
    assert store.get(rows, "rows", FLOAT32).logits.shape == (4, 2)
    assert store.get(exhaustive, "all", FLOAT32).logits.shape == (8,)

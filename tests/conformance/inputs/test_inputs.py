"""The samplers: exact in their format, reproducible, and where they should be dense."""

import mpmath
import numpy as np
import pytest

from bce_conformance.conformance.inputs.bounds import bounds_for
from bce_conformance.conformance.inputs.inputs import every_finite_pattern, repeated
from bce_conformance.conformance.inputs.sampler import Sampler
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

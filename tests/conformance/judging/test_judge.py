"""The judge gives each level where it is due, and refuses it where it is not."""

import numpy as np
import pytest

from bce_conformance.backends import LossCall
from bce_conformance.conformance.inputs.bounds import Bounds, bounds_for
from bce_conformance.conformance.inputs.inputs import hex_of
from bce_conformance.conformance.judging.judge import Judgement, judge, severity
from bce_conformance.reference import FLOAT16, FLOAT32, FORMATS, Format, ground_truth
from bce_conformance.results.cells import Level

FORMAT_LIST = list(FORMATS.values())


def judged(
    format_: Format,
    logit: float,
    target: float,
    shift: int,
    *,
    quantity: str = "loss",
    weight: float | None = None,
) -> Level:
    """The level of the correctly rounded value moved by ``shift`` units in the last place."""
    logits = np.array([logit]).astype(format_.dtype)
    targets = np.array([target]).astype(format_.dtype)
    weights = None if weight is None else np.array([weight]).astype(format_.dtype)
    call = LossCall(logits, targets, weights, reduction="none", quantities=(quantity,))
    truth = ground_truth(logits, targets, weights, quantity=quantity, dtype=format_.name)
    got = format_.from_ordinal(format_.ordinal(truth.nearest) + shift)
    return judge(got, truth, format_, bounds_for(call, quantity)).level


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
@pytest.mark.parametrize("sign", [1, -1])
def test_levels_by_distance(format_: Format, sign: int) -> None:
    """At x = −3, y = 0 the loss is 0.0486: its ulp is u/16, and 16·u·S is 48·u."""
    assert judged(format_, -3, 0, 0) is Level.AAA
    assert judged(format_, -3, 0, sign * 2) is Level.AA
    assert judged(format_, -3, 0, sign * 3) is Level.AA
    assert judged(format_, -3, 0, sign * 5) is Level.A
    exact, u = np.log1p(np.exp(-3.0)), format_.unit_roundoff
    assert level(format_, exact + sign * 47 * u, -3, 0, "loss") is Level.A
    assert level(format_, exact + sign * 49 * u, -3, 0, "loss") is Level.FAILS


@pytest.mark.parametrize(("steps", "expected"), [(4, Level.AA), (15, Level.A), (17, Level.FAILS)])
def test_errors_just_below_a_power_of_two_are_in_its_smaller_unit(
    steps: int, expected: Level
) -> None:
    """A loss less than half of u below 1: there the unit is u, and S is 1."""
    near = np.float32(np.log(np.e - 1))
    logits = near + np.arange(-8, 8, dtype=np.float32) * np.spacing(near)
    losses = ground_truth(logits, np.zeros_like(logits))
    (logit, *_) = logits[(losses.nearest == 1) & (losses.offset < 0)].tolist()
    got = 1 - steps * FLOAT32.unit_roundoff
    assert level(FLOAT32, got, logit, 0, "loss") is expected


def one(format_: Format, value: float) -> np.ndarray:
    return np.array([value]).astype(format_.dtype)


def level(format_: Format, got: float, logit: float, target: float, quantity: str) -> Level:
    logits, targets = one(format_, logit), one(format_, target)
    truth = ground_truth(logits, targets, quantity=quantity, dtype=format_.name)
    call = LossCall(logits, targets, reduction="none", quantities=(quantity,))
    return judge(one(format_, got), truth, format_, bounds_for(call, quantity)).level


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_for_a_number_fail(format_: Format, wrong: float) -> None:
    assert level(format_, wrong, 1, 1, "loss") is Level.FAILS
    assert level(format_, wrong, 1, 1, "grad_logits") is Level.FAILS


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
def test_a_number_for_nan_or_infinity_fails(format_: Format) -> None:
    assert level(format_, format_.largest_finite, np.inf, 0, "loss") is Level.FAILS
    assert level(format_, np.nan, np.inf, 0, "loss") is Level.FAILS
    assert level(format_, -np.inf, np.inf, 0, "loss") is Level.FAILS
    assert level(format_, np.inf, np.inf, 0, "loss") is Level.AAA
    assert level(format_, 0.0, np.nan, 0, "loss") is Level.FAILS
    assert level(format_, np.nan, np.nan, 0, "loss") is Level.AAA


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
def test_infinity_beside_the_largest_finite_number_fails(format_: Format) -> None:
    """One ulp away, if infinity is taken for the next number; but overflow is not due."""
    assert level(format_, format_.largest_finite, format_.largest_finite, 0, "loss") is Level.AAA
    assert level(format_, np.inf, format_.largest_finite, 0, "loss") is Level.FAILS


def test_infinity_less_than_an_ulp_above_the_exact_value_fails() -> None:
    """w·x is 65517.9, nearer to the overflow at 65520 than to the largest finite 65504."""
    for got, expected in ((np.inf, Level.FAILS), (65504, Level.AAA)):
        logits, weight = one(FLOAT16, 64448), one(FLOAT16, 1.0166015625)
        truth = ground_truth(logits, logits * 0, weight, dtype="float16")
        call = LossCall(logits, logits * 0, weight, reduction="none")
        judgement = judge(one(FLOAT16, got), truth, FLOAT16, bounds_for(call, "loss"))
        assert judgement.level is expected


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
def test_a_lost_tail_is_safe_but_not_accurate(format_: Format) -> None:
    """At x ≪ 0 and y = 0 the loss is a normal number; 0 in its place has lost every digit."""
    logit = np.log(format_.smallest_normal) + 2
    assert level(format_, 0.0, logit, 0, "loss") is Level.A
    assert level(format_, 0.0, logit, 0, "grad_logits") is Level.A


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
def test_flushing_a_subnormal_is_accurate_but_not_faithful(format_: Format) -> None:
    logit = np.log(format_.smallest_normal) - 2
    assert level(format_, 0.0, logit, 0, "loss") is Level.AA
    assert level(format_, -format_.smallest_normal, logit, 0, "loss") is not Level.AA


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
def test_the_sign_of_an_underflowed_result_counts_for_faithful(format_: Format) -> None:
    """−σ(−x) is below half the smallest subnormal: −0 is right and +0 is not faithful."""
    logit = -np.log(format_.smallest_subnormal) + 3
    assert level(format_, -0.0, logit, 1, "grad_logits") is Level.AAA
    assert level(format_, 0.0, logit, 1, "grad_logits") is Level.AA


def test_the_wrong_sign_at_the_smallest_subnormal_is_not_accurate() -> None:
    tiny = FLOAT32.smallest_subnormal
    logit = float(np.log(8 * tiny))
    assert level(FLOAT32, -8 * tiny, logit, 0, "loss") is Level.A
    assert level(FLOAT32, 8 * tiny, logit, 0, "loss") is not Level.A


def test_zero_weight_leaves_no_room() -> None:
    assert judged(FLOAT32, 3, 0, 0, weight=0.0) is Level.AAA
    assert judged(FLOAT32, 3, 0, 1, weight=0.0) is not Level.AAA
    assert judged(FLOAT32, 3, 0, 5, weight=0.0) is Level.FAILS


def test_soft_gradients_may_lose_the_difference_but_not_a_term() -> None:
    """Near σ(x) = y level AA allows 4 ulps of the larger term, which is about 1/4 here."""
    logits, targets = one(FLOAT32, -1.0986123), one(FLOAT32, 0.75 - 0.5)
    truth = ground_truth(logits, targets, quantity="grad_logits", dtype="float32")
    call = LossCall(logits, targets, reduction="none", quantities=("grad_logits",))
    bounds = bounds_for(call, "grad_logits")
    unit = np.float32(2.0**-26)  # the ulp of (1 − y)·σ(x) = 0.1875
    for count, expected in ((3, Level.AA), (6, Level.A)):
        got = (truth.nearest + np.float32(count) * unit).astype(np.float32)
        assert judge(got, truth, FLOAT32, bounds).level is expected


def test_hard_gradients_get_no_allowance_for_cancellation() -> None:
    logits, targets = one(FLOAT32, 20.0), one(FLOAT32, 1.0)
    call = LossCall(logits, targets, reduction="none", quantities=("grad_logits",))
    assert bounds_for(call, "grad_logits").larger_term is None


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_reductions_grow_with_the_number_of_terms(reduction: str) -> None:
    logits = np.full(1024, 2.0, np.float32)
    call = LossCall(logits, logits * 0, reduction=reduction)
    bounds = bounds_for(call, "loss")
    assert bounds.terms == 1024
    expected = 2.0 * (1024 if reduction == "sum" else 1)
    assert np.exp2(bounds.scale) == pytest.approx(expected)
    # The loss of 2.127 lies in [2, 4): AA allows 4·11 ulps, A 16·u·2·11 = 88 ulps, of sum and mean.
    truth = ground_truth(logits, logits * 0, reduction=reduction, dtype="float32")
    for ulps, expected_level in ((0, "AAA"), (43, "AA"), (46, "A"), (87, "A"), (90, "fails")):
        got = FLOAT32.from_ordinal(FLOAT32.ordinal(truth.nearest) + ulps)
        assert judge(got, truth, FLOAT32, bounds).level.verdict == expected_level


def test_scale_of_each_gradient() -> None:
    """S leaves out the factor that a gradient differentiates away."""
    x, y = np.array([[3.0, -8.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    w, p = np.array([[2.0, 4.0]], np.float32), np.array([0.5, 16.0], np.float32)
    cotangent = np.array([[10.0, 1.0]], np.float32)

    def scale(quantity: str) -> list[float]:
        call = LossCall(x, y, w, p, reduction="none", quantities=(quantity,), cotangent=cotangent)
        return np.exp2(bounds_for(call, quantity).scale).ravel().tolist()

    assert scale("loss") == pytest.approx([2 * 3, 4 * 16 * 8])
    assert scale("grad_logits") == pytest.approx([10 * 2, 4 * 16])
    assert scale("grad_targets") == pytest.approx([10 * 2 * 3, 4 * 16 * 8])
    assert scale("grad_weight") == pytest.approx([10 * 3, 16 * 8])
    assert scale("grad_pos_weight") == pytest.approx([10 * 2 * 3, 4 * 8])


def test_broadcast_gradients_sum_their_scale() -> None:
    x = np.full((6, 4), 2.0, np.float32)
    w = np.ones((6, 1), np.float32)
    call = LossCall(x, x * 0, w, reduction="none", quantities=("grad_weight",))
    bounds = bounds_for(call, "grad_weight")
    assert bounds.terms == 4
    assert bounds.scale.shape == (6, 1)
    assert np.exp2(bounds.scale) == pytest.approx(8.0)


def test_judging_nothing_is_an_error() -> None:
    truth = ground_truth(np.zeros(0, np.float32), np.zeros(0, np.float32), dtype="float32")
    judgement = judge(np.zeros(0, np.float32), truth, FLOAT32, Bounds(np.zeros(0)))
    with pytest.raises(ValueError, match="levels is empty"):
        _ = judgement.level


def test_wrong_shape_and_wrong_format_are_errors() -> None:
    x = np.ones(3, np.float32)
    truth = ground_truth(x, x, dtype="float32")
    with pytest.raises(ValueError, match=r"got has shape \(2,\)"):
        judge(np.ones(2, np.float32), truth, FLOAT32, Bounds(np.zeros(3)))
    with pytest.raises(ValueError, match="got has dtype float64"):
        judge(np.ones(3), truth, FLOAT32, Bounds(np.zeros(3)))


def test_the_worst_is_of_the_least_level() -> None:
    """A flushed subnormal (AA) may be more ulps off than a normal result of level A."""
    x = np.log([FLOAT16.smallest_normal / 2, 0.2]).astype(np.float16)
    y = np.zeros(2, np.float16)
    truth = ground_truth(x, y, dtype="float16")
    got = truth.nearest.copy()
    got[0] = 0
    got[1] = FLOAT16.from_ordinal(FLOAT16.ordinal(got[1:]) + 6)[0]
    call = LossCall(x, y, reduction="none")
    judgement = judge(got, truth, FLOAT16, bounds_for(call, "loss"))
    assert judgement.levels.tolist() == [Level.AA, Level.A]
    assert judgement.ulp[0] > judgement.ulp[1]
    assert judgement.worst() == 1


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
@pytest.mark.parametrize("quantity", ["loss", "grad_logits"])
def test_severity_orders_by_level_and_then_by_error(format_: Format, quantity: str) -> None:
    shifts = np.array([0, 2, 3, 6, 7, 40, 10**3 if format_.precision < 12 else 10**6, 10**4])
    logits, targets = (np.full(shifts.size, value, format_.dtype) for value in (-3, 0))
    truth = ground_truth(logits, targets, quantity=quantity, dtype=format_.name)
    got = format_.from_ordinal(format_.ordinal(truth.nearest) + np.minimum(shifts, 10**6))
    got[-1] = np.nan
    bounds = bounds_for(LossCall(logits, targets, quantities=(quantity,)), quantity)
    judgement = judge(got, truth, format_, bounds)
    found = severity(judgement, truth, format_, bounds)
    assert judgement.level is Level.FAILS
    assert np.array_equal(np.argsort(found, kind="stable"), np.arange(shifts.size))
    assert (np.diff(found[:-1]) > 0).all()
    level_after_level = np.diff(judgement.levels) < 0
    assert (np.diff(found)[level_after_level] > 2**12).all()


def test_severity_measures_a_difference_by_its_larger_term() -> None:
    """Near σ(x) = y many ulps of the result are few of the larger term, which AA allows."""
    logits, targets = np.array([0.5, 0.5], np.float32), np.array([0.6224593, 0.25], np.float32)
    truth = ground_truth(logits, targets, quantity="grad_logits")
    shifts = np.array([2**16, 4])  # of a tiny result and of an ordinary one
    got = FLOAT32.from_ordinal(FLOAT32.ordinal(truth.nearest) + shifts)
    call = LossCall(logits, targets, reduction="none", quantities=("grad_logits",))
    bounds = bounds_for(call, "grad_logits")
    judgement = judge(got, truth, FLOAT32, bounds)
    assert judgement.levels.tolist() == [Level.AA, Level.AA]
    assert judgement.worst() == 0
    first, second = severity(judgement, truth, FLOAT32, bounds)
    assert first < second


# --- where factors vanish, and where float64 counts no more ulps ----------------------------------


def weighted_level(format_: Format, got: float, quantity: str, **operands: float) -> Level:
    """The level of one value, all operands of the format."""
    given = {name: one(format_, value) for name, value in operands.items()}
    call = LossCall(**given, reduction="none", quantities=(quantity,))  # type: ignore[arg-type]
    truth = ground_truth(**given, quantity=quantity, dtype=format_.name)  # type: ignore[arg-type]
    return judge(one(format_, got), truth, format_, bounds_for(call, quantity)).level


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
@pytest.mark.parametrize("quantity", ["loss", "grad_logits", "grad_targets", "grad_pos_weight"])
def test_a_zero_weight_at_an_infinite_logit_is_exactly_zero_of_either_sign(
    format_: Format, quantity: str
) -> None:
    given = {"logits": np.inf, "targets": 0.5, "weight": 0.0, "pos_weight": 1.0}
    for got, expected in ((0.0, Level.AAA), (-0.0, Level.AAA), (np.nan, Level.FAILS)):
        assert weighted_level(format_, got, quantity, **given) is expected
    assert weighted_level(format_, format_.unit_roundoff, quantity, **given) is Level.FAILS


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
def test_an_exact_zero_has_no_sign_and_a_rounded_one_has(format_: Format) -> None:
    """−w·p·y·σ(−x): with p = 0 it is zero, with the smallest p it only rounds to zero."""
    given = {"logits": 4.0, "targets": 1.0, "weight": 1.0}
    tiny = format_.smallest_subnormal
    for p, plus, minus in ((0.0, Level.AAA, Level.AAA), (tiny, Level.AA, Level.AAA)):
        for got, expected in ((0.0, plus), (-0.0, minus)):
            found = weighted_level(format_, got, "grad_logits", pos_weight=p, **given)
            assert found is expected


@pytest.mark.parametrize("quantity", ["loss", "grad_logits"])
@pytest.mark.parametrize("got", [0.25, 1e308, -1e308])
def test_a_number_for_a_subnormal_one_of_float64_fails(quantity: str, got: float) -> None:
    """More ulps than float64 counts: 2¹⁰⁷² of them make a quarter."""
    assert weighted_level(FORMATS["float64"], got, quantity, logits=-745.0, targets=0.0) is (
        Level.FAILS
    )


def test_saturating_far_beyond_overflow_fails() -> None:
    """The exact value is about 2³⁰⁷¹, of which 16·u·S is 2⁻⁴⁹: the largest number is no result."""
    format_, largest = FORMATS["float64"], FORMATS["float64"].largest_finite
    given = {"logits": -largest, "targets": 1.0, "weight": largest, "pos_weight": largest}
    assert weighted_level(format_, largest, "loss", **given) is Level.FAILS
    assert weighted_level(format_, np.inf, "loss", **given) is Level.AAA


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
def test_the_larger_term_does_not_underflow(format_: Format) -> None:
    """p·y·σ(−x) is 2·log₂ of the smallest number; softplus(x) is eˣ, and the other term 0."""
    tiny, logit = format_.smallest_subnormal, -50.0 if format_.name == "float16" else -2000.0

    def larger(quantity: str, p: float) -> float:
        given = (one(format_, value) for value in (logit, tiny, 1.0, p))
        call = LossCall(*given, reduction="none", quantities=(quantity,))
        found = bounds_for(call, quantity).larger_term
        assert found is not None
        return float(found[0])

    assert larger("grad_logits", tiny) == pytest.approx(2 * np.log2(tiny))
    assert larger("grad_targets", 0.0) == pytest.approx(logit / np.log(2))


def test_a_signalling_nan_is_judged_without_a_warning() -> None:
    signalling = np.array([0x7FA00000], np.uint32).view(np.float32)
    x = one(FLOAT32, 1.0)
    truth, call = ground_truth(x, x, dtype="float32"), LossCall(x, x, reduction="none")
    assert judge(signalling, truth, FLOAT32, bounds_for(call, "loss")).level is Level.FAILS
    assert hex_of(signalling[0]) == "nan"


def test_a_condensed_judgement_has_each_entry_once_and_counts_it() -> None:
    levels = np.array([3, 1, 3, 3, 0, 1], np.int8)
    ulp = np.array([0.5, 9.0, 0.5, 0.25, np.inf, 9.0])
    full = Judgement(levels, ulp)
    small = full.condensed()
    assert (small.size, small.levels.size, small.level) == (full.size, 4, full.level)
    assert small.ulp[small.worst()] == full.ulp[full.worst()]
    assert small.counts is not None
    entries = zip(small.levels, small.ulp, small.counts, strict=True)
    assert sorted(map(tuple, entries)) == [(0, np.inf, 1), (1, 9.0, 2), (3, 0.25, 1), (3, 0.5, 2)]


@pytest.mark.parametrize("format_", FORMAT_LIST, ids=lambda f: f.name)
@pytest.mark.parametrize("quantity", ["loss", "grad_logits"])
def test_an_element_is_judged_among_others_as_alone(format_: Format, quantity: str) -> None:
    random, size = np.random.default_rng(0), 300
    logits = random.choice([-9.0, -0.5, 3.0, -format_.largest_finite, np.inf], size)
    targets = random.choice([0, 0.125, 0.5, 1], size)
    weight, pos_weight = random.choice([0.25, 1.0, 64.0, format_.largest_finite], (2, size))
    given = [row.astype(format_.dtype) for row in (logits, targets, weight, pos_weight)]
    truth = ground_truth(*given, quantity=quantity, dtype=format_.name)
    finite = np.where(np.isfinite(truth.nearest), truth.nearest, 0).astype(format_.dtype)
    moved = format_.from_ordinal(format_.ordinal(finite) + random.choice([1, 3, 6, 99], size))
    wrong = random.choice([0.0, np.nan, np.inf, -1.0], size).astype(format_.dtype)
    kind = random.integers(0, 3, size)
    got = np.where(kind == 0, truth.nearest, np.where(kind == 1, moved, wrong))

    def levels(at: slice) -> list[int]:
        call = LossCall(*(row[at] for row in given), reduction="none", quantities=(quantity,))
        exact = ground_truth(*(row[at] for row in given), quantity=quantity, dtype=format_.name)
        found = judge(got[at], exact, format_, bounds_for(call, quantity)).levels
        return [int(one) for one in found]

    together = levels(slice(None))
    assert together == [one for i in range(size) for one in levels(slice(i, i + 1))]
    assert set(together) == {Level.FAILS, Level.A, Level.AA, Level.AAA}

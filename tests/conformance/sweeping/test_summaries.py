"""Summaries merge in any order, and survive being written down."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bce_conformance.backends.calls import LossCall
from bce_conformance.conformance.inputs.bounds import bounds_for
from bce_conformance.conformance.judging.judge import judge
from bce_conformance.conformance.sweeping.evaluating import Truths, call_of, exact_of, summed_up
from bce_conformance.conformance.sweeping.kernels import (
    BINS,
    FLUSHED,
    OPEN,
    edge,
    measure,
    units_of,
)
from bce_conformance.conformance.sweeping.plan import plan, scattered
from bce_conformance.conformance.sweeping.summaries import Summary
from bce_conformance.reference import FORMATS, Format, ground_truth, ulp_error
from bce_conformance.reference.metrics import flushed_to_zero


def some(format_: Format, seed: int, size: int = 400) -> tuple[LossCall, np.ndarray]:
    """A call with logits of every kind, and results of it that are wrong in every way."""
    random = np.random.default_rng(seed)
    bits = scattered(np.arange(seed * size, (seed + 1) * size, dtype=np.uint64))
    logits = bits.astype(format_.bits_dtype).view(format_.dtype)
    flushing = slice(0, size // 10, 5)  # targets 0, and σ(x) a subnormal number
    logits[flushing] = np.log(format_.smallest_normal) - 1
    targets = np.tile(np.array([0, 1, 0.25, 1, 0], format_.dtype), size // 5)
    truth = ground_truth(logits, targets, quantity="grad_logits", dtype=format_, cached=False)
    got = truth.nearest.copy()
    got.view(format_.bits_dtype)[:] += random.integers(0, 12, size).astype(format_.bits_dtype)
    wild = random.integers(0, size, size // 8)
    got[wild] = random.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], wild.size)
    got[flushing] = 0
    return LossCall(logits, targets, reduction="none", quantities=("grad_logits",)), got


def summary(format_: Format, seed: int) -> Summary:
    call, got = some(format_, seed)
    return summed_up(call, "grad_logits", got, exact_of(call, "grad_logits", format_), format_)


@pytest.mark.parametrize("name", FORMATS)
def test_errors_and_levels_are_those_of_the_metrics_and_the_judge(name: str) -> None:
    format_, quantity = FORMATS[name], "grad_logits"
    levels = []
    for seed in range(12):
        call, got = some(format_, seed)
        truth = ground_truth(
            call.logits, call.targets, quantity=quantity, dtype=format_, cached=False
        )
        with np.errstate(invalid="ignore"):
            near, computed = truth.nearest.astype(float), got.astype(float)
        error, level = np.empty(got.size), np.empty(got.size, np.int8)
        right, left = measure(
            *(computed, near, near.view(np.int64), truth.offset, units_of(format_)),
            *(format_.emin, format_.emax, error, level),
        )
        np.testing.assert_array_equal(error, ulp_error(got, truth))
        judged = judge(got, truth, format_, bounds_for(call, quantity)).levels
        decided = np.where(level == FLUSHED, 2, level)
        assert np.array_equal(decided[level != OPEN], judged[level != OPEN])
        assert left == (level == OPEN).sum() > 0
        assert 0 < right < got.size
        levels += level.tolist()
    assert {2, 3, OPEN, FLUSHED} <= set(levels)


@pytest.mark.parametrize("name", FORMATS)
def test_a_flush_of_what_rounds_up_to_a_normal_number_is_no_error(name: str) -> None:
    format_, size = FORMATS[name], 4
    least = float(format_.smallest_normal)
    # Exact values just below and just above the smallest normal number, of either sign.
    nearest = np.array([least, -least, least, -least]).astype(format_.dtype)
    offset = np.array([-0.25, 0.25, 0.25, -0.25])
    zeros = np.zeros(size, format_.dtype)
    truth = replace(ground_truth(zeros, zeros, dtype=format_), nearest=nearest, offset=offset)
    error, level = np.empty(size), np.empty(size, np.int8)
    near = nearest.astype(float)
    measure(
        *(zeros.astype(float), near, near.view(np.int64), offset, units_of(format_)),
        *(format_.emin, format_.emax, error, level),
    )
    assert ((level == FLUSHED) == flushed_to_zero(zeros, truth)).all()
    assert (level == FLUSHED).tolist() == [True, True, False, False]


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_merging_is_associative_and_commutative(name: str) -> None:
    parts = [summary(FORMATS[name], seed).encoded() for seed in range(4)]

    def merged(order: tuple[int, ...], first: int) -> bytes:
        """The first some merged to one, the others to another, and these two."""
        halves = [Summary(FORMATS[name]), Summary(FORMATS[name])]
        for place, index in enumerate(order):
            halves[place >= first].merge(Summary.decoded(parts[index], FORMATS[name]))
        halves[0].merge(halves[1])
        return halves[0].encoded()

    orders = itertools.product(itertools.permutations(range(4)), range(5))
    assert len({merged(order, first) for order, first in orders}) == 1
    assert merged((0, 1, 2, 3), 0) not in parts


def test_equal_errors_keep_the_least_patterns_in_any_order() -> None:
    low, high = summary(FORMATS["float32"], 1), summary(FORMATS["float32"], 1)
    bucket = int(high.peak.argmax())
    high.worst[bucket] += 1
    for one, other in ((low, high), (high, low)):
        both = Summary(low.format)
        both.merge(one)
        both.merge(other)
        assert both.worst[bucket].tolist() == low.worst[bucket].tolist()


def test_a_summary_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="other is of float16, this one of float32"):
        Summary(FORMATS["float32"]).merge(Summary(FORMATS["float16"]))


def test_bins_hold_what_their_edges_say() -> None:
    edges = [edge(number) for number in range(BINS)]
    assert edges[1:] == sorted(edges[1:])
    assert (edges[2], edges[-1]) == (2.0**-10, np.inf)
    assert {0.5, 1.0, 1.125, 4.0} <= set(edges)


def test_mirrored_truths_have_the_bits_of_computed_ones() -> None:
    what = plan("bfloat16", "0,1", "loss,grad_logits")
    truths, mirrored = Truths(what), 0
    for group, piece in what.in_order():
        call = call_of(what, group, piece)
        mirrored += (piece.first ^ 0x8000, piece.last - piece.first) in truths._mirrored
        for quantity, exact in truths.of(call, group, piece).items():
            computed = exact_of(call, quantity, what.format)
            for name in ("nearest", "offset"):
                ours, theirs = getattr(exact, name), getattr(computed, name)
                np.testing.assert_array_equal(ours, theirs)
                if name == "nearest":
                    number = ~np.isnan(ours)
                    assert np.array_equal(np.signbit(ours[number]), np.signbit(theirs[number]))
            assert exact.undecided == computed.undecided
    assert mirrored == 2

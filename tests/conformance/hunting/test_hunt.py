"""A hunt finds planted errors, the same ones each time, and looks only where it is told to."""

import csv
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.backends import BackendProcess, LossCall, resolve
from bce_conformance.conformance.hunting.hunt import HuntError
from bce_conformance.conformance.hunting.starts import Region, Starts
from bce_conformance.conformance.inputs.sampler import POOL_SIZE
from bce_conformance.conformance.inputs.search import PARENTS, far
from bce_conformance.reference import FLOAT16, FLOAT32, FLOAT64, FORMATS, Format
from tests.conformance.hunting.fakes import Fake, hunted

PEAK = 2.758182
MEASURED = Path(__file__).parents[3] / "docs" / "measured" / "sweeps_16_bit.csv"


def about_the_peak(call: LossCall) -> np.ndarray:
    """One ulp more for every two octaves that the logit is nearer, from 2⁻⁶ to 2⁻²⁰."""
    distance = np.abs(call.logits.astype(np.float64) - PEAK)
    return np.maximum(0, (-np.log2(np.maximum(distance, 2.0**-20)) - 6) // 2 + 1)


def at_one_pattern(call: LossCall) -> np.ndarray:
    return np.where(call.logits.view(np.uint16) == 0x4111, 9, 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_peak_of_float32_that_no_draw_meets_is_climbed(seed: int) -> None:
    (climb,) = hunted(Fake(about_the_peak), Region(FLOAT32), 12, seed=seed).climbs
    assert climb.max > 7.4
    logit = float.fromhex(dict(climb.best[0].element)["logits"])
    assert abs(logit - PEAK) < 2.0**-19


def test_one_wrong_pattern_of_float16_is_found() -> None:
    (climb,) = hunted(Fake(at_one_pattern), Region(FLOAT16, (0.0, 1.0)), 60).climbs
    assert 8.5 <= climb.max <= 9.5
    assert dict(climb.best[0].element)["logits"] == float(np.uint16(0x4111).view(np.float16)).hex()
    assert climb.climbs > 3  # it began anew


def test_the_same_seed_catches_the_same_and_another_does_not() -> None:
    quantities = ("loss", "grad_logits")
    first, again, other = (
        hunted(Fake(about_the_peak), Region(FLOAT32), 3, *quantities, seed=seed).results()
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert {one.quantity for one in first} == set(quantities)
    assert all(one.alone == one.ulp for one in first)


def test_edges_of_a_sweep_are_looked_at() -> None:
    edge = -1.2345678806304932

    def at_the_edge(call: LossCall) -> np.ndarray:
        return np.where(call.logits == np.float32(edge), 99, 0)

    assert hunted(Fake(at_the_edge), Region(FLOAT32), 4).climbs[0].max < 1
    with_edge = Region(FLOAT32, edges=(edge,))
    assert hunted(Fake(at_the_edge), with_edge, 1).climbs[0].max > 90


def test_an_error_that_is_infinite_ends_the_hunt() -> None:
    fake = Fake(lambda call: np.full(call.logits.shape, 1 << 30))
    hunted(fake, Region(FLOAT32), 100)
    assert fake.calls == 1


def test_the_exhaustive_maximum_of_float16_is_reached() -> None:
    with MEASURED.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["backend"] == "native"]
    region, quantities = Region(FLOAT16, (0.0, 0.5, 1.0)), ("loss", "grad_logits")
    with BackendProcess(resolve("native")) as process:
        climbs = hunted(process, region, 12, *quantities).climbs
    for climb in climbs:
        wanted = ("float16", climb.quantity)
        proven = [float(r["max_ulp"]) for r in rows if (r["dtype"], r["quantity"]) == wanted]
        assert len(proven) == 3
        assert climb.max >= max(proven)


def test_backends_that_cannot_be_hunted_are_refused() -> None:
    fake = Fake(at_one_pattern, failing=True)
    with pytest.raises(HuntError, match="fake gives no result: raised ValueError: no"):
        hunted(fake, Region(FLOAT16), 10)
    assert fake.calls == 3
    with pytest.raises(HuntError, match="fake has no float64; it has float16, float32"):
        hunted(fake, Region(FLOAT64), 10)


# --- starts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", [(), (0.0, 0.5, 1.0)])
def test_starts_visit_every_finite_pattern_of_float16(targets: tuple[float, ...]) -> None:
    starts = Starts(Region(FLOAT16, targets), "loss", 0)
    half, rounds = POOL_SIZE // 2, max(len(targets), 1)
    rows = [starts.next() for _ in range(-(-rounds * 65536 // half))]
    pairs = {
        (bits, target if targets else 0)
        for row in rows
        for bits, target in zip(
            row.logits[:half].view(np.uint16).tolist(), row.targets.tolist(), strict=False
        )
    }
    assert len({bits for bits, _ in pairs}) == 2 * 0x7C00
    assert len(pairs) == rounds * 2 * 0x7C00


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda f: f.name)
def test_starts_are_finite_elements_of_their_region(format_: Format) -> None:
    plain = Starts(Region(format_), "loss", 3).next()
    weighted = Starts(Region(format_, (0.0, 1.0), weighted=True), "loss", 3).next()
    assert list(plain.rows()) == ["logits", "targets"]
    assert list(weighted.rows()) == ["logits", "targets", "weight", "pos_weight"]
    assert set(weighted.targets.tolist()) == {0, 1}
    for inputs in (plain, weighted):
        for operand in inputs.rows().values():
            assert (operand.dtype, operand.shape) == (format_.dtype, (POOL_SIZE,))
            assert np.isfinite(operand.astype(np.float64)).all()
        assert ((inputs.targets >= 0) & (inputs.targets <= 1)).all()
    again = Starts(Region(format_), "loss", 3).next()
    assert np.array_equal(again.logits, plain.logits)


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda f: f.name)
def test_far_moves_stay_finite_and_leave_the_parents(format_: Format) -> None:
    before = Starts(Region(format_), "loss", 0).next()
    after = far(before, np.random.default_rng(0))
    for name, operand in after.rows().items():
        assert np.isfinite(operand.astype(np.float64)).all()
        assert np.array_equal(operand[:PARENTS], before.rows()[name][:PARENTS])
    moved = (after.logits != before.logits) | (after.targets != before.targets)
    assert 0.05 < moved.mean() < 0.125


def test_targets_become_the_nearest_of_those_allowed() -> None:
    region = Region(FLOAT32, (1.0, 0.0, 0.5))
    row = Starts(Region(FLOAT32), "loss", 0).next()
    within = region.within(row)
    assert set(within.tolist()) == {0, 0.5, 1}
    assert (np.abs(within - row.targets) <= 0.25).all()

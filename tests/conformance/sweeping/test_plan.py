"""What is swept: every point once, and clear refusals."""

import re

import numpy as np
import pytest

from bce_conformance.conformance.sweeping.plan import PIECE, Plan, plan, scattered


def points(found: Plan) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for group, piece in found.in_order():
        logits, targets = found.operands(group, piece)
        assert logits.size == targets.size == piece.points <= PIECE
        bits = [array.view(found.format.bits_dtype).tolist() for array in (targets, logits)]
        pairs += zip(*bits, strict=True)
    return pairs


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_all_targets_make_every_pair_once(dtype: str) -> None:
    found = plan(dtype, "all", "loss", "7ffe:8001")
    assert [group.name for group in found.groups] == ["unit", "outside", "special"]
    pairs = points(found)
    assert sorted(pairs) == [(y, x) for y in range(1 << 16) for x in range(0x7FFE, 0x8002)]
    assert found.points == len(pairs)


@pytest.mark.parametrize("targets", ["0", "1", "0,1", "1,0.5,0"])
def test_single_targets_make_every_logit_once(targets: str) -> None:
    found = plan("float16", targets, "loss")
    patterns = {"0": 0, "1": 0x3C00, "0.5": 0x3800}
    wanted = {(patterns[y], x) for y in targets.split(",") for x in range(1 << 16)}
    pairs = points(found)
    assert len(pairs) == len(wanted)
    assert set(pairs) == wanted


def test_a_target_that_is_written_twice_is_one() -> None:
    found = plan("float16", "0,0.0,0x0p0,1,-0,1e0,0.5,0x1p-1", "loss")
    assert [group.name for group in found.groups] == ["0", "1", "-0", "0.5"]
    assert found.points == 4 << 16


def test_ranges_share_the_pieces_between_them() -> None:
    narrow, wide = plan("float32", "1", "loss", "180000:47ffff"), plan("float32", "1", "loss")
    (group,) = narrow.groups
    pieces = list(narrow.pieces(group))
    assert sum(piece.points for piece in pieces) == 0x480000 - 0x180000
    assert set(pieces[1:-1]) <= set(wide.pieces(group))
    assert len(pieces) == 4


def test_samples_are_uniform_over_patterns_and_all_different() -> None:
    drawn = scattered(np.arange(1 << 16, dtype=np.uint64))
    assert np.unique(drawn).size == drawn.size
    counts = np.bincount((drawn >> np.uint64(56)).astype(int), minlength=256)
    assert 160 < counts.min() <= counts.max() < 360
    first = int(scattered(np.zeros(1, np.uint64))[0])
    assert first == 0xE220A8397B1DCDAF  # the first output of SplitMix64 seeded with 0


REFUSED = {
    "quantity is 'los'; accepted are loss": {"quantities": "los"},
    "targets is 0.3, which is no float16; the nearest is 0.30004": {"targets": "0.3"},
    "targets has 'half'; accepted are numbers and unit": {"targets": "half"},
    "targets has '0x1p99999'; accepted are numbers and unit": {"targets": "0x1p99999"},
    "targets is empty": {"targets": ","},
    "'unit', which only formats of 16 bits have": {"dtype": "float32", "targets": "unit"},
    "range is '5:4'; accepted is LO:HI": {"range_": "5:4"},
    "range is '0:10000'": {"range_": "0:10000"},
    "range is 'all'": {"range_": "all"},
    "grad_pos_weight, which needs --pos-weight": {"quantities": "grad_pos_weight"},
    "pos_weight is 0.1, which is no float16": {"pos_weight": 0.1},
    "samples is None, dtype float64": {"dtype": "float64"},
    "samples is 5, dtype float16": {"samples": 5},
    "samples is 0; accepted is a positive number": {"dtype": "float64", "samples": 0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_swept_is_refused(message: str) -> None:
    what = {"dtype": "float16", "targets": "0", "quantities": "loss"} | REFUSED[message]
    with pytest.raises(ValueError, match=re.escape(message)):
        plan(**what)  # type: ignore[arg-type]

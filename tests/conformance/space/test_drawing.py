"""Drawn calls are what their combinations say."""

import numpy as np
import pytest

from bce_conformance.conformance.space.drawing import draw
from bce_conformance.conformance.space.rules import covering, repaired
from bce_conformance.conformance.space.shrinking import is_part_of, mechanism, shrink
from bce_conformance.conformance.space.values import weights
from bce_conformance.reference import format_of
from tests.planted.levels import levels_of


def test_a_call_shows_the_levels_that_it_was_drawn_for() -> None:
    """Shapes, formats, broadcasts and quantities come out as asked for, in the whole array."""
    for number, levels in enumerate(covering(3)):
        call = draw(levels, number)
        alike = not call.logits.size or (call.logits.ndim > 2 and 1 in call.logits.shape)
        if not alike:
            seen = levels_of(call)
            if levels["pos_weight shape"] == "weight's":
                seen = {n: v for n, v in seen.items() if "pos_weight" not in n}
            asked = {name: levels[name] for name in seen}
            if levels["quantities"] == "loss and gradients" and asked != seen:
                asked |= {"quantities": seen["quantities"]}  # of one operand, if others have none
            assert seen == asked, (number, levels)


def test_the_same_combination_draws_the_same_call() -> None:
    levels = covering(2)[7]
    one, other = draw(levels, 3), draw(levels, 3)
    assert one.logits.tobytes() == other.logits.tobytes()
    assert one.quantities == other.quantities
    assert draw(levels, 4).logits.tobytes() != one.logits.tobytes()


@pytest.mark.parametrize("size", ["small", "blocks", "rest"])
@pytest.mark.parametrize("shape", ["matrix", "3-d", "vector"])
def test_few_shapes_are_the_same_for_all_numbers(shape: str, size: str) -> None:
    levels = next(r for r in covering(3) if (r["shape"], r["size"]) == (shape, size))
    few = {draw(levels, number, few_shapes=True).logits.shape for number in range(9)}
    many = {draw(levels, number).logits.shape for number in range(9)}
    assert len(few) == 1 < len(many)


@pytest.mark.slow
def test_calls_of_many_elements_have_few_distinct_ones() -> None:
    """Their exact results are computed once an element that is like no other."""
    for number, levels in enumerate(covering(3)):
        if levels["size"] != "small" and levels["dtype"] == "float32":
            call = draw(levels, number)
            operands = [call.logits, call.targets, call.weight, call.pos_weight, call.tangent]
            given = [
                np.broadcast_to(np.asarray(o, np.float64), call.logits.shape).ravel()
                for o in operands
                if o is not None
            ]
            bits = np.stack(given, 1).view(np.uint64)  # NaN equals NaN
            assert len(np.unique(bits, axis=0)) < 1_200, levels


def test_a_part_of_the_combination_is_left() -> None:
    """With ``part`` no level gives way to another that is not the plainest."""
    row = next(r for r in covering(3) if r["quantities"] == "everything" and "jvp" not in str(r))

    def shows(levels: dict[str, str]) -> bool:
        return levels["quantities"] in ("everything", "jvp_logits")

    assert mechanism(shrink(row, shows, part=True)) == {("quantities", "everything")}
    assert mechanism(shrink(row, shows)) == {("quantities", "jvp_logits")}


def test_a_weight_that_is_given_is_part_of_any_shape() -> None:
    row = next(r for r in covering(3) if r["weight shape"] == "lead")
    assert is_part_of(frozenset({("weight shape", "given")}), row)
    bare = repaired({**row, "weight shape": "none"}, keep="weight shape")
    assert bare is not None
    assert not is_part_of(frozenset({("weight shape", "given")}), bare)


def test_few_values_of_a_broadcast_weight_stand_in_no_order() -> None:
    """An index that is off by a block's length, or by any number of elements, reads others."""
    long = ({"size": "tall", "weight shape": "lead"}, {"size": "wide", "weight shape": "last"})
    for wanted in long:
        rows = (row for row in covering(3) if wanted.items() <= row.items())
        weights = [draw(row).weight for row in rows if row["weight"] == "moderate"]
        assert weights
        for weight in weights:
            assert weight is not None
            flat = np.ravel(weight).astype(np.float64)
            assert len(np.unique(flat)) <= 3
            if len(np.unique(flat)) > 1:
                assert all((flat[step:] != flat[:-step]).any() for step in range(1, 129))


def test_operands_that_overlap_often_do_so_in_the_same_way() -> None:
    """As logits and targets that are repeated along one dimension are."""
    levels = covering(2)[0] | {
        "shape": "matrix",
        "size": "small",
        "logits layout": "overlapping",
        "targets layout": "overlapping",
        "targets format": "same",
        "logits": "moderate",
        "targets": "soft",
        "weight shape": "full",
    }
    found = repaired(levels, keep="shape")
    assert found is not None
    strides = [
        (call.logits.strides, call.targets.strides)
        for call in (draw(found, number) for number in range(60))
    ]
    rows = sum(one[0] == other[0] == 0 for one, other in strides)
    assert rows > 5
    assert sum(one != other for one, other in strides) > 5


def test_weights_that_are_powers_of_two_may_have_the_mean_of_ones() -> None:
    random = np.random.default_rng(0)
    drawn = [weights("powers", format_of("bfloat16"), 23, random) for _ in range(40)]
    sums = [weight.astype(float).sum() for weight in drawn]
    assert 10 < sum(total == 23 for total in sums) < 30
    assert all(np.all(np.frexp(weight.astype(float))[0] == 0.5) for weight in drawn)

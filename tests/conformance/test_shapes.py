"""Shapes that are drawn do, or do not, broadcast, and are of every kind."""

import numpy as np
import pytest

from bce_conformance.conformance.inputs.shapes import fitting, misfitting

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_fitting_shapes_broadcast_without_enlarging(seed: int) -> None:
    pairs = fitting(5, seed)
    assert len(pairs) == 5
    for logits, operand in pairs:
        assert 1 <= len(logits) <= 4
        assert np.broadcast_shapes(logits, operand) == logits


@pytest.mark.parametrize("seed", SEEDS)
def test_misfitting_shapes_do_not_broadcast(seed: int) -> None:
    pairs = misfitting(20, seed)
    assert len(set(pairs)) == 20
    assert len({logits for logits, _ in pairs}) <= 5
    for logits, operand in pairs:
        with pytest.raises(ValueError, match="shape mismatch"):
            np.broadcast_shapes(logits, operand)


def test_a_seed_draws_the_same_shapes_and_another_seed_others() -> None:
    drawn = misfitting(20, 7)
    assert misfitting(20, 7) == drawn
    assert misfitting(20, 8) != drawn


def test_fitting_shapes_are_of_every_kind() -> None:
    pairs = [pair for seed in range(100) for pair in fitting(3, seed)]
    assert {len(logits) for logits, _ in pairs} == {1, 2, 3, 4}
    assert {size for logits, _ in pairs for size in logits} == {1, 2, 3, 4, 5}
    assert {len(logits) - len(operand) for logits, operand in pairs} == {0, 1, 2, 3, 4}
    assert any(operand == () for _, operand in pairs)
    assert any(operand == logits and min(logits) > 1 for logits, operand in pairs)
    assert any(min(operand, default=0) == 1 < max(operand) for _, operand in pairs)


def test_misfitting_shapes_miss_in_every_dimension_and_both_ways() -> None:
    pairs = [pair for seed in range(100) for pair in misfitting(20, seed)]
    assert {len(operand) for _, operand in pairs} == {1, 2, 3, 4}
    missed = set()
    for logits, operand in pairs:
        for place, (size, given) in enumerate(zip(logits[::-1], operand[::-1], strict=False)):
            if given not in (1, size):
                missed.add((place, given > size))
    assert missed == {(place, larger) for place in range(4) for larger in (False, True)}

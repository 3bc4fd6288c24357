"""Shapes that hypothesis draws do, or do not, broadcast."""

import numpy as np
import pytest

from bce_conformance.conformance.checks.shapes import fitting, misfitting

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
    misfitting.cache_clear()
    assert misfitting(20, 7) == drawn
    assert misfitting(20, 8) != drawn

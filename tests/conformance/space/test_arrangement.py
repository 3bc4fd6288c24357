"""Arrays as a level about layouts lays them out: equal elements, and memory that stays bounded."""

import numpy as np
import pytest

from bce_conformance.backends.array_memory import memory_of
from bce_conformance.conformance.space.arrangement import arranged


@pytest.mark.parametrize(
    "shape", [(3,), (2, 1, 5), (64, 2, 8, 4, 256), (8, 2, 2, 4, 4, 2048)], ids=str
)
def test_gaps_are_there_and_take_a_few_times_the_memory(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    for seed in range(20):
        laid = arranged(values, "gaps", np.random.default_rng(seed))
        assert np.array_equal(laid, values)
        assert not laid.flags.c_contiguous or laid.size < 4
        assert memory_of(laid).nbytes <= max(100_000 * 8, 6 * values.nbytes)


def test_small_arrays_have_gaps_in_several_dimensions() -> None:
    values = np.ones((4, 5, 6))
    dense = values.strides
    laid = (arranged(values, "gaps", np.random.default_rng(seed)) for seed in range(20))
    gaps = [
        sum(one != other for one, other in zip(each.strides, dense, strict=True)) for each in laid
    ]
    assert max(gaps) == 3

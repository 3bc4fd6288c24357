"""Arrays as a level about layouts lays them out: equal elements, and memory that stays bounded."""

import numpy as np
import pytest

from bce_conformance.backends.array_memory import memory_of
from bce_conformance.conformance.space.arrangement import arranged, interleaved, overlapping


@pytest.mark.parametrize(
    "shape", [(3,), (2, 1, 5), (64, 2, 8, 4, 256), (8, 2, 2, 4, 4, 2048)], ids=str
)
def test_gaps_are_there_and_take_a_few_times_the_memory(shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    for seed in range(20):
        laid = arranged(values, "gaps", np.random.default_rng(seed))
        assert np.array_equal(laid, values)
        assert not laid.flags.c_contiguous or laid.size < 4
        widest = 70_000 if values.size <= 8 else 6
        assert memory_of(laid).nbytes <= max(100_000 * 8, widest * values.nbytes)


def test_small_arrays_have_gaps_in_several_dimensions() -> None:
    values = np.ones((4, 5, 6))
    dense = values.strides
    laid = (arranged(values, "gaps", np.random.default_rng(seed)) for seed in range(20))
    gaps = [
        sum(one != other for one, other in zip(each.strides, dense, strict=True)) for each in laid
    ]
    assert max(gaps) == 3


def test_few_elements_lie_far_apart_at_times() -> None:
    values = np.arange(3.0)
    steps = [
        arranged(values, "gaps", np.random.default_rng(seed)).strides[0] // values.itemsize
        for seed in range(40)
    ]
    assert max(steps) > 65_535
    assert min(steps) < 4


def test_what_overlaps_is_equal_rows_or_windows() -> None:
    values = np.arange(12.0).reshape(3, 4)
    seen = set()
    for seed in range(20):
        laid = overlapping(values, np.random.default_rng(seed))
        assert laid.shape == values.shape
        assert memory_of(laid).nbytes < values.nbytes
        if 0 not in laid.strides:
            assert laid.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
        seen.add(laid.strides)
    assert seen == {(0, 8), (8, 0), (8, 8)}


def test_unaligned_elements_are_fields_of_records_at_times() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    steps = set()
    for seed in range(20):
        laid = arranged(values, "unaligned", np.random.default_rng(seed))
        assert np.array_equal(laid, values)
        assert not laid.flags.aligned
        steps.add(laid.strides)
    assert steps == {(12, 4), (15, 5)}


def test_permuted_dimensions_are_most_often_channels_last() -> None:
    values = np.arange(120.0).reshape(2, 3, 4, 5)
    orders = []
    for seed in range(40):
        laid = arranged(values, "permuted", np.random.default_rng(seed))
        assert np.array_equal(laid, values)
        assert not laid.flags.c_contiguous
        assert not laid.flags.f_contiguous
        orders.append(laid.transpose(0, 2, 3, 1).flags.c_contiguous)
    assert 20 < sum(orders) < 40


def test_dense_arrays_begin_anywhere_in_a_vector() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    begins = set()
    for seed in range(200):
        laid = arranged(values, "C", np.random.default_rng(seed))
        assert np.array_equal(laid, values)
        assert laid.flags.c_contiguous
        begins.add((laid.ctypes.data - memory_base(laid)) // 4)
    assert begins == set(range(16))


def memory_base(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> int:
    """The address of the array that one is a part of."""
    whole = array if array.base is None else array.base
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    return int(whole.ctypes.data)


def test_interleaved_arrays_lie_between_one_another() -> None:
    one, other = interleaved(np.arange(4.0), np.arange(4.0, 8.0))
    assert (one.tolist(), other.tolist()) == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert one.strides == other.strides == (16,)
    assert other.ctypes.data - one.ctypes.data == 8

"""Layouts change where elements lie, and nothing else."""

import numpy as np
import pytest

from bce_conformance.backends import DTYPES
from bce_conformance.conformance.inputs import layouts
from bce_conformance.reference import format_of


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("layout", "seen"),
    [
        (layouts.with_gaps, lambda a, size: a.strides == (2 * 3 * 4 * size, 3 * size)),
        (layouts.inner, lambda a, size: a.strides == (9 * size, size)),
        (layouts.transposed, lambda a, size: a.strides == (size, 3 * size)),
        (layouts.backwards, lambda a, size: a.strides == (-4 * size, -size)),
        (layouts.rows_backwards, lambda a, size: a.strides == (-4 * size, size)),
        (layouts.unaligned, lambda a, size: a.flags.c_contiguous and not a.flags.aligned),
        (layouts.read_only, lambda a, size: a.flags.c_contiguous and not a.flags.writeable),
        (layouts.at_element(3), lambda a, size: a.ctypes.data % 64 == 3 * size),
        (layouts.at_element(0), lambda a, size: a.ctypes.data % 64 == 0),
    ],
)
def test_a_layout_keeps_the_elements(layout: layouts.Layout, seen: object, dtype: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(format_of(dtype).dtype)
    got = layout(array)
    assert got.tobytes() == array.tobytes()
    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    assert callable(seen)
    assert seen(got, array.itemsize)
    assert not np.shares_memory(got, array)


def test_gaps_hold_nan() -> None:
    array = np.ones((2, 2), np.float32)
    for layout in (layouts.with_gaps, layouts.inner):
        base = layout(array).base
        assert np.isnan(base).sum() == base.size - 4

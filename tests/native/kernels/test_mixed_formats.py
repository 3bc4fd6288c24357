"""Sums over operands of several formats, which no kernel of one format takes."""

import numpy as np
import pytest

from bce_conformance.native import binary_cross_entropy_with_logits
from bce_conformance.native.memory.threads import set_num_threads
from bce_conformance.reference import ground_truth, ulp_error


@pytest.mark.parametrize(
    ("dtype", "other"),
    [("float16", "float32"), ("float32", "float64"), ("float64", "float32"), ("float32", "bool")],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_mean_of_many_blocks_is_rounded_once(dtype: str, other: str, threads: int) -> None:
    random = np.random.default_rng(3)
    x = np.resize((4 * random.standard_normal(997)).astype(dtype), 2**18 + 1)
    y = np.resize(random.integers(0, 2, 991).astype(other), x.size)
    set_num_threads(threads)
    try:
        got = binary_cross_entropy_with_logits(x, y)
    finally:
        set_num_threads(None)
    truth = ground_truth(x, y, reduction="mean", dtype=dtype)
    assert abs(float(np.ravel(ulp_error(got, truth))[0])) <= 0.501

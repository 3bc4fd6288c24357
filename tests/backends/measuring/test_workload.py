"""Workloads and the memory limit: what a benchmark measures is what its name says."""

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.backends import DTYPES, LossCall, UnsupportedCall
from bce_conformance.backends.measuring.memory_limit import MemoryLimit
from bce_conformance.backends.measuring.workload import BROADCASTS, PASSES, REGIMES, Workload

SIZE = 4000


def test_the_same_workload_has_the_same_bits() -> None:
    first, second = (Workload(SIZE, broadcasting="both").call() for _ in range(2))
    for name in ("logits", "targets", "weight", "pos_weight"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("regime", REGIMES)
def test_regimes_are_what_they_say(regime: str, dtype: str) -> None:
    call = Workload(SIZE, dtype, regime=regime).call()
    assert call.logits.dtype == call.targets.dtype == Workload(SIZE, dtype).kind
    x, y = (array.astype(np.float64) for array in (call.logits, call.targets))
    finite = np.isfinite(x)
    assert finite.all() == (regime != "special")
    assert np.isin(y, (0, 1)).all() == (regime != "soft")
    if regime == "saturated":
        assert (np.abs(x) >= 100).all()
    elif regime == "subnormal":
        limits = ml_dtypes.finfo(call.logits.dtype)
        results = np.exp(np.where(y > 0, -x, x))
        assert (results < 1.1 * float(limits.smallest_normal)).all()
        assert (results > 0.5 * float(limits.smallest_subnormal)).all()
    elif regime == "special":
        assert np.isnan(x).any()
        assert np.isposinf(x).any()
        assert np.isneginf(x).any()
    else:
        assert np.abs(x).max() < 30


@pytest.mark.parametrize("broadcasting", BROADCASTS)
def test_broadcast_shapes(broadcasting: str) -> None:
    call = Workload(100_000, broadcasting=broadcasting).call()
    assert call.logits.shape == call.targets.shape == (100, 1000)
    shapes = [None if w is None else w.shape for w in (call.weight, call.pos_weight)]
    weight = (100, 1) if broadcasting in ("weight", "both") else None
    pos_weight = (1000,) if broadcasting in ("pos_weight", "both") else None
    assert shapes == [weight, pos_weight]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("dtype", "float8"),
        ("what", "backward"),
        ("regime", "easy"),
        ("broadcasting", "all"),
        ("reduction", "max"),
        ("threads", 2),
        ("size", 33),
        ("size", 0),
        ("size", 1_000_001),
    ],
)
def test_what_is_not_accepted_is_named(field: str, given: object) -> None:
    with pytest.raises(ValueError, match=f"{field} is {given!r}; accepted are"):
        Workload(**{"size": 32, field: given})  # type: ignore[arg-type]


def test_all_gradients_need_all_operands() -> None:
    with pytest.raises(ValueError, match="broadcasting must be 'both'"):
        Workload(32, what="all gradients")


def test_traffic_counts_what_is_read_and_written() -> None:
    assert Workload(SIZE).traffic() == 2 * 4 * SIZE
    assert Workload(SIZE, "float16", "gradient").traffic() == 3 * 2 * SIZE
    assert Workload(SIZE, "float64", reduction="none").traffic() == 3 * 8 * SIZE


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [32, 200_000])
def test_the_limit_passes_over_every_element(size: int, dtype: str) -> None:
    call = Workload(size, dtype, "gradient", "soft").call()
    x, y = call.logits.ravel(), call.targets.ravel()
    written = MemoryLimit().bind(call)()["limit"]
    read = MemoryLimit().bind(LossCall(call.logits, call.targets))()["limit"]
    if x.itemsize == 2:
        together = x.view(np.uint64) ^ y.view(np.uint64)
        np.testing.assert_array_equal(written, together)
        assert np.bitwise_xor.reduce(read) == np.bitwise_xor.reduce(together)
    else:
        np.testing.assert_array_equal(written, x * y)
        np.testing.assert_allclose(read.sum(), (x * y).sum(dtype=np.float64), rtol=1e-4)


def test_the_limit_is_one_of_the_cpu() -> None:
    with pytest.raises(UnsupportedCall, match="not measured on cuda"):
        MemoryLimit().bind(Workload(32, device="cuda").call())


def test_passes_are_quantities() -> None:
    for quantities in PASSES.values():
        LossCall(np.ones(1), np.ones(1), np.ones(1), np.ones(1), quantities=quantities)

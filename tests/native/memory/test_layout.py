"""Where operands lie in memory does not change a bit, and no call makes a large temporary."""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.native import value_and_grad
from tests.native.problems import FORMATS, OPERANDS, bits, problem


def layouts(array):
    """The same values in other memory, none of them plain."""
    yield "transposed", np.asfortranarray(array)
    yield "reversed", np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    spread = np.zeros((array.shape[0] * 2, array.shape[1] * 3), array.dtype)
    spread[::2, ::3] = array
    yield "strided", spread[::2, ::3]
    memory = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = memory[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    assert not unaligned.flags.aligned
    yield "unaligned", unaligned
    frozen = array.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    if array.dtype != ml_dtypes.bfloat16:
        yield "big-endian", array.astype(array.dtype.newbyteorder(">"))


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("weighted", [False, True])
def test_layout_does_not_change_a_bit(dtype, reduction, weighted):
    x, y, w, p = problem(dtype)
    scales = (w, p) if weighted else (None, None)
    expected = bits(value_and_grad(x, y, *scales, reduction))
    tried = 0
    for (name, x_view), (_, y_view) in zip(layouts(x), layouts(y), strict=True):
        before = x_view.tobytes(), y_view.tobytes()
        assert bits(value_and_grad(x_view, y_view, *scales, reduction)) == expected, name
        assert (x_view.tobytes(), y_view.tobytes()) == before, f"{name} input was modified"
        tried += 1
    assert tried >= 5


@pytest.mark.parametrize("dtype", FORMATS)
def test_position_and_length_do_not_change_a_bit(dtype):
    x, y, _, _ = problem(dtype, (1, 1500))
    whole = value_and_grad(x, y, reduction="none")[1]["logits"][0]
    for start, stop in ((0, 1), (1, 8), (7, 40), (511, 513), (3, 1500)):
        part = value_and_grad(x[0, start:stop], y[0, start:stop], reduction="none")
        assert part[1]["logits"].tobytes() == whole[start:stop].tobytes()
    summed = value_and_grad(x, y, reduction="sum")[1]["logits"][0]
    assert summed.tobytes() == whole.tobytes()


@pytest.mark.parametrize("dtype", FORMATS)
def test_targets_of_other_dtypes_are_taken_exactly(dtype):
    x, y, _, _ = problem(dtype, soft=False)
    expected = bits(value_and_grad(x, y))
    for other in (bool, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float64):
        assert bits(value_and_grad(x, y.astype(other))) == expected, other


def test_no_large_temporary_is_made():
    x, y, w, p = problem(np.float32, (2000, 1000))
    calls = {
        "plain": lambda out: value_and_grad(x, y, out=out),
        "weighted": lambda out: value_and_grad(x, y, w, p, out=out),
        "strided": lambda out: value_and_grad(x[:, ::-1], y[:, ::-1], out=out),
        "all gradients": lambda out: value_and_grad(x, y, w, p, wrt=OPERANDS, out=out),
    }
    for name, call in calls.items():
        out = {"logits": np.empty_like(x)}
        if name == "all gradients":
            out["targets"] = np.empty_like(x)
        call(out)
        tracemalloc.start()
        call(out)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1 << 20, (name, peak)


def test_out_is_filled_whatever_its_memory():
    x, y, _, _ = problem(np.float32)
    expected = value_and_grad(x, y)[1]["logits"]
    strided = np.zeros((x.shape[0], x.shape[1] * 2), np.float32)[:, ::2]
    assert value_and_grad(x, y, out={"logits": strided})[1]["logits"] is strided
    assert strided.tobytes() == expected.tobytes()
    loss = np.empty((), np.float32)
    value_and_grad(x, y, out={"logits": strided, "loss": loss})
    assert loss == value_and_grad(x, y)[0]

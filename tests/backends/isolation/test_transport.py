"""Bits arrive unchanged: through freeze and thaw, and through a worker and back."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from bce_conformance.backends import (
    DTYPES,
    OPERANDS,
    Array,
    BackendProcess,
    LossCall,
    LossResult,
    resolve,
)
from bce_conformance.backends.array_memory import memory_of, surroundings
from bce_conformance.backends.isolation.transport import (
    SHARED_FROM,
    content,
    freeze,
    pack_call,
    thaw,
    unpack_call,
)

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
NAMES = (*DTYPES, "bool", "int8", "uint16", "int32", "int64", "complex64", "complex128")


def dtype_of(name: str) -> np.dtype:
    return BFLOAT16 if name == "bfloat16" else np.dtype(name)


def any_bits(name: str, shape: tuple[int, ...]) -> Array:
    """Return an array of arbitrary bit patterns, NaN payloads included."""
    dtype = dtype_of(name)
    count = int(np.prod(shape, dtype=int))
    if name == "bool":
        return np.resize([True, False], shape)
    random = np.random.default_rng(7).integers(0, 256, count * dtype.itemsize, dtype=np.uint8)
    return random.view(dtype).reshape(shape)


def assert_same_bits(got: Array, sent: Array) -> None:
    assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
    assert got.tobytes() == sent.tobytes()


@pytest.fixture(scope="module")
def echo() -> Iterator[BackendProcess]:
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(Path(__file__).parents[1]))
    with BackendProcess(resolve("faulty:Echo")) as backend:
        yield backend
    patch.undo()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_call_comes_back_as_it_was(
    echo: BackendProcess, name: str, shape: tuple[int, ...]
) -> None:
    fields = (*OPERANDS, "cotangent", "tangent")
    arrays = {field: any_bits(name, shape) for field in fields}
    # The echo has its fault, which does nothing, when the first logit is not 0.
    answer = echo.evaluate(LossCall(**arrays))
    assert isinstance(answer, LossResult), answer
    assert set(answer.values) == set(fields)
    for field in fields:
        assert_same_bits(answer.values[field], arrays[field])


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_every_bit_pattern_of_sixteen_bits(echo: BackendProcess, name: str) -> None:
    sent = np.arange(2**16, dtype=np.uint16).view(dtype_of(name))
    answer = echo.evaluate(LossCall(sent, sent))
    assert isinstance(answer, LossResult)
    assert_same_bits(answer.values["logits"], sent)


def layouts() -> dict[str, Array]:
    """Arrays of one shape and of every layout."""
    base = np.arange(1, 25, dtype=np.float32).reshape(4, 6)
    raw = np.zeros(base.nbytes + 1, np.uint8)
    unaligned = np.ndarray((4, 6), np.float32, raw, offset=1)
    unaligned[...] = base
    read_only = base.copy()
    read_only.flags.writeable = False
    return {
        "contiguous": base,
        "transposed": base.reshape(6, 4).T,
        "Fortran order": np.asfortranarray(base),
        "every second": np.repeat(base, 2, axis=1)[:, ::2],
        "backwards": base[::-1, ::-1],
        "stride zero": np.broadcast_to(base[0], (4, 6)),
        "overlapping": np.lib.stride_tricks.sliding_window_view(base.ravel(), 6)[:4],
        "unaligned": unaligned,
        "read-only": read_only,
    }


@pytest.mark.parametrize("name", layouts())
def test_layouts_arrive_as_they_were(name: str) -> None:
    sent = layouts()[name]
    got = thaw(freeze(sent))
    assert_same_bits(got, sent)
    assert got.strides == sent.strides
    assert got.flags.writeable == sent.flags.writeable
    assert got.flags.aligned == sent.flags.aligned == (name != "unaligned")
    assert got.ctypes.data % 64 == sent.ctypes.data % 64


def test_elements_that_share_memory_still_do() -> None:
    got = thaw(freeze(np.broadcast_to(np.float32(1), (3,)).copy()[:1]))
    shared = np.lib.stride_tricks.as_strided(got, (3,), (0,))
    got = thaw(freeze(shared))
    got[0] = 7
    np.testing.assert_array_equal(got, [7, 7, 7])


def large() -> Array:
    """An array that is worth sharing, with a layout of its own."""
    return np.arange(SHARED_FROM, dtype=np.float32).reshape(2, -1).T[:-1]


def test_a_large_array_is_shared_and_arrives_as_it_was() -> None:
    with ExitStack() as shared:
        frozen = freeze(large(), shared)
        assert isinstance(frozen[2], str)
        got = thaw(frozen)
    assert_same_bits(got, large())
    assert got.strides == large().strides


def test_a_shared_array_is_the_receivers_own() -> None:
    with ExitStack() as shared:
        frozen = freeze(large(), shared)
        thaw(frozen)[:] = 7
        assert_same_bits(thaw(frozen), large())


def test_nothing_small_is_shared() -> None:
    with ExitStack() as shared:
        assert isinstance(freeze(np.ones(9), shared)[2], bytes)


def test_sharing_ends_with_the_call(echo: BackendProcess) -> None:
    echo.info()
    before = os.listdir("/proc/self/fd")
    sent = large()
    answer = echo.evaluate(LossCall(sent, sent))
    assert isinstance(answer, LossResult), answer
    assert_same_bits(answer.values["logits"], sent)
    assert answer.modified == ()
    assert os.listdir("/proc/self/fd") == before


def overlapping(size: int) -> LossCall:
    """A call whose logits and targets are parts of one array, and whose weights are another."""
    base = np.arange(size + 1, dtype=np.float32)
    weight = np.arange(size, dtype=np.float64)
    return LossCall(base[1:], base[:-1][::-1], weight, weight, cotangent=base.copy())


@pytest.mark.parametrize("size", [5, SHARED_FROM])
def test_operands_that_share_memory_share_it_there_too(size: int) -> None:
    call = overlapping(size)
    with ExitStack() as shared:
        message = pack_call(call, shared)
        got = unpack_call(message)
        for name, frozen in message["arrays"].items():
            assert np.array_equal(memory_of(getattr(call, name)), content(frozen))
    assert got.weight is not None
    assert got.pos_weight is not None
    assert got.cotangent is not None
    for name in ("logits", "targets", "weight", "pos_weight", "cotangent"):
        assert_same_bits(getattr(got, name), getattr(call, name))
        assert getattr(got, name).strides == getattr(call, name).strides
    assert got.logits.ctypes.data % 64 == call.logits.ctypes.data % 64
    got.logits[0] = 70
    assert got.targets[-2] == 70
    got.pos_weight[1] = 80
    assert got.weight[1] == 80
    assert not np.shares_memory(got.logits, got.weight)
    assert not np.shares_memory(got.logits, got.cotangent)


def test_a_change_of_shared_memory_is_seen_in_each_operand(echo: BackendProcess) -> None:
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(__file__.rpartition("/")[0])
    with BackendProcess(resolve("faulty:WritesToLogits")) as backend:
        answer = backend.evaluate(overlapping(5))
    patch.undo()
    assert isinstance(answer, LossResult), answer
    assert answer.modified == ("logits", "targets")
    answer = echo.evaluate(overlapping(5))
    assert isinstance(answer, LossResult), answer
    assert answer.modified == ()


def test_the_byte_order_is_kept_of_operands_and_not_of_results(echo: BackendProcess) -> None:
    sent = any_bits("float32", (5,)).view(">f4")
    got = unpack_call(pack_call(LossCall(sent, sent)))
    assert got.logits.dtype == sent.dtype
    assert got.logits.tobytes() == sent.tobytes()
    answer = echo.evaluate(LossCall(sent, sent))
    assert isinstance(answer, LossResult), answer
    assert answer.values["logits"].dtype.isnative
    assert answer.values["logits"].tobytes() == sent.byteswap().tobytes()


@pytest.mark.parametrize("name", DTYPES)
def test_reading_beyond_an_array_gives_nan(name: str) -> None:
    got = thaw(freeze(np.ones(3, dtype_of(name))))
    beyond = np.lib.stride_tricks.as_strided(got, (5,))
    assert np.isnan(beyond[3:]).all()


@pytest.mark.parametrize("array", [np.array([None]), np.array(["1.5"]), np.zeros(1, "M8[s]")])
def test_what_cannot_travel_is_refused_before_it_leaves(array: Array) -> None:
    with pytest.raises(TypeError, match=r"has dtype .*accepted are"):
        freeze(array)


def test_a_call_keeps_what_is_not_an_array() -> None:
    call = LossCall(
        np.zeros(2),
        np.zeros(2),
        reduction="no such reduction",
        quantities=("grad_targets", "loss"),
        device="cuda:1",
        forms={"targets": "objects"},
        interface="class",
        arguments={"size_average": False, "name": "n"},
        threads=3,
        repetition="changed",
        autograd="retained",
        mode="float64",
    )
    got = unpack_call(pack_call(call))
    assert got.quantities == ("grad_targets", "loss")
    assert (got.reduction, got.device, got.weight) == ("no such reduction", "cuda:1", None)
    assert got.forms == {"targets": "objects"}
    assert got.interface == "class"
    assert got.arguments == {"size_average": False, "name": "n"}
    assert got.threads == 3
    assert (got.repetition, got.autograd, got.mode) == ("changed", "retained", "float64")


@pytest.mark.parametrize("dtype", [np.float64, BFLOAT16])
@pytest.mark.parametrize("chosen", [np.s_[:, 2], np.s_[::2, 1:], np.s_[::-1]])
def test_the_memory_around_an_array(dtype: Any, chosen: Any) -> None:
    array = np.arange(24).reshape(6, 4).astype(dtype)[chosen]
    found = thaw(freeze(array))
    assert isinstance(found, np.ndarray)
    around = surroundings(found)
    assert around is not None
    memory, first = around
    assert memory.dtype == array.dtype
    assert memory.size > array.size
    assert first > 0
    steps = [stride // array.itemsize for stride in array.strides]
    at = [first + int(np.dot(index, steps)) for index in np.ndindex(array.shape)]
    np.testing.assert_array_equal(memory[at].astype(float), array.astype(float).ravel())
    assert np.shares_memory(memory, found)


def test_there_is_nothing_known_around_other_arrays() -> None:
    assert surroundings(np.ones((3, 3))[:, 1]) is None
    assert surroundings(np.ones(0)) is None

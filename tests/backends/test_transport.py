"""Bits arrive unchanged: through freeze and thaw, and through a worker and back."""

from collections.abc import Iterator

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
from bce_conformance.backends.transport import freeze, pack_call, thaw, unpack_call

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
    patch.syspath_prepend(__file__.rpartition("/")[0])
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


def test_layouts_other_than_c_contiguous_and_native_keep_their_values() -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    for sent in (base.T, base[::-1, ::2], np.broadcast_to(base[0], (3, 6)), base.astype(">f4")):
        got = thaw(freeze(sent))
        np.testing.assert_array_equal(got, sent)
        assert got.dtype == np.dtype(np.float32)
        assert got.flags.c_contiguous
        assert got.flags.writeable
        assert got.flags.aligned


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
    )
    got = unpack_call(pack_call(call))
    assert got.quantities == ("grad_targets", "loss")
    assert (got.reduction, got.device, got.weight) == ("no such reduction", "cuda:1", None)
    assert got.forms == {"targets": "objects"}
    assert got.interface == "class"
    assert got.arguments == {"size_average": False, "name": "n"}

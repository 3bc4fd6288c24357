"""How arrays enter and leave a framework: bits, layouts and strides, and that it changes none."""

from collections.abc import Callable

import numpy as np
import pytest

from bce_conformance.backends import (
    DTYPES,
    Array,
    BackendProcess,
    Failure,
    LossCall,
    LossResult,
    installed,
    resolve,
)
from bce_conformance.backends.isolation.transport import freeze, thaw
from tests.backends.adapters.formula import DEFAULT, array_type, moderate, with_quantities


@pytest.mark.parametrize("name", ["Native", "Torch", "Paddle", "Tensorflow", "Optax"])
def test_bits_enter_and_leave_the_frameworks_arrays_unchanged(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    backend = process(f"probes:{name}")
    if not installed(resolve(name.lower())):
        pytest.skip(f"{name} is not installed")
    random = np.random.default_rng(3)
    for dtype in (*DTYPES, "bool", "int32", "int64", "complex64"):
        size = 2**16 if array_type(dtype).itemsize == 2 else 1000
        bits = random.integers(0, 256, size * array_type(dtype).itemsize, np.uint8)
        if array_type(dtype).itemsize == 2:
            bits = np.arange(size, dtype=np.uint16).view(np.uint8)
        if dtype == "bool":
            bits &= 1
        sent = bits.view(array_type(dtype))
        for array in (sent, sent.reshape(8, -1), sent[5].reshape(()), sent[:0]):
            answer = backend.evaluate(LossCall(array, array))
            assert isinstance(answer, LossResult), (dtype, answer)
            got = answer.values["loss"]
            assert (got.dtype, got.shape) == (array.dtype, array.shape)
            assert got.tobytes() == array.tobytes()


def of_every_layout(dtype: str) -> dict[str, Array]:
    """Arrays of one shape, of different numbers."""
    base = np.arange(1, 25).reshape(4, 6).astype(array_type(dtype))
    raw = np.zeros(base.nbytes + 1, np.uint8)
    unaligned = np.ndarray(base.shape, base.dtype, raw, offset=1)
    unaligned[...] = base
    read_only = base.copy()
    read_only.flags.writeable = False
    return {
        "transposed": base.reshape(6, 4).T,
        "every second": np.repeat(base, 2, axis=1)[:, ::2],
        "stride zero": np.broadcast_to(base[0], base.shape),
        "backwards": base[::-1, ::-1],
        "unaligned": unaligned,
        "read-only": read_only,
    }


@pytest.mark.parametrize("name", ["Native", "Torch", "Paddle", "Tensorflow", "Optax"])
def test_every_layout_enters_the_frameworks_arrays_as_the_same_numbers(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    backend = process(f"probes:{name}")
    if not installed(resolve(name.lower())):
        pytest.skip(f"{name} is not installed")
    refused = {"backwards"} if name in ("Torch", "Paddle") else set()
    for dtype in DTYPES:
        for layout, sent in of_every_layout(dtype).items():
            answer = backend.evaluate(LossCall(sent, sent))
            if layout in refused:
                assert isinstance(answer, Failure)
                assert (answer.kind, "negative strides" in answer.detail) == ("unsupported", True)
                continue
            assert isinstance(answer, LossResult), (dtype, layout, answer)
            assert answer.values["loss"].tobytes() == sent.tobytes(), (dtype, layout)


@pytest.mark.parametrize("name", ["Torch", "Paddle"])
def test_strides_are_those_of_the_array_where_the_framework_has_strides(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    backend = process(f"probes:Strides{name}")
    if not installed(resolve(name.lower())):
        pytest.skip(f"{name} is not installed")
    layouts = of_every_layout("float32")
    for layout in ("transposed", "every second", "stride zero"):
        answer = backend.evaluate(LossCall(layouts[layout], layouts[layout]))
        assert isinstance(answer, LossResult), (layout, answer)
        expected = [stride // 4 for stride in layouts[layout].strides]
        assert answer.values["loss"].tolist() == expected


@pytest.mark.parametrize("name", DEFAULT)
def test_no_framework_changes_its_operands(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    call = with_quantities(moderate("float32"), "loss", "grad_logits")
    answer = process(name).evaluate(call)
    assert isinstance(answer, LossResult), answer
    assert answer.modified == ()


@pytest.mark.parametrize("name", ["Torch", "Tensorflow"])
def test_a_change_of_what_a_framework_holds_is_seen(
    process: Callable[[str], BackendProcess], name: str
) -> None:
    backend = process(f"probes:Forgetful{name}")
    if not installed(resolve(name.lower())):
        pytest.skip(f"{name} is not installed")
    answer = backend.evaluate(LossCall(np.ones(3), np.ones(3)))
    assert isinstance(answer, LossResult), answer
    assert answer.modified == ("logits",)


@pytest.mark.parametrize("first", [0, 3])
def test_a_tensor_that_begins_within_a_larger_one_is_a_view_of_that(first: int) -> None:
    pytest.importorskip("torch")
    from bce_conformance.backends.adapters.torch import TorchAdapter

    larger = np.arange(24, dtype=np.float32)
    sent = thaw(freeze(larger[first:]))
    assert isinstance(sent, np.ndarray)
    tensor = TorchAdapter().place(sent, "cpu")
    assert tensor.is_contiguous()
    assert (tensor.storage_offset() % 4 != 0) == (first % 4 != 0)
    assert tensor.tolist() == larger[first:].tolist()

"""How a call is made among others: what is remembered, shared or overwritten shows."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from bce_conformance.backends.calls import REPETITIONS, LossCall, LossResult
from bce_conformance.backends.isolation.repetition import evaluated, prepare

Array = np.ndarray[Any, np.dtype[Any]]


class Adapter:
    """Gives a function the arrays of a call, and fetches what it returns."""

    def __init__(self, loss: Callable[[LossCall], Array]) -> None:
        self.loss = loss

    def fetch(self, raw: Array) -> LossResult:
        return LossResult({"loss": np.array(raw)})

    def bind(self, call: LossCall) -> Callable[[], Array]:
        return lambda: self.loss(call)

    def made(self, call: LossCall) -> Array:
        prepare(self, call)
        return evaluated(self, self.bind(call), call).values["loss"]


def honest(call: LossCall) -> Array:
    return call.logits * call.targets


def remembering() -> Callable[[LossCall], Array]:
    """Takes an array that lies where an earlier one lay for the same."""
    known: dict[int, Array] = {}

    def loss(call: LossCall) -> Array:
        targets = known.setdefault(id(call.targets), call.targets.copy())
        return call.logits * targets

    return loss


def overwriting() -> Callable[[LossCall], Array]:
    """Returns the same buffer each time."""
    buffer = np.empty((2, 3))

    def loss(call: LossCall) -> Array:
        buffer[...] = honest(call)
        return buffer

    return loss


def planning() -> Callable[[LossCall], Array]:
    """Keeps the format that a shape first came in."""
    formats: dict[tuple[int, ...], Any] = {}

    def loss(call: LossCall) -> Array:
        format_ = formats.setdefault(call.logits.shape, call.logits.dtype)
        return honest(call) * np.array(1 / 3).astype(format_) * 3

    return loss


def striding() -> Callable[[LossCall], Array]:
    """Keeps the step from row to row that a number of elements first came with."""
    steps: dict[int, int] = {}

    def loss(call: LossCall) -> Array:
        size = call.logits.itemsize
        step = steps.setdefault(call.logits.size, call.logits.strides[0] // size)
        return as_strided(call.logits, strides=(step * size, size)) * call.targets

    return loss


def unsettled() -> Callable[[LossCall], Array]:
    """Leaves a setting of its own behind when a weight does not fit."""
    left = [0.0]

    def loss(call: LossCall) -> Array:
        left[0] = 1.0
        if call.weight is not None:
            np.broadcast_shapes(call.weight.shape, call.logits.shape)
        left[0] = 0.0
        return honest(call)

    return lambda call: call.logits * 7 if left[0] else loss(call)


def muddled() -> Callable[[LossCall], Array]:
    """Keeps the weight of a call whose targets do not fit, and takes it for that of the next."""
    left: dict[str, Array] = {}

    def loss(call: LossCall) -> Array:
        if call.weight is not None:
            np.broadcast_shapes(call.weight.shape, call.logits.shape)
            left["weight"] = call.weight
        np.broadcast_shapes(call.targets.shape, call.logits.shape)
        weight = left.pop("weight", None)
        return honest(call) if weight is call.weight else call.logits

    return loss


def evaluating() -> Callable[[LossCall], Array]:
    """Keeps for a number of dimensions what an evaluation without a graph first made."""
    graphs: dict[int, bool] = {}

    def loss(call: LossCall) -> Array:
        has_graph = graphs.setdefault(call.logits.ndim, call.autograd != "off")
        return honest(call) if has_graph or call.autograd == "off" else call.logits

    return loss


def recording() -> Callable[[LossCall], Array]:
    """After fifty calls takes targets as they were then."""
    seen: list[Array] = []

    def loss(call: LossCall) -> Array:
        seen.append(call.targets.copy())
        return call.logits * seen[min(len(seen), 50) - 1]

    return loss


def sharing() -> Callable[[LossCall], Array]:
    """Is wrong while another thread is in it."""
    inside, lock = [0], threading.Lock()

    def loss(call: LossCall) -> Array:
        with lock:
            inside[0] += 1
        time.sleep(0.01)
        others = inside[0] - 1
        with lock:
            inside[0] -= 1
        return honest(call) + others

    return loss


def call_of(repetition: str, *, read_only: bool = False, scale: float = 1.0) -> LossCall:
    logits, targets = np.array([[1.0, 2.0, 3.0]] * 2) * scale, np.array([[4.0, 5.0, 6.0]] * 2)
    logits.flags.writeable = targets.flags.writeable = not read_only
    quantities = ("loss", "grad_logits")
    return LossCall(logits, targets, reduction="none", quantities=quantities, repetition=repetition)


RIGHT = [[4.0, 10.0, 18.0]] * 2


@pytest.mark.parametrize("repetition", REPETITIONS)
@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_right_stays_right(repetition: str, read_only: bool) -> None:
    call = call_of(repetition, read_only=read_only)
    assert Adapter(honest).made(call).tolist() == RIGHT
    assert call.logits.tolist() == [[1.0, 2.0, 3.0]] * 2
    assert call.targets.tolist() == [[4.0, 5.0, 6.0]] * 2


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (remembering, "changed"),
        (overwriting, "changed"),
        (recording, "changed"),
        pytest.param(sharing, "at once", marks=pytest.mark.slow),
        (planning, "other format"),
        (striding, "other shape"),
        (unsettled, "other shape"),
        (evaluating, "other shape"),
        (muddled, "other shape"),
    ],
)
def test_a_fault_shows_in_one_of_them(
    fault: Callable[[], Callable[[LossCall], Array]], shown: str
) -> None:
    for repetition in REPETITIONS:
        # Of some calls with few elements each is made many times, which one their bytes decide.
        right = all(
            np.array_equal(
                Adapter(fault()).made(call_of(repetition, scale=2.0**k)), np.multiply(RIGHT, 2**k)
            )
            for k in range(24)
        )
        assert right == (repetition != shown), repetition


def test_what_has_one_axis_is_cut_in_half() -> None:
    seen: list[dict[str, tuple[int, ...]]] = []

    def loss(call: LossCall) -> Array:
        given = {name: getattr(call, name) for name in ("logits", "targets", "weight", "cotangent")}
        seen.append({name: array.shape for name, array in given.items() if array is not None})
        return call.logits

    row, one = np.ones(5), np.ones(())
    call = LossCall(row, row, weight=np.ones(1), cotangent=one, repetition="other shape")
    prepare(Adapter(loss), call)
    half = {"logits": (3,), "targets": (3,)}
    assert seen == [
        half | {"weight": (1,)},
        half | {"weight": (1,), "cotangent": ()},
        half | {"weight": (4,), "cotangent": ()},
        {"logits": (3,), "targets": (4,), "weight": (3,), "cotangent": ()},
    ]


def test_what_has_no_axis_stays_as_it_is_but_for_the_weight() -> None:
    seen: list[Array | None] = []

    def loss(call: LossCall) -> Array:
        seen.append(call.weight)
        return call.logits

    number = np.ones(())
    prepare(Adapter(loss), LossCall(number, number, repetition="other shape"))
    assert [None if weight is None else weight.shape for weight in seen] == [None, None, (2,), ()]


def test_every_element_is_another_one_meanwhile() -> None:
    seen: list[LossCall] = []

    def loss(call: LossCall) -> Array:
        arrays = (call.logits, call.targets, call.weight, call.pos_weight)
        seen.append(LossCall(*(None if a is None else a.copy() for a in arrays)))  # type: ignore[arg-type]
        return honest(call)

    given = {
        "weight": np.array([0, 1, 200], np.uint8),
        "pos_weight": np.array([True, False, True]),
    }
    call = LossCall(np.array([1.0, 0.5, np.nan], ">f4"), np.zeros(3), **given, repetition="changed")
    Adapter(loss).made(call)
    before, made, after = seen
    for name in ("logits", "targets", "weight", "pos_weight"):
        own = getattr(call, name)
        np.testing.assert_array_equal(getattr(made, name), own)
        for other in (before, after):
            assert (getattr(other, name) != own).all(), name


def test_operands_that_share_memory_get_it_back() -> None:
    memory = np.array([1.0, 2.0, 3.0, 4.0])
    call = LossCall(memory[:3], memory[1:], reduction="none", repetition="changed")
    assert Adapter(honest).made(call).tolist() == [2.0, 6.0, 12.0]
    assert memory.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_what_a_thread_raises_is_raised() -> None:
    calls = []

    def loss(call: LossCall) -> Array:
        calls.append(call)
        if len(calls) > 1:
            raise ValueError("in use")
        return honest(call)

    with pytest.raises(ValueError, match="in use"):
        Adapter(loss).made(call_of("at once"))


def test_an_unknown_repetition_is_refused() -> None:
    with pytest.raises(ValueError, match="repetition is 'often'"):
        call_of("often")

"""No more calls than slots, the backend with the most left first, nobody waits for ever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bce_conformance.backends import LossCall
from bce_conformance.conformance.running.call_slots import LARGE, CallSlots, SlottedProcess, Stopped


def test_no_more_calls_are_under_way_than_there_are_slots() -> None:
    slots = CallSlots(2)
    lock, now, most = threading.Lock(), 0, 0

    def call(backend: str) -> None:
        nonlocal now, most
        with slots.take(backend):
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.01)
            with lock:
                now -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(call, "abcdefgh"))
    assert most == 2


def waiting(slots: CallSlots, backend: str, then, *, large: bool = False) -> threading.Thread:
    """A thread that waits for its turn."""

    def run() -> None:
        with slots.take(backend, large=large):
            then(backend)

    before = len(slots._waiting)
    thread = threading.Thread(target=run)
    thread.start()
    while len(slots._waiting) == before and thread.is_alive():
        time.sleep(0.001)
    return thread


def test_one_large_call_at_most_is_under_way_and_lets_small_ones_by() -> None:
    slots = CallSlots(3)
    slots.left.update(large=9, small=1)
    order: list[str] = []
    with slots.take("first", large=True):
        large = waiting(slots, "large", order.append, large=True)
        with slots.take("small"):
            pass
        assert order == []
    large.join(5)
    assert order == ["large"]
    with slots.take("again", large=True):
        pass


def test_a_call_is_large_by_its_operands() -> None:
    asked: list[bool] = []

    class Asked(CallSlots):
        def take(self, backend: str, *, large: bool = False):
            asked.append(large)
            return super().take(backend, large=large)

    class Process:
        def evaluate(self, call: LossCall) -> None:
            pass

    subject = SlottedProcess("some", Process(), Asked(1))  # type: ignore[arg-type]
    half = np.zeros(LARGE // 2, np.uint8)
    for call in (LossCall(half, half), LossCall(half, half[1:]), LossCall(half, half[:1], half)):
        subject.evaluate(call)
    assert asked == [True, False, True]


def test_the_backend_with_the_most_left_goes_first() -> None:
    slots = CallSlots(1)
    slots.left.update(ahead=1, behind=9, between=5)
    order: list[str] = []
    with slots.take("first"):
        threads = [waiting(slots, name, order.append) for name in ("ahead", "between", "behind")]
        assert order == []
    for thread in threads:
        thread.join(timeout=10)
    assert order == ["behind", "between", "ahead"]


def test_stopping_ends_who_waits_and_who_holds() -> None:
    slots = CallSlots(1)
    ended: list[str] = []

    def wait() -> None:
        with pytest.raises(Stopped), slots.take("waiting"):
            ended.append("held")
        ended.append("stopped")

    def hold() -> None:
        with slots.take("holding"):
            thread = threading.Thread(target=wait)
            thread.start()
            while not slots._waiting:
                time.sleep(0.001)
            slots.stop()
            thread.join(timeout=10)
            raise RuntimeError("its process was ended")

    with pytest.raises(Stopped):
        hold()
    assert ended == ["stopped"]
    with pytest.raises(Stopped), slots.take("late"):
        ended.append("held")
    assert ended == ["stopped"]


def test_a_call_that_fails_gives_its_slot_back() -> None:
    slots = CallSlots(1)
    with pytest.raises(ValueError, match="its own"), slots.take("a"):
        raise ValueError("its own")
    with slots.take("b"):
        pass


def test_cells_that_take_long_count_for_more() -> None:
    slots = CallSlots(1)
    slots.left.update(many=30, compiled=10)
    assert slots.seconds_left("many") > slots.seconds_left("compiled")
    slots.held.update(many=1.0, compiled=40.0)
    for backend in ("many", "compiled"):
        for _ in range(4):
            slots.filled(backend)
    assert slots.left == {"many": 26, "compiled": 6}
    assert slots.seconds_left("compiled") == pytest.approx(6 * 41 / 5)
    assert slots.seconds_left("many") == pytest.approx(26 * 2 / 5)
    order: list[str] = []
    with slots.take("first"):
        threads = [waiting(slots, name, order.append) for name in ("many", "compiled")]
    for thread in threads:
        thread.join(5)
    assert order == ["compiled", "many"]

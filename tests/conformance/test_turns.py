"""Turns: no more calls than slots, the backend with the most left first, nobody waits for ever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bce_conformance.backends import LossCall
from bce_conformance.conformance.running.call_slots import LARGE, InTurn, Stopped, Turns


def test_no_more_calls_are_under_way_than_there_are_slots() -> None:
    turns = Turns(2)
    lock, now, most = threading.Lock(), 0, 0

    def call(backend: str) -> None:
        nonlocal now, most
        with turns.of(backend):
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.01)
            with lock:
                now -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(call, "abcdefgh"))
    assert most == 2


def waiting(turns: Turns, backend: str, then, *, large: bool = False) -> threading.Thread:
    """A thread that waits for its turn."""

    def run() -> None:
        with turns.of(backend, large=large):
            then(backend)

    before = len(turns._waiting)
    thread = threading.Thread(target=run)
    thread.start()
    while len(turns._waiting) == before and thread.is_alive():
        time.sleep(0.001)
    return thread


def test_one_large_call_at_most_is_under_way_and_lets_small_ones_by() -> None:
    turns = Turns(3)
    turns.left.update(large=9, small=1)
    order: list[str] = []
    with turns.of("first", large=True):
        large = waiting(turns, "large", order.append, large=True)
        with turns.of("small"):
            pass
        assert order == []
    large.join(5)
    assert order == ["large"]
    with turns.of("again", large=True):
        pass


def test_a_call_is_large_by_its_operands() -> None:
    asked: list[bool] = []

    class Asked(Turns):
        def of(self, backend: str, *, large: bool = False):
            asked.append(large)
            return super().of(backend, large=large)

    class Process:
        def evaluate(self, call: LossCall) -> None:
            pass

    subject = InTurn("some", Process(), Asked(1))  # type: ignore[arg-type]
    half = np.zeros(LARGE // 2, np.uint8)
    for call in (LossCall(half, half), LossCall(half, half[1:]), LossCall(half, half[:1], half)):
        subject.evaluate(call)
    assert asked == [True, False, True]


def test_the_backend_with_the_most_left_goes_first() -> None:
    turns = Turns(1)
    turns.left.update(ahead=1, behind=9, between=5)
    order: list[str] = []
    with turns.of("first"):
        threads = [waiting(turns, name, order.append) for name in ("ahead", "between", "behind")]
        assert order == []
    for thread in threads:
        thread.join(timeout=10)
    assert order == ["behind", "between", "ahead"]


def test_stopping_ends_who_waits_and_who_holds() -> None:
    turns = Turns(1)
    ended: list[str] = []

    def wait() -> None:
        with pytest.raises(Stopped), turns.of("waiting"):
            ended.append("held")
        ended.append("stopped")

    def hold() -> None:
        with turns.of("holding"):
            thread = threading.Thread(target=wait)
            thread.start()
            while not turns._waiting:
                time.sleep(0.001)
            turns.stop()
            thread.join(timeout=10)
            raise RuntimeError("its process was ended")

    with pytest.raises(Stopped):
        hold()
    assert ended == ["stopped"]
    with pytest.raises(Stopped), turns.of("late"):
        ended.append("held")
    assert ended == ["stopped"]


def test_a_call_that_fails_gives_its_slot_back() -> None:
    turns = Turns(1)
    with pytest.raises(ValueError, match="its own"), turns.of("a"):
        raise ValueError("its own")
    with turns.of("b"):
        pass


def test_cells_that_take_long_count_for_more() -> None:
    turns = Turns(1)
    turns.left.update(many=30, compiled=10)
    assert turns.seconds_left("many") > turns.seconds_left("compiled")
    turns.held.update(many=1.0, compiled=40.0)
    for backend in ("many", "compiled"):
        for _ in range(4):
            turns.filled(backend)
    assert turns.left == {"many": 26, "compiled": 6}
    assert turns.seconds_left("compiled") == pytest.approx(6 * 41 / 5)
    assert turns.seconds_left("many") == pytest.approx(26 * 2 / 5)
    order: list[str] = []
    with turns.of("first"):
        threads = [waiting(turns, name, order.append) for name in ("many", "compiled")]
    for thread in threads:
        thread.join(5)
    assert order == ["compiled", "many"]

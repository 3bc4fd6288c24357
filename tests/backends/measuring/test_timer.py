"""Timing in a worker: what is within the time, cold caches, priority."""

import os
import time
from typing import Any

import pytest

from bce_conformance.backends import (
    BackendProcess,
    Failure,
    UnsupportedCall,
    resolve,
)
from bce_conformance.backends.measuring import real_time
from bce_conformance.backends.measuring.timer import Timer
from bce_conformance.backends.measuring.workload import Workload


class Sleeper:
    """An adapter whose thunk takes 20 ms and counts what is asked of it."""

    def __init__(self) -> None:
        self.bound = self.called = 0

    def bind(self, call: Any) -> Any:
        self.bound += 1

        def thunk() -> None:
            self.called += 1
            time.sleep(0.02)

        return thunk


def test_a_thunk_is_warmed_up_and_bound_once() -> None:
    sleeper = Sleeper()
    timer = Timer(sleeper)  # type: ignore[arg-type]
    first = timer.measure(Workload(32), 0.1)
    assert all(0.02 <= seconds < 0.1 for seconds in first)
    assert 2 <= len(first) <= 6
    assert sleeper.called == len(first) + 3 + 1
    timer.measure(Workload(32), 0.05)
    assert sleeper.bound == 1


def test_a_call_longer_than_the_time_is_made_once_a_round() -> None:
    sleeper = Sleeper()
    timer = Timer(sleeper)  # type: ignore[arg-type]
    timer.measure(Workload(32), 0.001)
    assert sleeper.called == 3 + 1
    (seconds,) = timer.measure(Workload(32), 0.001)
    assert sleeper.called == 3 + 2
    assert seconds >= 0.02


def test_a_cold_cache_is_one_that_a_larger_call_went_through() -> None:
    class Sized(Sleeper):
        def bind(self, call: Any) -> Any:
            self.sizes = [*getattr(self, "sizes", []), call.logits.nbytes]
            return super().bind(call)

    sized = Sized()
    timer = Timer(sized)  # type: ignore[arg-type]
    for _ in range(2):
        samples = timer.measure(Workload(32, cache="cold"), 0.1)
    assert sized.sizes[0] == 32 * 4
    assert sized.sizes[1:] == [128_000_000]  # bound once
    assert all(0.02 <= seconds < 0.04 for seconds in samples)  # without the other call
    assert len(samples) <= 3


def scheduling() -> set[int]:
    return {os.sched_getscheduler(int(task)) for task in os.listdir("/proc/self/task")}


@pytest.mark.skipif(not real_time.permitted(), reason="real-time priority is not permitted here")
def test_real_time_lasts_as_long_as_the_measurement() -> None:
    class Watched(Sleeper):
        def bind(self, call: Any) -> Any:
            self.policies = [scheduling()]
            return lambda: self.policies.append(scheduling())

    watched = Watched()
    timer = Timer(watched)  # type: ignore[arg-type]
    timer.measure(Workload(32), 0, ahead=True)
    assert watched.policies[:4] == [{os.SCHED_OTHER}] * 4  # bound and warmed up
    assert watched.policies[4:]
    assert set().union(*watched.policies[4:]) == {os.SCHED_RR}
    assert scheduling() == {os.SCHED_OTHER}


def test_threads_are_held_to_one_and_let_go() -> None:
    class Threaded(Sleeper):
        extensions = ("threads",)
        count = 8

        def set_threads(self, count: int) -> int:
            before, self.count = self.count, count
            self.counts = [*getattr(self, "counts", []), count]
            return before

    threaded = Threaded()
    Timer(threaded).measure(Workload(32, threads=1), 0)  # type: ignore[arg-type]
    assert threaded.counts == [1, 8]
    with pytest.raises(UnsupportedCall, match="cannot set the number of threads"):
        Timer(Sleeper()).measure(Workload(32, threads=1), 0)  # type: ignore[arg-type]


def test_large_workloads_push_each_other_out() -> None:
    sleeper = Sleeper()
    timer = Timer(sleeper)  # type: ignore[arg-type]
    large, other = Workload(16_000_000), Workload(16_000_000, what="gradient")
    timer._bound[other] = lambda: None
    timer.measure(Workload(32), 0)
    assert set(timer._bound) == {other, Workload(32)}
    timer.measure(large, 0)
    assert set(timer._bound) == {Workload(32), large}


def test_a_process_times_and_says_why_it_cannot() -> None:
    with BackendProcess(resolve("native")) as process:
        seconds = process.time(Workload(32), 0.02)
        assert isinstance(seconds, list)
        assert all(1e-8 < one < 1e-2 for one in seconds)
        absent = process.time(Workload(32, device="cuda"), 0.02)
        assert absent == Failure("unsupported", "no device cuda")
        assert isinstance(process.time(Workload(32), 0.02), list)

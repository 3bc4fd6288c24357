"""Workers on this machine: what each is given of its processors, and how it keeps memory."""

import os

import pytest

from bce_conformance.conformance.cluster import client_of
from bce_conformance.conformance.processor_share import share_of

FOUR = [0, 1, 4, 5]


@pytest.mark.parametrize(
    ("workers", "shares"),
    [
        (1, [{0, 1, 4, 5}]),
        (2, [{0, 1}, {4, 5}]),
        (3, [{0}, {1}, {4}]),
        (4, [{0}, {1}, {4}, {5}]),
        (5, [{0, 1, 4, 5}] * 5),
    ],
)
def test_processors_are_shared(workers: int, shares: list[set[int]]) -> None:
    assert [share_of(number, workers, FOUR) for number in range(workers)] == shares


def test_a_worker_that_came_in_place_of_another_has_a_share() -> None:
    assert share_of(7, 2, FOUR) == {4, 5}


def settings() -> tuple[list[int], str, str]:
    return (
        sorted(os.sched_getaffinity(0)),
        os.environ["MALLOC_TRIM_THRESHOLD_"],
        os.environ.get("NUMBA_NUM_THREADS", ""),
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
@pytest.mark.parametrize("shared", [True, False])
def test_local_workers_are_set_up(shared: bool) -> None:
    processors = sorted(os.sched_getaffinity(0))
    with client_of("local:2", share_processors=shared) as client:
        found = sorted(client.run(settings).values())
    half = len(processors) // 2
    shares = [processors[:half], processors[half : 2 * half]] if shared and half else []
    assert [each for each, _, _ in found] == (shares or [processors] * 2)
    assert {trim for _, trim, _ in found} == {str(1 << 26)}
    assert {bool(threads) for _, _, threads in found} == {shared}

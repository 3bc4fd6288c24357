"""The engine of a cluster, with a client that needs none: what is lost, fails or differs."""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from types import SimpleNamespace
from typing import Any

import pytest

from bce_conformance.backends import BackendInfo, resolve
from bce_conformance.conformance.cluster import ClusterError
from bce_conformance.conformance.sweeping.cluster import Cluster
from bce_conformance.conformance.sweeping.journal import Finished
from bce_conformance.conformance.sweeping.on_worker import Answer, Asked
from bce_conformance.conformance.sweeping.pipeline import Place
from bce_conformance.conformance.sweeping.plan import Plan, plan
from bce_conformance.conformance.sweeping.sweep import code_digest

INFO = BackendInfo("native", "native", "1", instruction_set="x86-64-v3")
PLAN = plan("float32", "0", "loss", "0:7fffff")
PLACES = list(PLAN.in_order())

Answered = Callable[[int, Sequence[Place]], Answer | Exception]


class Future:
    def __init__(self, answer: Answer | Exception) -> None:
        self.answer = answer
        lost = isinstance(answer, CancelledError)
        failed = isinstance(answer, Exception)
        self.status = "cancelled" if lost else "error" if failed else "finished"

    def done(self) -> bool:
        return True

    def result(self) -> Answer:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def exception(self) -> Answer | Exception:
        return self.answer


class Client:
    """Answers at once what it is told to; the first question only describes the backend."""

    scheduler = SimpleNamespace(address="tcp://there:8786")
    status = "running"

    def __init__(self, answered: Answered) -> None:
        self.answered, self.asked = answered, -1
        self.cancelled: list[Future] = []

    def wait_for_workers(self, count: int, timeout: float) -> None:
        if self.status != "running":
            raise TimeoutError

    def nthreads(self) -> dict[str, int]:
        return {"one": 1, "two": 1}

    def submit(self, function: Any, asked: Asked, plan: Plan, places: Any, pure: bool) -> Future:
        assert asked.backend == "native"
        self.asked += 1
        return Future(self.answered(self.asked, places))

    def cancel(self, futures: list[Future]) -> None:
        self.cancelled += futures


def right(number: int, places: Sequence[Place]) -> Answer:
    outcomes = tuple((place, {"loss": Finished(str(place[1]).encode())}) for place in places)
    return Answer(INFO, code_digest(), outcomes)


def outcomes(client: Client) -> dict[Any, Finished]:
    engine = Cluster(client, resolve("native"), 1.0, {}, PLAN, limit=0.01)
    found = list(engine.outcomes(PLAN, PLACES, lambda: False))
    assert len(found) == len({place[1] for place, _ in found})
    return {place[1]: one["loss"] for place, one in found}


def test_every_piece_comes_back_once() -> None:
    assert outcomes(Client(right)) == {p: Finished(str(p).encode()) for _, p in PLACES}


def test_what_a_lost_scheduler_knew_of_is_asked_again() -> None:
    def lossy(number: int, places: Sequence[Place]) -> Answer | Exception:
        return CancelledError("scheduler-connection-lost") if number == 2 else right(number, places)

    client = Client(lossy)
    assert outcomes(client) == outcomes(Client(right))
    assert client.asked == len(PLACES) + 1


def test_a_scheduler_that_stays_away_ends_the_sweep() -> None:
    def lossy(number: int, places: Sequence[Place]) -> Answer | Exception:
        if number < 2:
            return right(number, places)
        client.status = "connecting"
        return CancelledError("scheduler-connection-lost")

    client = Client(lossy)
    with pytest.raises(ClusterError, match=r"scheduler at tcp://there:8786 is gone.* --resume"):
        outcomes(client)


def test_a_task_that_ends_its_workers_marks_its_pieces() -> None:
    distributed = pytest.importorskip("distributed")

    def deadly(number: int, places: Sequence[Place]) -> Answer | Exception:
        return distributed.KilledWorker("task", None, 3) if number == 3 else right(number, places)

    found = outcomes(Client(deadly))
    failed = {piece: one for piece, one in found.items() if one.summary is None}
    assert set(failed) == {PLACES[2][1]}
    assert failed[PLACES[2][1]].failure == "lost: 4 workers ended while they evaluated it"


OTHERS = {
    "other code, of digest abc instead of": Answer(INFO, "abc", ()),
    "differ: one has native, native, 2, x86-64-v3, another native, native, 1": Answer(
        BackendInfo("native", "native", "2", instruction_set="x86-64-v3"), code_digest(), ()
    ),
    "a worker of tcp://there:8786 failed: no such thing": ValueError("no such thing"),
}


@pytest.mark.parametrize("message", OTHERS)
def test_workers_that_differ_or_fail_end_the_sweep(message: str) -> None:
    client = Client(lambda number, places: OTHERS[message] if number else right(number, places))
    with pytest.raises(ClusterError, match=message):
        outcomes(client)
    assert client.cancelled  # what the others still had to do


def test_a_cluster_without_workers_is_told() -> None:
    client = Client(right)
    client.status = "connecting"
    with pytest.raises(ClusterError, match="no worker has come to tcp://there:8786 in 0 s: start"):
        outcomes(client)

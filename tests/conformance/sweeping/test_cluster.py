"""The engine of a cluster, with a client that needs none: what is lost, fails or differs."""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
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
from tests.clusters import Client

INFO = BackendInfo("native", "native", "1", instruction_set="x86-64-v3")
PLAN = plan("float32", "0", "loss", "0:7fffff")
PLACES = list(PLAN.in_order())

Answered = Callable[[int, Sequence[Place]], Answer | Exception]


def right(number: int, places: Sequence[Place]) -> Answer:
    outcomes = tuple((place, {"loss": Finished(str(place[1]).encode())}) for place in places)
    return Answer(INFO, code_digest(), outcomes)


def client_of(answered: Answered) -> Client:
    """A client whose first question only describes the backend."""

    def told(number: int, asked: Asked, plan: Plan, places: Sequence[Place]) -> Answer | Exception:
        assert asked.backend == "native"
        return answered(number, places)

    return Client(told)


def outcomes(client: Client) -> dict[Any, Finished]:
    engine = Cluster(client, resolve("native"), 1.0, {}, PLAN, limit=0.01)
    found = list(engine.outcomes(PLAN, PLACES, lambda: False))
    assert len(found) == len({place[1] for place, _ in found})
    return {place[1]: one["loss"] for place, one in found}


def test_every_piece_comes_back_once() -> None:
    assert outcomes(client_of(right)) == {p: Finished(str(p).encode()) for _, p in PLACES}


def test_what_a_lost_scheduler_knew_of_is_asked_again() -> None:
    def lossy(number: int, places: Sequence[Place]) -> Answer | Exception:
        return CancelledError("scheduler-connection-lost") if number == 2 else right(number, places)

    client = client_of(lossy)
    assert outcomes(client) == outcomes(client_of(right))
    assert client.asked == len(PLACES) + 2


def test_a_scheduler_that_stays_away_ends_the_sweep() -> None:
    def lossy(number: int, places: Sequence[Place]) -> Answer | Exception:
        if number < 2:
            return right(number, places)
        client.status = "connecting"
        return CancelledError("scheduler-connection-lost")

    client = client_of(lossy)
    with pytest.raises(ClusterError, match=r"scheduler at tcp://there:8786 is gone.* --resume"):
        outcomes(client)


def test_a_task_that_ends_its_workers_marks_its_pieces() -> None:
    distributed = pytest.importorskip("distributed")

    def deadly(number: int, places: Sequence[Place]) -> Answer | Exception:
        return distributed.KilledWorker("task", None, 3) if number == 3 else right(number, places)

    found = outcomes(client_of(deadly))
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
    client = client_of(lambda number, places: OTHERS[message] if number else right(number, places))
    with pytest.raises(ClusterError, match=message):
        outcomes(client)
    assert client.cancelled  # what the others still had to do


def test_a_cluster_without_workers_is_told() -> None:
    client = client_of(right)
    client.status = "connecting"
    with pytest.raises(ClusterError, match="no worker has come to tcp://there:8786 in 0 s: start"):
        outcomes(client)

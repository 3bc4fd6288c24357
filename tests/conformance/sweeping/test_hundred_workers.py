"""What the engine of a cluster costs beside a hundred workers whose tasks take a recorded time."""

import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pytest

from bce_conformance.backends import resolve
from bce_conformance.conformance.sweeping import cluster, on_worker
from bce_conformance.conformance.sweeping.on_worker import Answer, Asked
from bce_conformance.conformance.sweeping.pipeline import Place
from bce_conformance.conformance.sweeping.plan import Plan, plan

WORKERS, SECONDS = 100, 1.07
"""Workers, and what a task of eight pieces takes native on one processor: 127 ns a point."""
PLAN = plan("float32", "0,1", "loss,grad_logits", "0:ffffffff")
ASKED = Asked("native", 60.0, ())


@cache
def recorded(plan: Plan) -> Answer:
    """What a worker has answered to its first task, evaluated once."""
    return on_worker.evaluated(ASKED, plan, tuple(plan.in_order())[:1])


def replayed(asked: Asked, plan: Plan, places: Sequence[Place]) -> Answer:
    """An answer of the size that those to a task have, after the time that a task takes."""
    answer = recorded(PLAN)
    ((_, outcomes),) = answer.outcomes
    if places:
        time.sleep(SECONDS)
    return Answer(answer.info, answer.code, tuple((place, outcomes) for place in places))


@pytest.fixture
def client() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    recorded(PLAN)
    options: dict[str, Any] = {
        "n_workers": WORKERS,
        "protocol": "tcp://",
        "host": "127.0.0.1",
        "dashboard_address": None,
    }
    options |= {"scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}
    # Each of them would take the memory of all for its own, and rest.
    options |= {"threads_per_worker": 1, "processes": False, "memory_limit": None}
    # What a worker watches a hundred times a second, in its own process: in one for all hundred the
    # watching alone takes a slow processor.
    unwatched = {
        "distributed.admin.system-monitor.interval": "1h",
        "distributed.admin.tick.interval": "1h",
        "distributed.worker.profile.enabled": False,
    }
    with (
        dask.config.set(unwatched),
        distributed.LocalCluster(**options) as local,
        distributed.Client(local, set_as_default=False) as found,
    ):
        yield found


@pytest.mark.slow
def test_a_hundred_workers_are_kept_busy(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "evaluated", replayed)
    engine = cluster.Cluster(client, resolve("native"), 60.0, {}, PLAN)
    places = list(PLAN.in_order())
    begun, used = time.monotonic(), time.process_time()
    found = [place for place, _ in engine.outcomes(PLAN, places, lambda: False)]
    took, used = time.monotonic() - begun, time.process_time() - used
    tasks = len(places) / 8
    print(f"{tasks:.0f} tasks in {took:.1f} s, {used / tasks * 1e3:.1f} ms of processor time each")
    assert sorted(found, key=str) == sorted(places, key=str)
    assert used / tasks < 0.03 * SECONDS  # the scheduler, the client and what workers do beside

"""What a worker of a cluster does: one backend from task to task, and summaries back."""

import pickle
from pathlib import Path

import pytest

from bce_conformance.backends import BackendProcess, resolve
from bce_conformance.conformance.sweeping import on_worker
from bce_conformance.conformance.sweeping.on_worker import Asked, evaluated
from bce_conformance.conformance.sweeping.pipeline import Local, SweepError
from bce_conformance.conformance.sweeping.plan import plan
from bce_conformance.conformance.sweeping.sweep import code_digest


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def pid(asked: Asked) -> int | None:
    process, _ = on_worker._LIVING[asked]
    return process.pid


def test_answers_are_those_of_the_engine_of_one_process() -> None:
    wanted = plan("float16", "0,1", "loss,grad_logits", "3c00:3cff")
    places = tuple(wanted.in_order())
    asked = Asked("planted:Exact", 600.0, ())
    described = evaluated(asked, wanted, ())
    assert (described.info.id, described.code) == ("planted:Exact", code_digest())
    assert described.outcomes == ()
    first = pid(asked)
    answer = evaluated(asked, wanted, places)
    assert pid(asked) == first  # it lives on
    with BackendProcess(resolve("planted:Exact")) as process:
        assert answer.outcomes == tuple(Local(process).outcomes(wanted, places, lambda: False))
    assert len(pickle.dumps(answer)) < 4000
    assert pickle.loads(pickle.dumps(answer)) == answer


def test_a_backend_that_died_is_another_one_in_the_next_task() -> None:
    wanted = plan("float32", "0", "loss", "100000:2fffff")
    dying, next_one = (((group, piece),) for group, piece in wanted.in_order())
    asked = Asked("planted:DiesOnce", 600.0, ())
    evaluated(asked, wanted, ())
    first = pid(asked)
    ((_, outcomes),) = evaluated(asked, wanted, dying).outcomes
    assert outcomes["loss"].failure == "crashed: exit code 3"
    ((_, outcomes),) = evaluated(asked, wanted, next_one).outcomes
    assert outcomes["loss"].summary is not None
    assert pid(asked) not in (None, first)
    evaluated(asked, wanted, ())


def test_a_backend_that_does_not_start_is_told() -> None:
    with pytest.raises(SweepError, match="planted:Absent does not start"):
        evaluated(Asked("planted:Absent", 600.0, ()), plan("float16", "0", "loss"), ())

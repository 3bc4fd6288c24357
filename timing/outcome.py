"""The outcome of a session of the benchmark: timings, beside a run or alone.

Guarantees that a file which holds them alone says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from bce_conformance.backends import BackendInfo, Failure
from bce_conformance.conformance.running.outcome import entry, machine
from bce_conformance.results.host import commit, now
from bce_conformance.results.model import Results, Run, Timings

from .goals import JudgedGoal, judge
from .plan import AGAIN, LIMIT, has_goals
from .session import Session

NO_CELLS = "timings only"
"""Tier of a results.json that no run of the matrix wrote."""


def timings(session: Session, *, started: str, argv: Sequence[str]) -> Timings:
    """What a session measured."""
    return Timings(
        started=started,
        finished=now(),
        interrupted=session.interrupted,
        argv=tuple(argv),
        commit=commit(),
        host=machine(),
        rounds=session.rounds,
        versions={name: info.version for name, info in _backends(session).items()},
        measurements=session.timings,
        others=session.others.processors,
    )


def goals(session: Session) -> tuple[JudgedGoal, ...]:
    """The goals of the native implementation by what a session measured; none where it was not."""
    return judge(session.timings, session.apart) if has_goals(session.plan) else ()


def alone(session: Session, timed: Timings) -> Results:
    """Results that hold timings and no cell."""
    run = Run(
        id=str(uuid.uuid4()),
        started=timed.started,
        finished=timed.finished,
        tier=NO_CELLS,
        argv=timed.argv,
        commit=timed.commit,
        host=timed.host,
        interrupted=timed.interrupted,
        inputs=0,
        seed=None,
        leaves_out=(),
        seconds=None,
    )
    backends = tuple(map(entry, _backends(session).values()))
    return Results(run, backends, (), (), (), timed)


def _backends(session: Session) -> dict[str, BackendInfo]:
    return {
        name: info
        for name, info in session.infos.items()
        if not isinstance(info, Failure) and name != LIMIT and not name.endswith(AGAIN)
    }

"""What a worker of a cluster does of a sweep: a range of pieces, and what comes back of it.

Truth, judging and the backend run on the worker's machine, the backend in a process of its own.
Guarantees that the pieces of a worker are evaluated one task after another, by one backend process
that lives from task to task, and that what comes back are summaries, never arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bce_conformance.backends import BackendInfo, BackendProcess, resolve

from .pipeline import Local, Outcomes, Place
from .plan import Plan
from .sweep import code_digest


@dataclass(frozen=True)
class Asked:
    """A backend, and how it is asked.

    Attributes:
        backend: its id, as ``resolve`` takes it.
        time_limit: seconds that one call may take.
        environment: variables of its process, unless the worker has them.
    """

    backend: str
    time_limit: float
    environment: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """What came of a task.

    Attributes:
        info: the backend on the worker's machine.
        code: the digest of the code there.
        outcomes: of its pieces.
    """

    info: BackendInfo
    code: str
    outcomes: tuple[tuple[Place, Outcomes], ...]


_LIVING: dict[Asked, tuple[BackendProcess, int | None]] = {}  # with the id that it began with
# All that a worker evaluates runs in this thread: Linux ends a backend with the thread that
# started it, and kernels that run in parallel must not run twice at once.
_ROOM = ThreadPoolExecutor(1, "sweep")


def evaluated(asked: Asked, plan: Plan, places: tuple[Place, ...]) -> Answer:
    """Evaluate some pieces; without any, only describe the backend.

    Raises:
        StartError: the backend does not start.
        ValueError: it is unknown here.
    """
    return _ROOM.submit(_evaluated, asked, plan, places).result()


async def end() -> None:
    """End the backend of the sweep that this worker took part in, without waiting for it."""
    _ROOM.submit(_end)


def _end() -> None:
    while _LIVING:
        _, (process, _) = _LIVING.popitem()
        process.close()


def _evaluated(asked: Asked, plan: Plan, places: tuple[Place, ...]) -> Answer:
    process = _process(asked)
    try:
        engine = Local(process)
        _LIVING[asked] = process, process.pid
        found = tuple(engine.outcomes(plan, places, lambda: False))
    except BaseException:
        _LIVING.pop(asked, None)
        process.close()
        raise
    return Answer(engine.info, code_digest(), found)


def _process(asked: Asked) -> BackendProcess:
    """The backend that lives from task to task; another where it died, or another was asked.

    One that was started again in the middle of a task ends with the thread of that task.
    """
    process, pid = _LIVING.pop(asked, (None, None))
    if process is not None and process.pid == pid:
        return process
    if process is not None:
        process.close()
    _end()
    environment: Mapping[str, str] = dict(asked.environment)
    spec = resolve(asked.backend)
    return BackendProcess(spec, time_limit=asked.time_limit, environment=environment)

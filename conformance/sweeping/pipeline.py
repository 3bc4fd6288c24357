"""The pieces of a sweep on their way through one backend: evaluated, compared, summed up.

Three stages run at once, each in a thread of its own: the backend evaluates the next pieces, the
truth of one is computed, and the one before is summed up. A sweep runs in this way in its own
process, or in those of the workers of a cluster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from bce_conformance.backends import BackendInfo, BackendProcess, Failure, LossCall, LossResult

from .evaluating import Exact, Truths, call_of, summed_up, values_of
from .journal import Finished
from .plan import Group, Piece, Plan

_AHEAD = 2  # pieces that a stage may be ahead of the next
_PATIENCE = 0.2  # seconds between two looks whether the sweep is to end

Outcome = LossResult | Failure
Outcomes = Mapping[str, Finished]
"""By quantity: what came of a piece."""

Place = tuple[Group, Piece]


class SweepError(Exception):
    """The sweep cannot go on; the text says why."""


class FormatError(SweepError):
    """The backend has no such format."""


class StartError(SweepError):
    """The backend does not start."""


class Engine(Protocol):
    """What evaluates the pieces of a sweep."""

    @property
    def info(self) -> BackendInfo:
        """The backend."""

    @property
    def function(self) -> str:
        """The function of a user's own that it evaluates; empty for a framework's."""

    def outcomes(
        self, plan: Plan, places: Iterable[Place], stopped: Callable[[], bool]
    ) -> Generator[tuple[Place, Outcomes], None, None]:
        """Evaluate pieces; each with what came of it, in whatever order they are ready.

        Args:
            plan: what they are pieces of.
            places: the pieces.
            stopped: whether to end.

        Raises:
            KeyboardInterrupt: it was told to end.
            SweepError: it cannot go on.
            ClusterError: the cluster cannot.
        """


@dataclass(frozen=True)
class _Work:
    """A piece on its way."""

    place: Place
    call: LossCall
    outcome: Future[Outcome]


class Local:
    """The engine of this process: one backend, beside the truth.

    Args:
        process: the backend.

    Raises:
        StartError: it does not start.
    """

    def __init__(self, process: BackendProcess) -> None:
        self._process = process
        info = process.info()
        if isinstance(info, Failure):
            raise StartError(f"{process.spec.id} does not start: {info.reason}")
        self.info = info
        self.function = process.spec.function

    def outcomes(
        self, plan: Plan, places: Iterable[Place], stopped: Callable[[], bool]
    ) -> Generator[tuple[Place, Outcomes], None, None]:
        """Evaluate pieces, in order; see ``Engine``."""
        truths = Truths(plan)
        backend, summing = ThreadPoolExecutor(1, "backend"), ThreadPoolExecutor(1, "summing")
        ahead: deque[_Work] = deque()
        behind: deque[tuple[Place, Future[Outcomes]]] = deque()

        def judged(work: _Work) -> tuple[Place, Future[Outcomes]]:
            """Compute the truth of a piece, and have its results summed up."""
            exact = truths.of(work.call, *work.place)
            return work.place, summing.submit(_finished, work, exact, plan)

        try:
            for group, piece in places:
                _end_if(stopped)
                call = call_of(plan, group, piece)
                outcome = backend.submit(self._process.evaluate, call)
                ahead.append(_Work((group, piece), call, outcome))
                if len(ahead) > _AHEAD:
                    behind.append(judged(ahead.popleft()))
                while len(behind) > _AHEAD:
                    yield _waited_for(*behind.popleft(), stopped)
            while ahead:
                behind.append(judged(ahead.popleft()))
            while behind:
                yield _waited_for(*behind.popleft(), stopped)
        except BaseException:
            self._process.close()  # what the backend's thread waits for
            raise
        finally:
            backend.shutdown(wait=True, cancel_futures=True)
            summing.shutdown(wait=True, cancel_futures=True)


def _finished(work: _Work, exact: Mapping[str, Exact], plan: Plan) -> dict[str, Finished]:
    """What came of a piece, by quantity."""
    values = values_of(work.outcome.result(), work.call)
    if isinstance(values, str):
        return {quantity: Finished(None, values) for quantity in exact}
    return {
        quantity: Finished(
            summed_up(work.call, quantity, values[quantity], right, plan.format).encoded()
        )
        for quantity, right in exact.items()
    }


def _end_if(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise KeyboardInterrupt


def _waited_for(
    place: Place, future: Future[Outcomes], stopped: Callable[[], bool]
) -> tuple[Place, Outcomes]:
    """What a future gives, unless the sweep is stopped meanwhile: a backend may hang."""
    while not wait([future], timeout=_PATIENCE).done:
        _end_if(stopped)
    return place, future.result()

"""The engine of a cluster: the pieces of a sweep, evaluated by the workers of dask.distributed.

Guarantees that results are those of the engine of one process, bit for bit, and that a task which
ends one worker after another marks its pieces as failed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from itertools import islice
from typing import Any

from bce_conformance.backends import BackendInfo, BackendSpec
from bce_conformance.conformance.cluster import START_LIMIT, Arguments, Lost, Workers

from .journal import Finished
from .on_worker import Answer, Asked, end, evaluated
from .pipeline import Outcomes, Place
from .plan import PIECE, Plan
from .sweep import code_digest

_MOST = 8  # pieces of a task: a second or two
_AHEAD = 3  # tasks a worker that are with the scheduler at a time
_COMPARED = ("id", "framework", "version", "instruction_set")


class Cluster:
    """An engine that has the workers of a cluster evaluate.

    Args:
        client: of dask.distributed.
        spec: the backend.
        time_limit: seconds that one call may take.
        environment: variables of the backend's processes.
        plan: any: that of what is to be evaluated.
        limit: seconds in which a first worker has to come, or a lost scheduler to be back.

    Raises:
        ClusterError: there is no worker, or the code is another.
        StartError: the backend does not start there.
    """

    def __init__(
        self,
        client: Any,
        spec: BackendSpec,
        time_limit: float,
        environment: dict[str, str],
        plan: Plan,
        *,
        limit: float = START_LIMIT,
    ) -> None:
        self._workers = Workers(client, limit)
        self._asked = Asked(spec.id, time_limit, tuple(sorted(environment.items())))
        self.function = spec.function
        answer: Answer = self._workers.ask(evaluated, self._asked, plan, ())
        self.info: BackendInfo = answer.info
        self._require_alike(answer)

    def outcomes(
        self, plan: Plan, places: Iterable[Place], stopped: Callable[[], bool]
    ) -> Generator[tuple[Place, Outcomes], None, None]:
        """Evaluate pieces; see ``Engine``."""
        waiting = iter(places)

        def next_task(address: str, workers: int) -> Arguments | None:
            size = max(1, min(_MOST, plan.points // PIECE // (4 * workers)))
            task = tuple(islice(waiting, size))
            return (self._asked, plan, task) if task else None

        with closing(self._workers.answers(evaluated, next_task, stopped, ahead=_AHEAD)) as answers:
            for (*_, task), answer in answers:
                if isinstance(answer, Lost):
                    failed = Finished(None, str(answer))
                    yield from ((place, dict.fromkeys(plan.quantities, failed)) for place in task)
                else:
                    self._require_alike(answer)
                    yield from answer.outcomes

    def close(self) -> None:
        """Have the workers end their backends."""
        self._workers.tell(end)

    def _require_alike(self, answer: Answer) -> None:
        """Require that a worker has the backend and the code of the sweep.

        Raises:
            ClusterError: it has others.
        """
        self._workers.require_code(answer.code, code_digest())
        theirs, ours = (
            ", ".join(getattr(info, name) for name in _COMPARED)
            for info in (answer.info, self.info)
        )
        self._workers.require_alike(theirs, ours)

"""The engine of a cluster: the pieces of a sweep, evaluated by the workers of dask.distributed.

Dask hands tasks out, does those of a lost worker again elsewhere, and knows the workers that come
and go. Guarantees that results are those of the engine of one process, bit for bit, and that a
task which ends one worker after another marks its pieces as failed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import Any

from bce_conformance.backends import BackendInfo, BackendSpec

from .journal import Finished
from .on_worker import Answer, Asked, evaluated
from .pipeline import Outcomes, Place, SchedulerError, SweepError
from .plan import PIECE, Plan
from .sweep import code_digest

LOCAL = "local"
"""The scheduler of a cluster on this machine; ``local:2`` has two workers."""

START_LIMIT = 60.0
"""Seconds in which a scheduler has to answer, a first worker to come, or a lost one to be back."""

_MOST = 8  # pieces of a task: a second or two
_DEPTH = 3  # tasks a worker that are with the scheduler at a time
_LOOK = 0.02  # seconds between two looks at them
_COMPARED = ("id", "framework", "version", "instruction_set")


@contextmanager
def client_of(scheduler: str, limit: float = START_LIMIT) -> Iterator[Any]:
    """A client of a scheduler.

    Args:
        scheduler: its address, ``local`` or ``local:N``.
        limit: seconds in which it has to answer.

    Raises:
        SchedulerError: it is neither, dask.distributed is not installed, or nothing answers there.
    """
    try:
        import distributed
    except ImportError as error:
        raise SchedulerError(
            f"--scheduler needs dask.distributed ({error}): pip install 'bce-conformance[scale]'"
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    name, _, count = scheduler.partition(":")
    if name != LOCAL and "://" not in scheduler:
        raise SchedulerError(
            f"scheduler is {scheduler!r}; accepted are {LOCAL}, {LOCAL}:2 for two workers, or an "
            "address such as tcp://host:8786"
        )
    if name != LOCAL:
        try:
            client = distributed.Client(scheduler, timeout=limit, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SchedulerError(f"no scheduler answers at {scheduler}: {error}") from error
        with client:
            yield client
        return
    processors = os.cpu_count() or 1
    workers = int(count) if count.isdecimal() and int(count) else processors
    threads = str(max(processors // workers, 1))
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
        env={"NUMBA_NUM_THREADS": threads},
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


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
        SweepError: there is no worker, the backend does not start there, or the code is another.
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
        self._client, self._limit = client, limit
        self._asked = Asked(spec.id, time_limit, tuple(sorted(environment.items())))
        self.function = spec.function
        self._address = str(client.scheduler.address)
        self._wait_for_worker()
        answer = self._submitted(plan, ()).result()
        self.info: BackendInfo = answer.info
        self._require_alike(answer)

    def outcomes(
        self, plan: Plan, places: Iterable[Place], stopped: Callable[[], bool]
    ) -> Generator[tuple[Place, Outcomes], None, None]:
        """Evaluate pieces; see ``Engine``."""
        waiting = iter(places)
        pending: dict[Any, tuple[Place, ...]] = {}
        workers = 1
        try:
            while True:
                workers = self._workers(workers)
                size = max(1, min(_MOST, plan.points // PIECE // (4 * workers)))
                while len(pending) < _DEPTH * workers:
                    task = tuple(islice(waiting, size))
                    if not task:
                        break
                    pending[self._submitted(plan, task)] = task
                if not pending:
                    return
                yield from self._next(plan, pending, stopped)
        except OSError as error:
            raise self._gone() from error
        finally:
            if self._client.status == "running":
                self._client.cancel(list(pending))

    def _workers(self, known: int) -> int:
        """How many tasks run at once; what was known before where the scheduler is just lost."""
        try:
            return max(int(sum(self._client.nthreads().values())), 1)
        except OSError:
            return known

    def _submitted(self, plan: Plan, places: tuple[Place, ...]) -> Any:
        return self._client.submit(evaluated, self._asked, plan, places, pure=False)

    def _next(
        self, plan: Plan, pending: dict[Any, tuple[Place, ...]], stopped: Callable[[], bool]
    ) -> Iterator[tuple[Place, Outcomes]]:
        """Wait for tasks that are done, and give what came of them."""
        done = [future for future in pending if future.done()]
        while not done:
            if stopped():
                raise KeyboardInterrupt
            time.sleep(_LOOK)
            done = [future for future in pending if future.done()]
        for future in done:
            places = pending.pop(future)
            if future.status == "error":
                yield from self._failed(plan, places, future.exception())
                continue
            try:
                answer: Answer = future.result()
            except CancelledError:  # the scheduler that knew of it is gone
                self._require_scheduler(stopped)
                pending[self._submitted(plan, places)] = places
                continue
            self._require_alike(answer)
            yield from answer.outcomes

    def _failed(
        self, plan: Plan, places: tuple[Place, ...], error: BaseException
    ) -> Iterator[tuple[Place, Outcomes]]:
        """What came of pieces whose task failed."""
        from distributed import KilledWorker

        if not isinstance(error, KilledWorker):
            raise SweepError(f"a worker of {self._address} failed: {error}") from error
        why = f"lost: {error.allowed_failures + 1} workers ended while they evaluated it"
        for place in places:
            yield place, {quantity: Finished(None, why) for quantity in plan.quantities}

    def _require_scheduler(self, stopped: Callable[[], bool]) -> None:
        """Wait for a scheduler that was lost to be back.

        Raises:
            SweepError: it is not.
        """
        limit = time.monotonic() + self._limit
        while self._client.status != "running" and time.monotonic() < limit:
            if stopped():
                raise KeyboardInterrupt
            time.sleep(_LOOK)
        if self._client.status != "running":
            raise self._gone()
        self._wait_for_worker()

    def _wait_for_worker(self) -> None:
        """Wait for a first worker.

        Raises:
            SweepError: none comes.
        """
        try:
            self._client.wait_for_workers(1, timeout=self._limit)
        except TimeoutError as error:
            raise SweepError(
                f"no worker has come to {self._address} in {self._limit:.0f} s: start some, such "
                f"as `dask worker {self._address} --nthreads 1`"
            ) from error

    def _gone(self) -> SweepError:
        return SweepError(
            f"the scheduler at {self._address} is gone; finished pieces are in the journal: start "
            "it and its workers, then go on with --resume"
        )

    def _require_alike(self, answer: Answer) -> None:
        """Require that a worker has the backend and the code of the sweep.

        Raises:
            SweepError: it has others.
        """
        if answer.code != code_digest():
            raise SweepError(
                f"a worker of {self._address} has other code, of digest {answer.code} instead of "
                f"{code_digest()}: install the same version there"
            )
        theirs, ours = (
            ", ".join(getattr(info, name) for name in _COMPARED)
            for info in (answer.info, self.info)
        )
        if theirs != ours:
            raise SweepError(
                f"the workers of {self._address} differ: one has {theirs}, another {ours}; use "
                "workers of one kind, or hold them to an instruction set with --isa"
            )

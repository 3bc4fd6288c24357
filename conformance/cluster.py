"""The workers of a cluster: tasks are handed to dask.distributed, and their answers come back.

Dask hands tasks out, does those of a lost worker again elsewhere, and knows the workers that come
and go. Guarantees that every task comes back once, with its answer or as lost, or that the error
says what to do.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from bce_conformance.backends import installation

from . import processor_share

LOCAL = "local"
"""The scheduler of a cluster on this machine; ``local:2`` has two workers."""

START_LIMIT = 60.0
"""Seconds in which a scheduler has to answer, a first worker to come, or a lost one to be back."""

_LOOK = 0.02  # seconds between two looks at the tasks

# Dask has its workers give memory back at once: large arrays would be new pages each time. These
# are what the C library of Linux comes to by itself.
_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 26), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}

Arguments = tuple[Any, ...]
"""What a task calls its function with."""


class SchedulerError(Exception):
    """The scheduler that was named cannot be used."""


class ClusterError(Exception):
    """The cluster cannot go on; the text says why."""


@dataclass(frozen=True)
class Lost:
    """What comes back of a task that ended one worker after another."""

    workers: int

    def __str__(self) -> str:
        return f"lost: {self.workers} workers ended while they evaluated it"


@contextmanager
def client_of(
    scheduler: str, limit: float = START_LIMIT, *, share_processors: bool = False
) -> Iterator[Any]:
    """A client of a scheduler.

    Args:
        scheduler: its address, ``local`` or ``local:N``.
        limit: seconds in which it has to answer.
        share_processors: whether workers on this machine, and the processes that they start, keep
            to their share of its processors.

    Raises:
        SchedulerError: it is neither, dask.distributed is not installed, or nothing answers there.
    """
    try:
        import distributed
    except ImportError as error:
        raise SchedulerError(
            f"--scheduler needs dask.distributed ({error}): {installation('scale')}"
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
            raise SchedulerError(
                f"no scheduler answers at {scheduler}: {error}; start one there with "
                f"`dask scheduler`, or give {LOCAL}"
            ) from error
        with client:
            yield client
        return
    processors = os.cpu_count() or 1
    workers = int(count) if count.isdecimal() and int(count) else processors
    threads = str(max(processors // workers, 1))
    sharing = {"NUMBA_NUM_THREADS": threads, processor_share.WORKERS: str(workers)}
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address=None,
        # Without a dashboard it serves its health all the same, at port 8787 of its own accord.
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        silence_logs=logging.CRITICAL,
        env=_MEMORY | (sharing if share_processors else {}),
        preload=[processor_share.__name__] if share_processors else None,
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


class Workers:
    """The workers of a cluster.

    Args:
        client: of dask.distributed.
        limit: seconds in which a first worker has to come, or a lost scheduler to be back.

    Attributes:
        address: of the scheduler.

    Raises:
        ClusterError: there is no worker.
    """

    def __init__(self, client: Any, limit: float = START_LIMIT) -> None:
        self._client, self._limit = client, limit
        self.address = str(client.scheduler.address)
        self._wait_for_worker()

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have one task done, and wait for it."""
        return self._client.submit(function, *arguments, pure=False).result()

    def tell(self, function: Callable[[], Awaitable[None]]) -> None:
        """Have the event loop of every worker call a function, and wait for none."""
        if self._client.status == "running":
            with suppress(OSError):
                self._client.run(function, wait=False)

    def answers(
        self,
        function: Callable[..., Any],
        next_task: Callable[[str, int], Arguments | None],
        stopped: Callable[[], bool],
        *,
        ahead: int,
        pinned: bool = False,
    ) -> Generator[tuple[Arguments, Any], None, None]:
        """Have tasks done; each with its answer, or ``Lost``, in whatever order they are ready.

        Args:
            function: does a task.
            next_task: gives the next task for a worker of this address, of so many that there are;
                None where none is left.
            stopped: whether to end.
            ahead: how many tasks of a worker are with the scheduler at a time.
            pinned: whether a worker gets the tasks that were made for it, while it is there.

        Raises:
            KeyboardInterrupt: it was told to end.
            ClusterError: it cannot go on.
        """
        pending: dict[Any, tuple[str, Arguments]] = {}
        threads: dict[str, int] = {}  # of each worker, by its address

        def submit(address: str, task: Arguments) -> None:
            kept = {"workers": [address], "allow_other_workers": True} if pinned and address else {}
            pending[self._client.submit(function, *task, pure=False, **kept)] = address, task

        try:
            while True:
                with suppress(OSError):  # where the scheduler is just lost, those known before
                    threads = dict(self._client.nthreads())
                _hand_out(threads or {"": 1}, ahead, pending, next_task, submit)
                if not pending:
                    return
                for future in self._done(pending, stopped):
                    address, task = pending.pop(future)
                    try:
                        answer = self._answer(future)
                    except CancelledError:  # the scheduler that knew of it is gone
                        self._require_scheduler(stopped)
                        submit(address, task)
                    else:
                        yield task, answer
        except OSError as error:
            raise self._gone() from error
        finally:
            if self._client.status == "running":
                self._client.cancel(list(pending))

    def _done(self, pending: dict[Any, Any], stopped: Callable[[], bool]) -> list[Any]:
        """Wait for tasks that are done."""
        while True:
            if stopped():
                raise KeyboardInterrupt
            done = [future for future in pending if future.done()]
            if done:
                return done
            time.sleep(_LOOK)

    def _answer(self, future: Any) -> Any:
        """What came of a task.

        Raises:
            CancelledError: the scheduler that knew of it is gone.
            ClusterError: it failed.
        """
        from distributed import KilledWorker

        if future.status != "error":
            return future.result()
        error = future.exception()
        if isinstance(error, KilledWorker):
            return Lost(error.allowed_failures + 1)
        raise ClusterError(f"a worker of {self.address} failed: {error}") from error

    def _require_scheduler(self, stopped: Callable[[], bool]) -> None:
        """Wait for a scheduler that was lost to be back.

        Raises:
            ClusterError: it is not.
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
            ClusterError: none comes.
        """
        try:
            self._client.wait_for_workers(1, timeout=self._limit)
        except TimeoutError as error:
            raise ClusterError(
                f"no worker has come to {self.address} in {self._limit:.0f} s: start some, such "
                f"as `dask worker {self.address} --nthreads 1`"
            ) from error

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"the scheduler at {self.address} is gone; what was finished is in the journal: start "
            "it and its workers, then go on with --resume"
        )

    def require_code(self, theirs: str, ours: str) -> None:
        """Require that a worker has the same code, by its digest.

        Raises:
            ClusterError: it has other code.
        """
        if theirs != ours:
            raise ClusterError(
                f"a worker of {self.address} has other code, of digest {theirs} instead of "
                f"{ours}: install the same version there"
            )

    def require_alike(self, theirs: str, ours: str) -> None:
        """Require that a worker has the backend that others have, by what is said of it.

        Raises:
            ClusterError: it has another.
        """
        if theirs != ours:
            raise ClusterError(
                f"the workers of {self.address} differ: one has {theirs}, another {ours}; use "
                "workers of one kind, or hold them to an instruction set with --isa"
            )


def _hand_out(
    threads: dict[str, int],
    ahead: int,
    pending: dict[Any, tuple[str, Arguments]],
    next_task: Callable[[str, int], Arguments | None],
    submit: Callable[[str, Arguments], None],
) -> None:
    """Hand out tasks until every worker has as many as it may have ahead, or none is left."""
    has = Counter(address for address, _ in pending.values())
    workers = sum(threads.values())
    while len(pending) < ahead * workers:
        address = min(threads, key=lambda one: has[one] / threads[one])
        task = next_task(address, workers)
        if task is None:
            return
        submit(address, task)
        has[address] += 1

"""The engine of a cluster: the checks of a run, run by the workers of dask.distributed.

Guarantees that cells are those of a run on one machine, that all come from workers with the same
code and the same backends, and that a batch which ends one worker after another is a failure of
the suite, not of the backend.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Thread
from typing import Any

from bce_conformance.backends import BackendInfo
from bce_conformance.conformance.cluster import (
    START_LIMIT,
    Arguments,
    ClusterError,
    Lost,
    Workers,
    client_of,
)
from bce_conformance.conformance.running.matrix import Matrix
from bce_conformance.conformance.running.progress import Progress, Spent
from bce_conformance.conformance.running.scheduler import END_LIMIT, Cells, Check, Engine
from bce_conformance.conformance.settings import Settings
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Host

from .batches import Batches
from .on_worker import Answer, Asked, Info, batch_measured, code_digest, described, end

_AHEAD = 2  # batches a worker that are with the scheduler at a time: one of them is measured


class CellError(Exception):
    """A cell that could not be measured: a failure of the suite."""


class Distributed(Engine):
    """An engine that has the workers of a cluster run the checks.

    Args:
        client: of dask.distributed.
        settings: what is measured.
        progress: is told which backends start.
        limit: seconds in which a first worker has to come, or a lost scheduler to be back.

    Raises:
        ClusterError: there is no worker, or the code is another.
    """

    def __init__(
        self, client: Any, settings: Settings, progress: Progress, limit: float = START_LIMIT
    ) -> None:
        begin = time.monotonic()
        self.workers = Workers(client, limit)
        backends = tuple(spec.id for spec in settings.specs())
        self.asked = Asked.of(replace(settings, backends=backends))
        self._cpus: dict[str, None] = {}
        self.backends: dict[str, Answer] = {}
        self._describe(backends, progress)
        self._start_up = time.monotonic() - begin

    def _describe(self, backends: Sequence[str], progress: Progress) -> None:
        """Have each backend described by a worker."""
        progress.starting(backends)
        tasks = iter([(self.asked, backend) for backend in backends])
        answers = self.workers.answers(
            described, lambda *_: next(tasks, None), lambda: False, ahead=_AHEAD
        )
        with closing(answers):
            for (_, backend), answer in answers:
                if isinstance(answer, Lost):
                    raise ClusterError(f"{backend} cannot be described: {answer}")
                self.workers.require_code(answer.code, code_digest())
                self.backends[backend] = answer
                progress.up(backend)

    def prepare(self, matrix: Matrix) -> None:
        """Tell a matrix which backends there are, and on what machine."""
        infos = {backend: self.backends[backend].info for backend in matrix.specs}
        matrix.processes.described(infos, self._start_up)
        for answer in self.backends.values():
            self.seen(matrix, answer.host)

    def seen(self, matrix: Matrix, host: Host) -> None:
        """Take in a machine: that of the results names the processors of all."""
        self._cpus[host.cpu] = None
        matrix.host = replace(matrix.host or host, cpu=" and ".join(self._cpus))

    def begin(self, matrix: Matrix, checks: Sequence[Check]) -> Cells:
        """Begin with all checks."""
        return _Measuring(self, matrix, [check.place for check in checks])


class _Measuring(Cells):
    """The cells of a session, as workers measure them; a thread takes them in.

    Args:
        engine: has the workers.
        matrix: keeps the cells.
        places: of the cells.
    """

    def __init__(self, engine: Distributed, matrix: Matrix, places: Sequence[Place]) -> None:
        self._engine, self._matrix = engine, matrix
        self._stopped = False
        self._futures: dict[Place, Future[Cell]] = {place: Future() for place in places}
        self.coming = self._futures
        self._thread = Thread(target=self._run, daemon=True, name="cells")
        self._thread.start()

    def close(self) -> None:
        """Stop, and have the workers end what they are at."""
        self._stopped = True
        self._thread.join(END_LIMIT)
        self._engine.workers.tell(end)

    def _run(self) -> None:
        """Take in all cells; what ends that ends every cell that is still to come."""
        try:
            self._measure([place for place in self._futures if not self._is_absent(place)])
        except BaseException as error:  # KeyboardInterrupt where it was told to stop
            for future in self._futures.values():
                if not future.done():
                    future.set_exception(error)

    def _is_absent(self, place: Place) -> bool:
        """Whether nothing can be tried at a place, which is then settled."""
        cell = self._matrix.absent(place)
        if cell is not None:
            self._settle(cell, Spent(0.0, 0.0))
        return cell is not None

    def _measure(self, places: Sequence[Place]) -> None:
        engine, batches = self._engine, Batches(places)
        for backend, answer in engine.backends.items():
            batches.is_at(answer.worker, backend)

        def next_task(address: str, workers: int) -> Arguments | None:
            batch = batches.next(address, workers)
            if batch is None:
                return None
            return engine.asked, (code_digest(), engine.backends[batch[0].backend].info), batch

        answers = engine.workers.answers(
            batch_measured, next_task, lambda: self._stopped, ahead=_AHEAD, pinned=True
        )
        with closing(answers):
            for (*_, batch), answer in answers:
                if isinstance(answer, Lost):
                    for place in batch:
                        self._futures[place].set_exception(CellError(str(answer)))
                else:
                    self._take(answer, engine.backends[batch[0].backend].info)

    def _take(self, answer: Answer, expected: Info) -> None:
        """Take in what a worker has measured."""
        workers = self._engine.workers
        workers.require_code(answer.code, code_digest())
        theirs, ours = _differing(answer.info, expected)
        workers.require_alike(theirs, ours)
        self._engine.seen(self._matrix, answer.host)
        for probed, flushes in answer.flushes.items():
            self._matrix.keep_flushes(probed, flushes)
        for place, found in answer.cells.items():
            if isinstance(found, str):
                self._futures[place].set_exception(CellError(found))
                continue
            self._matrix.keep(found.cell, found.curves)
            self._settle(found.cell, found.spent)

    def _settle(self, cell: Cell, spent: Spent) -> None:
        self._futures[cell.place].set_result(cell)
        self._matrix.progress.finished(cell, spent)


def _differing(theirs: Info, ours: Info) -> tuple[str, str]:
    """In what two backends differ, as each says it of itself; the same texts where in nothing."""
    first, second = _fields(theirs), _fields(ours)
    names = [name for name in first | second if first.get(name) != second.get(name)]

    def told(fields: dict[str, Any]) -> str:
        return ", ".join(f"{name} {fields.get(name) or 'none'}" for name in names)

    return told(first), told(second)


def _fields(info: Info) -> dict[str, Any]:
    return vars(info) if isinstance(info, BackendInfo) else {"status": info or "not installed"}


@contextmanager
def distributed(
    scheduler: str, limit: float, settings: Settings, progress: Progress
) -> Iterator[Engine]:
    """The engine of a cluster, with its backends started; see ``client_of`` and ``Distributed``.

    Raises:
        SchedulerError: the scheduler cannot be used.
        ClusterError: there is no worker, or its code is another.
    """
    with client_of(scheduler, limit) as client:
        yield Distributed(client, settings, progress, limit)

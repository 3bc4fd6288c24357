"""What a worker of a cluster does of a run: a batch of cells, and what comes back of it.

Inputs, exact results, judging and the backends are on the worker's machine, each backend in a
process of its own. Guarantees that cells are measured as a run on one machine measures them, one
after another, and that nothing is measured where the code or the backend is another than that of
the run.
"""

from __future__ import annotations

import os
import pickle
import pkgutil
import traceback
import uuid
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from threading import Thread

from bce_conformance.backends import BackendInfo, Failure
from bce_conformance.backends.heap import keep_freed_memory
from bce_conformance.backends.idle_threads import sleep_when_idle
from bce_conformance.conformance import checks
from bce_conformance.conformance.judging.error_curves import Key, Points
from bce_conformance.conformance.running.matrix import Matrix
from bce_conformance.conformance.running.outcome import machine
from bce_conformance.conformance.running.progress import Spent
from bce_conformance.conformance.running.scheduler import Check, measured
from bce_conformance.conformance.running.subject import Subject
from bce_conformance.conformance.settings import Settings
from bce_conformance.conformance.sweeping.sweep import digest_of
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Flushes, Host, Probed

from .batches import Batch

# Packages, and patterns of their files.
_SOURCES = {
    **{name: ["*.py"] for name in ("reference", "backends", "native", "results")},
    "conformance": ["*.py", "*.toml", "*.txt", "SPEC.md"],
}

Info = BackendInfo | Failure | None
"""What a backend says of itself, why it cannot, or None where it is not installed."""


@dataclass(frozen=True)
class Asked:
    """A run, as a worker is told of it.

    Attributes:
        run: names it.
        packed: its settings, the ledger included: a megabyte unless compressed, with each task.
    """

    run: str
    packed: bytes

    @classmethod
    def of(cls, settings: Settings) -> Asked:
        """A run of these settings."""
        return cls(uuid.uuid4().hex, zlib.compress(pickle.dumps(settings)))

    def settings(self) -> Settings:
        """What is measured."""
        settings: Settings = pickle.loads(zlib.decompress(self.packed))
        return settings


@dataclass(frozen=True)
class Finished:
    """A cell that is measured.

    Attributes:
        cell: its verdict and evidence.
        curves: the points that it adds to the error curves.
        spent: the time that it took.
    """

    cell: Cell
    curves: Mapping[Key, Points]
    spent: Spent


@dataclass(frozen=True)
class Answer:
    """What came of a batch.

    Attributes:
        worker: address of the worker.
        code: the digest of the code there.
        host: its machine.
        info: the backend there.
        cells: what came of each place: a text where it is a failure of the suite.
        flushes: what probes found.
    """

    worker: str
    code: str
    host: Host
    info: Info
    cells: Mapping[Place, Finished | str] = field(default_factory=dict)
    flushes: Mapping[Probed, Flushes] = field(default_factory=dict)


class _Found:
    """Keeps what a batch has found, in place of a journal."""

    def __init__(self) -> None:
        self.curves: dict[Place, Mapping[Key, Points]] = {}

    def cell(self, cell: Cell, curves: Mapping[Key, Points]) -> None:
        self.curves[cell.place] = curves

    def flushes(self, probed: Probed, flushes: Flushes) -> None:
        pass  # the matrix has them


class _Living:
    """The run that a worker takes part in, with backends that live from batch to batch."""

    def __init__(self, asked: Asked, room: int) -> None:
        self.run = asked.run
        _take_back_environment()
        keep_freed_memory()
        sleep_when_idle()
        self.matrix = Matrix(asked.settings(), room=room, one_by_one=True)
        self._backend = ""

    def info(self, backend: str) -> Info:
        """What a backend says of itself; the one before ends, unless memory suffices for all."""
        processes = self.matrix.processes
        if backend != self._backend:
            if self._backend and not processes.turns.fit(self.matrix.specs):
                processes.release(self._backend)
            processes.turns.await_all([backend])
            self._backend = backend
        return processes.info(backend)

    def end(self) -> None:
        """End its processes, and whatever is being measured."""
        self.matrix.slots.stop()
        self.matrix.processes.turns.stop()
        self.matrix.processes.close()


def _take_back_environment() -> None:
    """Take back the variables that Dask sets for its workers.

    Backends would compute with one thread, and sums hang on the number of threads.
    """
    from dask import config

    for kind in ("pre-spawn-environ", "environ"):
        for name, value in config.get(f"distributed.nanny.{kind}", {}).items():
            if os.environ.get(name) == str(value):
                del os.environ[name]


_living: list[_Living] = []  # one at most
# All that a worker measures runs in this thread: Linux ends a backend with the thread that started
# it, and what is judged at once must not wait for the event loop of the worker.
_ROOM = ThreadPoolExecutor(1, "cells")


@cache
def code_digest() -> str:
    """A digest of the sources that decide cells, the suite's own ledger included."""
    return digest_of(_SOURCES)


@cache
def _checks() -> dict[str, Callable[[Subject], None]]:
    """The check of each requirement."""
    found = {}
    for module in pkgutil.walk_packages(checks.__path__, f"{checks.__name__}."):
        for function in vars(import_module(module.name)).values():
            for mark in getattr(function, "pytestmark", []):
                if mark.name == "requirement":
                    found[mark.args[0]] = function
    return found


def described(asked: Asked, backend: str) -> Answer:
    """Start a backend, and say what it is."""
    return _in_room(asked, backend, None, ())


def batch_measured(asked: Asked, expected: tuple[str, Info], batch: Batch) -> Answer:
    """Measure a batch.

    Args:
        asked: the run.
        expected: the digest of the code, and the backend; where it is another here, no cell comes
            back.
        batch: the cells.
    """
    return _in_room(asked, batch[0].backend, expected, batch)


def _in_room(asked: Asked, backend: str, expected: tuple[str, Info] | None, batch: Batch) -> Answer:
    from distributed import get_worker

    worker = get_worker()
    room = worker.memory_manager.memory_limit or 0
    told = _ROOM.submit(_measured, _run_of(asked, room), backend, expected, batch).result()
    return replace(told, worker=str(worker.address))


def _measured(
    living: _Living, backend: str, expected: tuple[str, Info] | None, batch: Batch
) -> Answer:
    code, info = code_digest(), living.info(backend)
    answer = Answer("", code, machine(), info)
    if expected != (code, info):
        return answer
    found, matrix = _Found(), living.matrix
    matrix.begin_anew(found)
    cells: dict[Place, Finished | str] = {}
    for place in batch:
        try:
            cell, spent = measured(matrix, Check(place, _checks()[place.requirement]))
            cells[place] = Finished(cell, found.curves[place], spent)
        except Exception:
            cells[place] = traceback.format_exc()
    return replace(answer, cells=cells, flushes=dict(matrix.flushes))


def _run_of(asked: Asked, room: int) -> _Living:
    """The run that this worker takes part in, with so many bytes; another one ends."""
    if _living and _living[0].run != asked.run:
        _living.pop().end()
    if not _living:
        _living.append(_Living(asked, room))
    return _living[0]


async def end() -> None:
    """End the run that this worker takes part in, without waiting for it."""
    while _living:
        Thread(target=_living.pop().end, daemon=True).start()

"""The processes of a run's backends: those that cells are measured in, and those they are held to.

Guarantees that a process starts when it is first needed and ends when nothing is left for it to do,
and that no more of them are there at a time than the memory suffices for.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Lock

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    BackendSpec,
    Failure,
    heap,
    installed,
    instruction_sets,
    not_installed,
    sibling,
)
from bce_conformance.backends.idle_threads import ASLEEP
from bce_conformance.backends.isolation.process import KILLED_ATTEMPTS
from bce_conformance.conformance.memory import most_workers, usable
from bce_conformance.conformance.settings import COMPILING
from bce_conformance.reference import cache

from .call_slots import CallSlots, SlottedProcess, Turns
from .progress import Progress

NOT_INSTALLED = "not installed"
# Bytes for each worker from which on it keeps what it frees for its next call.
_AMPLE = 1 << 30
# Memory is short when more than this share of it is taken: a call of 10⁷ elements takes a GiB. A
# worker that has grown by so many bytes since it was first looked at is ended then.
_SHORT = 0.7
_GROWN = 256 << 20
_GIVEN_BACK_EVERY = 5.0  # seconds, at most


def _remembering() -> dict[str, str]:
    """What has JAX keep all code that it compiles, for its variants and for later runs.

    Empty where nothing is kept.
    """
    if not cache.enabled():
        return {}
    folder = cache.compiled_folder(f"jax-{instruction_sets.processor()}")
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",
    }


def _workers(spec: BackendSpec) -> frozenset[str]:
    """The ids of the workers that a backend needs: its own, and its sibling's."""
    eager = sibling(spec)
    return frozenset((spec.id, eager.id) if eager else (spec.id,))


class Processes:
    """One process a backend, and beside it those of its siblings and lower instruction sets.

    Args:
        specs: the backends, by id.
        time_limit: seconds that one call may take.
        slots: in which calls are made.
        progress: is told which backends start.
        memory: bytes that the suite's own process takes of those that there are.
        room: bytes that there are for this process and the backends; 0 for all of the machine.
        one_by_one: whether a backend starts when it is first needed, and not all at once.

    Attributes:
        turns: of the backends, which are measured as many at a time as the memory suffices for.
        start_up: seconds that the backends took to start.
        ample: whether there is memory for large calls while all of them are there.
    """

    def __init__(
        self,
        specs: Mapping[str, BackendSpec],
        time_limit: float,
        slots: CallSlots,
        progress: Progress,
        memory: int = 0,
        *,
        room: int = 0,
        one_by_one: bool = False,
    ) -> None:
        self.start_up = 0.0
        self._specs = specs
        self._one_by_one = one_by_one
        there = room or usable()
        self._usable, self._memory = there or sys.maxsize, memory
        self._given_back = -_GIVEN_BACK_EVERY  # when freed memory was given back last
        # Of each backend its worker, and the bytes that it took after its first cell.
        self._first: dict[str, tuple[int | None, int]] = {}
        most = most_workers(there, memory)
        self.ample = self._usable - memory >= _AMPLE * min(most, len(specs))
        self._heap = heap.KEEPING if self.ample else heap.FRUGAL
        self.turns = Turns({backend: _workers(spec) for backend, spec in specs.items()}, most)
        self._time_limit = time_limit
        self._slots = slots
        self._progress = progress
        self._releasing = Lock()
        self._processes: dict[str, BackendProcess] = {}
        self._siblings: dict[str, BackendProcess] = {}
        self._held: dict[str, dict[str, BackendProcess]] = {}  # by backend and instruction set
        self._infos: dict[str, BackendInfo | Failure | None] = {}
        # Its threads live as long as this does: a worker ends with the thread that started it.
        at_once = min(most, (os.cpu_count() or 1) + 4)
        self._starters = ThreadPoolExecutor(at_once, thread_name_prefix="start-backend")

    def info(self, backend: str) -> BackendInfo | Failure | None:
        """What a backend says of itself, why it cannot, or None where it is not installed."""
        if backend not in self._infos:
            self._start([backend] if self._one_by_one else list(self._specs))
        return self._infos[backend]

    def described(self, infos: Mapping[str, BackendInfo | Failure | None], start_up: float) -> None:
        """Take over what backends say of themselves that run elsewhere: none starts here."""
        self._infos.update(infos)
        self.start_up = start_up

    def _start(self, backends: Collection[str]) -> None:
        """Start backends at once: importing a framework takes seconds.

        Where the memory does not suffice for all of them, each ends when it has described itself.
        """
        begin = time.monotonic()
        started = {
            backend: self._process_of(self._specs[backend])
            for backend in backends
            if installed(self._specs[backend])
        }
        self._processes |= started
        self._progress.starting(tuple(started))
        describe = partial(self._start_one, stays=self.turns.fit(started))
        infos = self._starters.map(describe, started)
        self._infos |= dict.fromkeys(backends) | dict(zip(started, infos, strict=True))
        self.start_up += time.monotonic() - begin

    def _start_one(self, backend: str, *, stays: bool) -> BackendInfo | Failure:
        process = self._processes[backend]
        info = process.info()
        for _ in range(KILLED_ATTEMPTS - 1):  # it comes back at once where it is not tried again
            if isinstance(info, BackendInfo) or info.kind != "crashed":
                break
            info = process.info()
        if not stays:
            process.rest()
        self._progress.up(backend)
        return info

    def status(self, backend: str) -> str:
        """``ok``, or why a backend cannot be measured."""
        info = self.info(backend)
        return "ok" if isinstance(info, BackendInfo) else str(info or NOT_INSTALLED)

    def why_not_started(self, named: Collection[str]) -> str:
        """A line for each backend in ``named`` that is absent or does not start; else empty."""
        infos = {backend: self.info(backend) for backend in self._specs if backend in named}
        return "\n".join(
            f"backend {backend} does not start: {info.reason}"
            if isinstance(info, Failure)
            else not_installed(self._specs[backend])
            for backend, info in infos.items()
            if not isinstance(info, BackendInfo)
        )

    def own(self, backend: str) -> SlottedProcess:
        """The process of a backend that is there."""
        relieve = partial(self.relieve, backend)
        process = self._processes[backend]
        return SlottedProcess(backend, process, self._slots, looked_after=relieve)

    def sibling(self, backend: str) -> SlottedProcess | None:
        """The process of the backend that this one is a variant of, asked in this one's slots."""
        eager = sibling(self._specs[backend])
        if eager is None:
            return None
        process = self._processes.get(eager.id) or self._siblings.get(eager.id)
        if process is None:
            process = self._process_of(eager)
            self._siblings[eager.id] = process
        return SlottedProcess(backend, process, self._slots, again=True)

    def lower(self, backend: str) -> dict[str, SlottedProcess]:
        """The backend held to each instruction set below its own.

        Each is a framework in memory: ``end_lower`` when they are not needed any more.
        """
        if backend not in self._held:
            info = self.info(backend)
            levels = instruction_sets.below(
                info.instruction_set if isinstance(info, BackendInfo) else ""
            )
            spec = self._specs[backend]
            self._held[backend] = {
                level: self._process_of(replace(spec, instruction_set=level)) for level in levels
            }
        held = self._held[backend]
        return {level: SlottedProcess(backend, held[level], self._slots) for level in held}

    def end_lower(self, backend: str) -> None:
        """End the processes in which a backend is held to lower instruction sets."""
        for process in self._held.pop(backend, {}).values():
            process.close()

    def _process_of(self, spec: BackendSpec) -> BackendProcess:
        limit = self._time_limit * (COMPILING if spec.compiles else 1)
        environment = ASLEEP | self._heap | ({} if spec.host else _remembering())
        return BackendProcess(spec, time_limit=limit, environment=environment)

    def release(self, backend: str) -> None:
        """End the turn of a backend that has nothing left to do.

        Processes that no other one needs end: each holds much memory.
        """
        with self._releasing:
            needed = self.turns.needed(but=backend)
            for processes in (self._processes, self._siblings):
                for idle in processes.keys() - needed:
                    processes[idle].rest()
            for idle in self._held.keys() - needed:
                self.end_lower(idle)
            self.turns.end(backend)

    def relieve(self, backend: str) -> None:
        """End a backend's worker between calls, where memory is short and the worker has grown.

        What compiles keeps its code. The next call starts another worker. Where the suite's own
        process takes more than it may, it gives back what it has freed.
        """
        self._give_back()
        process = self._processes.get(backend)
        if process is None:
            return
        taken = process.memory()
        pid, first = self._first.get(backend, (None, 0))
        if pid != process.pid:
            self._first[backend] = process.pid, taken
        elif taken - first > _GROWN and self._taken() > _SHORT * self._usable:
            process.rest()

    def _give_back(self) -> None:
        now = time.monotonic()
        if self._memory and now > self._given_back + _GIVEN_BACK_EVERY:
            self._given_back = now
            if heap.resident() > self._memory:
                heap.give_back_freed_memory()

    def _taken(self) -> int:
        """Bytes that all workers take, and that the suite's own process may take."""
        every = (*self._processes.values(), *self._siblings.values())
        return self._memory + sum(process.memory() for process in every)

    def close(self) -> None:
        """End all processes, also those that are being started."""
        held = (process for by_level in self._held.values() for process in by_level.values())
        for process in (*self._processes.values(), *self._siblings.values(), *held):
            process.close()
        self._starters.shutdown(wait=True, cancel_futures=True)

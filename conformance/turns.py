"""Turns: which backends may evaluate a call now.

Guarantees that no more calls are under way than there are slots, that of those who wait the one
with the most left to do goes first, and that nobody waits once the turns are over.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from bce_conformance.backends import BackendProcess, Failure, LossCall, LossResult


class Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    """The session is over: what a backend says now is no finding."""


class Turns:
    """Grants slots to backends.

    Args:
        slots: how many calls may be under way at once.
    """

    def __init__(self, slots: int) -> None:
        self.left: Counter[str] = Counter()  # how much each backend has still to do
        self.held: dict[str, float] = defaultdict(float)  # seconds that each had a slot
        self._free = slots
        self._waiting: list[str] = []
        self._stopped = False
        self._changed = Condition()

    @contextmanager
    def of(self, backend: str) -> Iterator[None]:
        """Wait for a slot and hold it.

        Raises:
            Stopped: the turns are over, or were over before the block ended.
        """
        with self._changed:
            self._waiting.append(backend)
            self._changed.wait_for(lambda: self._stopped or self._is_next(backend))
            self._waiting.remove(backend)
            if self._stopped:
                raise Stopped
            self._free -= 1
            self._changed.notify_all()
        begin = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self.held[backend] += time.monotonic() - begin
                self._free += 1
                self._changed.notify_all()
                if self._stopped:
                    raise Stopped  # whatever became of a call whose process was ended

    def stop(self) -> None:
        """End all turns."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _is_next(self, backend: str) -> bool:
        return self._free > 0 and backend == max(self._waiting, key=lambda b: self.left[b])


class InTurn:
    """A backend's process, asked only when it is its turn.

    Args:
        backend: backend id.
        process: what evaluates its calls.
        turns: of all backends.
    """

    def __init__(self, backend: str, process: BackendProcess, turns: Turns) -> None:
        self._backend = backend
        self._process = process
        self._turns = turns

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        """Evaluate one call.

        Raises:
            Stopped: the turns are over.
        """
        with self._turns.of(self._backend):
            return self._process.evaluate(call)

"""Call slots and turns: which backends may evaluate a call now, and which have workers at all.

Guarantees that no more calls are under way than there are slots, and one large one at most, that of
those who wait the one with the most left to do goes first, and that nobody waits after ``stop``.
Turns guarantee that no more workers are needed at a time than the memory suffices for, but those of
one backend at least.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Event, Lock

from bce_conformance.backends import BackendProcess, Failure, LossCall, LossResult
from bce_conformance.backends.calls import OPERANDS

# Bytes of operands. A framework takes ten times as much for its temporaries: three calls of 10⁷
# elements at once, beside what eleven workers keep, are more than 8 GiB.
LARGE = 16 << 20
_LOOKED_AFTER = 64  # calls


class Stopped(Exception):  # noqa: N818 - no error: somebody asked for it
    """The session is over: what a backend says now is no finding."""


@dataclass(eq=False)
class _Waiting:
    """One who waits for a slot; ``over`` is set when it is granted, or when all ended."""

    backend: str
    large: bool
    granted: bool = False
    over: Event = field(default_factory=Event)


class CallSlots:
    """Grants slots to backends.

    Args:
        slots: how many calls may be under way at once.
    """

    def __init__(self, slots: int) -> None:
        self.left: Counter[str] = Counter()  # how many cells each backend has still to fill
        self._filled: Counter[str] = Counter()
        self.held: dict[str, float] = defaultdict(float)  # seconds that each had a slot
        self._free = slots
        self._waiting: list[_Waiting] = []
        self._large = False  # whether a large call is under way
        self._stopped = False
        self._lock = Lock()

    @contextmanager
    def take(self, backend: str, *, large: bool = False) -> Iterator[None]:
        """Wait for a slot and hold it; for a large call, until no other is under way.

        Raises:
            Stopped: ``stop`` was called before the block ended.
        """
        waiting = _Waiting(backend, large)
        with self._lock:
            self._waiting.append(waiting)
            self._grant()
        waiting.over.wait()
        if not waiting.granted:
            raise Stopped
        begin = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.held[backend] += time.monotonic() - begin
                self._free += 1
                self._large &= not large
                self._grant()
                if self._stopped:
                    raise Stopped  # whatever became of a call whose process was ended

    def filled(self, backend: str) -> None:
        """Take in that a backend has one cell less to fill."""
        with self._lock:
            self.left[backend] -= 1
            self._filled[backend] += 1

    def seconds_left(self, backend: str) -> float:
        """About how long a backend has still to hold slots: as its cells took so far, or a second.

        A backend that compiles has few cells that take long: begun late, it would be left alone.
        """
        took = (self.held[backend] + 1) / (self._filled[backend] + 1)
        return self.left[backend] * took

    def stop(self) -> None:
        """Grant no slot any more, and end all waiting."""
        with self._lock:
            self._stopped = True
            self._grant()

    def _grant(self) -> None:
        """Wake those who get a slot now, and no others: each waking costs a turn of the GIL."""
        if self._stopped:
            for waiting in self._waiting:
                waiting.over.set()
            self._waiting.clear()
        while self._free > 0:
            able = [waiting for waiting in self._waiting if not (waiting.large and self._large)]
            if not able:
                return
            chosen = max(able, key=lambda waiting: self.seconds_left(waiting.backend))
            self._waiting.remove(chosen)
            self._free -= 1
            self._large |= chosen.large
            chosen.granted = True
            chosen.over.set()


class SlottedProcess:
    """A backend's process, asked only while it holds a slot.

    Args:
        backend: backend id.
        process: what evaluates its calls.
        slots: of all backends.
        again: whether a call in which the process died is made once more. So is one of another
            backend than the one that is judged, to which its death is no finding.
        looked_after: called after every so many calls, while the slot is held: one cell may draw
            thousands of them.
    """

    def __init__(
        self,
        backend: str,
        process: BackendProcess,
        slots: CallSlots,
        *,
        again: bool = False,
        looked_after: Callable[[], None] = lambda: None,
    ) -> None:
        self._backend = backend
        self._process = process
        self._slots = slots
        self._again = again
        self._looked_after = looked_after
        self._calls = 0

    def evaluate(self, call: LossCall) -> LossResult | Failure:
        """Evaluate one call.

        Raises:
            Stopped: the slots were stopped.
        """
        operands = (getattr(call, name) for name in OPERANDS)
        size = sum(operand.nbytes for operand in operands if operand is not None)
        with self._slots.take(self._backend, large=size >= LARGE):
            found = self._process.evaluate(call)
            if self._again and isinstance(found, Failure) and found.kind == "crashed":
                found = self._process.evaluate(call)
            self._calls += 1
            if not self._calls % _LOOKED_AFTER:
                self._looked_after()
            return found


class Turns:
    """Grants backends their turns.

    Args:
        workers: the ids of the workers that each backend needs, its sibling's among them, in the
            order in which backends take their turns.
        most: how many workers may be needed at once.
    """

    def __init__(self, workers: Mapping[str, frozenset[str]], most: int) -> None:
        self._workers = workers
        self._most = most
        self._waiting: list[str] = []
        self._having: set[str] = set()
        self._stopped = False
        self._changed = Condition()

    def fit(self, backends: Iterable[str]) -> bool:
        """Whether backends can be measured at once."""
        return len(self._together(backends)) <= self._most

    def await_all(self, backends: Iterable[str]) -> None:
        """Take in which backends will come for a turn, as they have something to measure."""
        coming = set(backends)
        with self._changed:
            self._waiting = [backend for backend in self._workers if backend in coming]

    def take(self, backend: str) -> None:
        """Wait for the turn of a backend; one that has its turn has it to its end.

        Raises:
            Stopped: ``stop`` was called.
        """
        with self._changed:
            if backend in self._having:
                return
            self._changed.wait_for(lambda: self._stopped or self._is_next(backend))
            if self._stopped:
                raise Stopped
            self._waiting.remove(backend)
            self._having.add(backend)
            self._changed.notify_all()

    def end(self, backend: str) -> None:
        """End the turn of a backend that has nothing left to measure."""
        with self._changed:
            self._having.discard(backend)
            self._waiting = [waiting for waiting in self._waiting if waiting != backend]
            self._changed.notify_all()

    def needed(self, but: str = "") -> frozenset[str]:
        """The workers of the backends that have their turn, ``but`` one, and of those to follow."""
        with self._changed:
            busy = self._having - {but}
            for backend in (waiting for waiting in self._waiting if waiting != but):
                if not self.fit((*busy, backend)):
                    break
                busy.add(backend)
            return self._together(busy)

    def stop(self) -> None:
        """Grant no turn any more, and end all waiting."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _together(self, backends: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*(self._workers[backend] for backend in backends))

    def _is_next(self, backend: str) -> bool:
        if not self._waiting or self._waiting[0] != backend:
            return False
        return not self._having or self.fit((*self._having, backend))

"""The pace of a run: how far it is, how long it will take, and what was slow.

Guarantees that cells are counted when they finish, and that every method may be called from any
thread. It prints nothing.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from threading import RLock

from bce_conformance.conformance.running.progress import Spent
from bce_conformance.results.cells import Cell

_ESTIMATED_FROM = 0.03  # of all cells: before, those that are done tell little of the others
_SLOWEST = 3  # backends and requirements that are named as slow


class Pace:
    """Counts what is done and what is left.

    Attributes:
        starting: the backends that are being started.
        cells: those that are finished, in the order in which they finished.
        total: how many there will be; None before it is known.
    """

    def __init__(self) -> None:
        self.starting: list[str] = []
        self.cells: list[Cell] = []
        self.total: int | None = None
        self.suite = 0.0  # seconds of processor time for inputs, truths and judging
        self._begin = self._measuring = self._last = time.monotonic()
        self._left: Counter[str] = Counter()
        self._by_backend: dict[str, float] = defaultdict(float)
        self._by_requirement: dict[str, float] = defaultdict(float)
        self._longest: dict[str, float] = defaultdict(float)  # by backend: its slowest cell
        self._lock = RLock()

    def start(self, backends: Sequence[str]) -> None:
        """Some backends are being started."""
        with self._lock:
            self.starting.extend(backends)

    def up(self, backend: str) -> None:
        """One has started."""
        with self._lock:
            self.starting.remove(backend)

    def measure(self, cells: Mapping[str, int]) -> None:
        """So many cells of each backend are to come."""
        with self._lock:
            self._left.update(cells)
            self.total = sum(cells.values())
            self._measuring = self._last = time.monotonic()

    def finish(self, cell: Cell, spent: Spent) -> None:
        """One cell is done."""
        with self._lock:
            self.cells.append(cell)
            self._last = time.monotonic()
            self._left[cell.backend] -= 1
            seconds = spent.backend + spent.suite
            self._by_backend[cell.backend] += seconds
            self._by_requirement[cell.requirement] += seconds
            self._longest[cell.backend] = max(self._longest[cell.backend], seconds)
            self.suite += spent.suite

    @property
    def done(self) -> int:
        """How many cells are finished."""
        return len(self.cells)

    def left(self) -> int:
        """How many are still to come; 0 before it is known."""
        return (self.total or self.done) - self.done

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begin

    def parts(self) -> tuple[float, float]:
        """Seconds until measuring began, and from then to the last cell."""
        return self._measuring - self._begin, self._last - self._measuring

    def behind(self) -> tuple[str, int] | None:
        """The backend with the most cells left, and how many; None where nothing is left."""
        with self._lock:
            ((backend, left),) = self._left.most_common(1) or [("", 0)]
        return (backend, left) if left > 0 else None

    def seconds_left(self) -> float | None:
        """An estimate; None before some cells are finished: the first ones compile for minutes.

        A backend's cells that are left are taken to need what its cells have needed so far, but the
        slowest, which may have compiled for minutes. The backends together go on as fast as they
        went, but none faster than one cell after another.
        """
        with self._lock:
            if len(self.cells) < _ESTIMATED_FROM * (self.total or 0) or not self.cells:
                return None
            done = Counter(cell.backend for cell in self.cells)
            busy = sum(self._by_backend.values())
            usual = {
                backend: (self._by_backend[backend] - self._longest[backend]) / (count - 1)
                for backend, count in done.items()
                if count > 1
            }
            mean = sum(usual.values()) / len(usual) if usual else busy / len(self.cells)
            needed = [left * usual.get(backend, mean) for backend, left in self._left.items()]
            # Below one, where the session itself is what takes the time.
            at_once = busy / max(time.monotonic() - self._measuring, 1e-9)
            return max(sum(needed) / at_once if at_once else 0.0, *needed, 0.0)

    def slowest(self) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """The slowest backends and the slowest requirements, with their seconds."""

        def top(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
            return sorted(seconds.items(), key=lambda pair: -pair[1])[:_SLOWEST]

        with self._lock:
            return top(self._by_backend), top(self._by_requirement)


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds: ``4:07``; hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

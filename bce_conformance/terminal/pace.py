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
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Probed

from .estimate import CallsLeft, CellsLeft, is_drawn, probed

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
        self._cells_left = CellsLeft()
        self._calls_left = CallsLeft()
        self._lock = RLock()

    def start(self, backends: Sequence[str]) -> None:
        """Some backends are being started."""
        with self._lock:
            self.starting.extend(backends)

    def up(self, backend: str) -> None:
        """One has started."""
        with self._lock:
            self.starting.remove(backend)

    def measure(self, places: Sequence[Place]) -> None:
        """The cells of these places are to come."""
        with self._lock:
            self._left.update(place.backend for place in places)
            self.total = len(places)
            self._cells_left = CellsLeft(place for place in places if not is_drawn(place))
            self._calls_left = CallsLeft(probed(place) for place in places if is_drawn(place))
            self._measuring = self._last = time.monotonic()

    def drawn(self, survey: Probed, done: int, total: int) -> None:
        """So many of the calls that are drawn for a backend in a format are judged."""
        with self._lock:
            self._calls_left.told(survey, done, total)

    def finish(self, cell: Cell, spent: Spent) -> None:
        """One cell is done."""
        with self._lock:
            self.cells.append(cell)
            self._last = time.monotonic()
            self._left[cell.backend] -= 1
            seconds = spent.backend + spent.suite
            self._by_backend[cell.backend] += seconds
            self._by_requirement[cell.requirement] += seconds
            self.suite += spent.suite
            if is_drawn(cell.place):
                self._calls_left.finish(probed(cell.place))
            else:
                self._cells_left.finish(cell, spent)

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

    def calls_done(self) -> float | None:
        """Which share of the drawn calls is judged; None where none was begun."""
        with self._lock:
            return self._calls_left.share() if self._calls_left.begun else None

    def seconds_left(self) -> float | None:
        """An estimate; None before enough is finished to tell."""
        with self._lock:
            until = self._calls_left.begun or time.monotonic()
            elapsed = until - self._measuring
            cells = self._cells_left.seconds(elapsed)
            if cells is None:
                return None
            others = elapsed + cells if self._cells_left.total else 0.0
            calls = self._calls_left.seconds(others)
            return None if calls is None else cells + calls

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

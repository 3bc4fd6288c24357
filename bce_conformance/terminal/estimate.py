"""The time that is left of a run: of cells by what cells took, of drawn calls by what calls took.

Drawn calls are few cells that take half of a run, at its end; so the two are estimated apart.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable

from bce_conformance.conformance.running.progress import Spent
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.tiers import DRAWN
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Probed

_CELLS_FROM = 0.03  # of all cells: before, those that are done tell little of the others
_OWN_FROM = 0.05  # of a backend's cells: before, it is taken to be as slow as the others
_CALLS_FROM = 0.05  # of all drawn calls, likewise


def is_drawn(place: Place) -> bool:
    """Whether a cell is about drawn calls."""
    return requirements()[place.requirement].family == DRAWN


def probed(place: Place) -> Probed:
    """What shares a survey with a cell about drawn calls."""
    return Probed(place.backend, place.device, place.dtype)


class CellsLeft:
    """Estimates the time of the cells that are left, none of them about drawn calls.

    Args:
        places: of all that are to come.

    Attributes:
        total: how many they are.
    """

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._left = Counter(place.backend for place in places)
        self.total = self._left.total()
        self._done: Counter[str] = Counter()
        self._took: dict[str, float] = defaultdict(float)  # by backend
        self._longest: dict[str, float] = defaultdict(float)  # by backend: its slowest cell

    def finish(self, cell: Cell, spent: Spent) -> None:
        """One is done."""
        seconds, backend = spent.backend + spent.suite, cell.backend
        self._left[backend] -= 1
        self._done[backend] += 1
        self._took[backend] += seconds
        self._longest[backend] = max(self._longest[backend], seconds)

    def seconds(self, elapsed: float) -> float | None:
        """An estimate; None before some cells are finished: the first ones compile for minutes.

        A backend's cells that are left are taken to need what its cells have needed so far, but the
        slowest, which may have compiled for minutes; before it has done some, what those of others
        have needed. The backends together go on as fast as they went, but none faster than one cell
        after another.

        Args:
            elapsed: seconds of measuring so far.
        """
        done = self._done.total()
        if not self.total:
            return 0.0
        if done < _CELLS_FROM * self.total:
            return None
        busy = sum(self._took.values())
        tell = [
            backend
            for backend, count in self._done.items()
            if count > 1 and count >= _OWN_FROM * (count + self._left[backend])
        ]
        rest = {backend: self._took[backend] - self._longest[backend] for backend in tell}
        usual = {backend: rest[backend] / (self._done[backend] - 1) for backend in tell}
        cells = sum(self._done[backend] - 1 for backend in tell)
        mean = sum(rest.values()) / cells if tell else busy / done
        needed = [left * usual.get(backend, mean) for backend, left in self._left.items()]
        at_once = busy / max(elapsed, 1e-9)  # below one, where the session itself takes the time
        return max(sum(needed) / at_once if at_once else 0.0, *needed, 0.0)


class CallsLeft:
    """Estimates the time of the drawn calls that are left.

    Args:
        surveys: what calls are drawn for.
    """

    def __init__(self, surveys: Iterable[Probed] = ()) -> None:
        self._surveys = set(surveys)
        self._calls: dict[Probed, tuple[int, int]] = {}  # those done, of how many
        self._finished: set[Probed] = set()
        self.begun: float | None = None  # when the first was told of

    def told(self, survey: Probed, done: int, total: int) -> None:
        """So many of the calls that are drawn for a backend in a format are judged."""
        self.begun = self.begun or time.monotonic()
        self._calls[survey] = done, total

    def finish(self, survey: Probed) -> None:
        """A cell about drawn calls is done: so are the calls, also where nobody told of them."""
        self.begun = self.begun or time.monotonic()
        self._finished.add(survey)

    def share(self) -> float:
        """Which share of all calls is judged; surveys of which nothing is known are as others."""
        known = [total for _, total in self._calls.values()]
        usual = sum(known) / len(known) if known else 1.0
        totals = {survey: self._calls.get(survey, (0, usual))[1] for survey in self._surveys}
        done = sum(
            total if survey in self._finished else self._calls.get(survey, (0, 0))[0]
            for survey, total in totals.items()
        )
        return done / max(sum(totals.values()), 1)

    def seconds(self, others: float) -> float | None:
        """An estimate; None where nothing is known.

        Args:
            others: seconds that all else takes: so long do drawn calls take, too, until enough of
                them have shown it.
        """
        share = self.share() if self._surveys else 1.0
        spent = time.monotonic() - self.begun if self.begun else 0.0
        if share >= _CALLS_FROM:
            return spent * (1 - share) / share
        return max(others - spent, 0.0) or None

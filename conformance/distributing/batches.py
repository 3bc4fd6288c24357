"""Batches: the cells of a run, as the workers of a cluster measure them.

Guarantees that each cell is handed out once, and that cells which share a survey of drawn calls are
in one batch, in the order in which a run on one machine measures them: what is refused in one
format is tried first in the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from bce_conformance.results.cells import Place

_SURVEYED = "ANY"  # the family whose requirements share a survey of drawn calls
_MOST = 16  # cells of a batch, other than those of a survey
_ROUNDS = 4  # batches that a worker is to get at least, so that all end at about the same time

Batch = tuple[Place, ...]
"""Cells of one backend."""


class Batches:
    """What is left to hand out.

    Args:
        places: of all cells, in the order in which a run on one machine measures them.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._surveys: dict[str, dict[str, list[Place]]] = {}  # by backend and device
        self._others: dict[str, deque[Place]] = {}
        self._at: dict[str, str] = {}  # the backend that each worker had last
        for place in places:
            surveys = self._surveys.setdefault(place.backend, {})
            others = self._others.setdefault(place.backend, deque())
            if place.requirement.startswith(f"{_SURVEYED}-"):
                surveys.setdefault(place.device, []).append(place)
            else:
                others.append(place)

    def is_at(self, address: str, backend: str) -> None:
        """Take in that a worker has started a backend, which takes seconds."""
        self._at[address] = backend

    def next(self, address: str, workers: int) -> Batch | None:
        """The next batch for a worker, of the backend that it has if there is one; else None.

        Surveys go first, since they take longest.

        Args:
            address: of the worker.
            workers: how many there are.
        """
        left = {backend: count for backend in self._others if (count := self._left(backend))}
        if not left:
            return None
        backend = self._at.get(address, "")
        if backend not in left:
            busy = list(self._at.values())
            backend = max(left, key=lambda one: left[one] / (1 + busy.count(one)))
            self.is_at(address, backend)
        surveys, others = self._surveys[backend], self._others[backend]
        if surveys:
            return tuple(surveys.pop(next(iter(surveys))))
        size = max(1, min(_MOST, sum(left.values()) // (_ROUNDS * workers)))
        return tuple(others.popleft() for _ in range(min(size, len(others))))

    def _left(self, backend: str) -> int:
        """How many cells of a backend are left."""
        return len(self._others[backend]) + sum(map(len, self._surveys[backend].values()))

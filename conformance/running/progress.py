"""Progress: what a session tells about itself, and hands out, while it goes on.

Guarantees that a cell is told when it is finished, in the order in which cells finish, which is not
the one in which pytest reports them, and that no snapshot is handed out when ``Snapshots.close``
has returned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Probed, Results


@dataclass(frozen=True)
class Spent:
    """The time that one cell took; waiting for other backends is in neither number.

    Attributes:
        backend: seconds in which the backend evaluated its calls.
        suite: seconds of processor time that inputs, truths and judging took in the cell's thread.
    """

    backend: float
    suite: float


class Progress:
    """Is told how far a session is; this one listens to nothing.

    Methods may be called from several threads at once.
    """

    def starting(self, backends: Sequence[str]) -> None:
        """Some backends are being started."""

    def up(self, backend: str) -> None:
        """One of them has started, or has failed to."""

    def measuring(self, lines: Sequence[str], places: Sequence[Place]) -> None:
        """Measuring begins.

        Args:
            lines: what is measured, with versions.
            places: of the cells that are to come.
        """

    def drawn(self, survey: Probed, done: int, total: int) -> None:
        """So many of the calls that are drawn for a backend in a format are judged."""

    def finished(self, cell: Cell, spent: Spent) -> None:
        """One more cell has its verdict."""


FIRST = 60.0
"""Seconds until the first snapshot."""
GROWTH = 2**0.5
"""A run has lasted so many times as long at each snapshot as at the one before."""


class Snapshots:
    """Hands out what a run has measured after 1, 1.4, 2, 2.8, 4, 5.7, 8… minutes.

    Args:
        take: gives what was measured so far.
        hand_out: is given that, in a thread of its own; the run goes on meanwhile.
        first: seconds until the first.
    """

    def __init__(
        self, take: Callable[[], Results], hand_out: Callable[[Results], None], first: float = FIRST
    ) -> None:
        self._take = take
        self._hand_out = hand_out
        self._first = first
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="snapshots")
        self._thread.start()

    def close(self) -> None:
        """End it; one that is being handed out is waited for."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        pause, waited = self._first, 0.0
        while not self._ended.wait(pause):
            found = self._take()
            if found.cells:
                self._hand_out(found)
            waited += pause
            pause = waited * (GROWTH - 1)

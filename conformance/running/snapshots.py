"""Snapshots: what a run has measured so far, handed out while it goes on.

Guarantees that nothing is handed out any more when ``close`` has returned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from bce_conformance.results.model import Results

FIRST = 60.0
"""Seconds until the first snapshot; until each further one it takes twice as long as before."""


class Snapshots:
    """Hands out what a run has measured after one, two, four, eight… minutes.

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
        self._wait = first
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="snapshots")
        self._thread.start()

    def close(self) -> None:
        """End it; one that is being handed out is waited for."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        last = 0.0
        while not self._ended.wait(self._wait - last):
            found = self._take()
            if found.cells:
                self._hand_out(found)
            last, self._wait = self._wait, 2 * self._wait

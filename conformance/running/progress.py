"""Progress: what a session tells about itself while it goes on.

Guarantees that a cell is told when it is finished, in the order in which cells finish, which is not
the one in which pytest reports them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bce_conformance.results.cells import Cell


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

    def measuring(self, lines: Sequence[str], cells: Mapping[str, int]) -> None:
        """Measuring begins.

        Args:
            lines: what is measured, with versions.
            cells: how many cells of each backend are to come.
        """

    def finished(self, cell: Cell, spent: Spent) -> None:
        """One more cell has its verdict."""

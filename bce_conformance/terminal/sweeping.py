"""How far a sweep is, on stderr: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from .pace import clock

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

Report = Callable[[int, int], None]


class Rate:
    """Points a second since the first report, and the time that the rest takes at that rate."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._begin, self._first = now, now(), -1

    def line(self, done: int, total: int) -> str:
        """How far it is in words; what was done before the first call counts for no rate."""
        if self._first < 0:
            self._first, self._begin = done, self._now()
        share = f"{done:,} of {total:,} points ({100 * done / total:.1f} %)"
        seconds, fresh = self._now() - self._begin, done - self._first
        if not fresh or seconds <= 0:
            return share
        rate = fresh / seconds
        return f"{share}, {rate / 1e6:.2f} million a second, {clock((total - done) / rate)} left"


@contextmanager
def reporter(console: Console, *, quiet: bool, every: float = EVERY) -> Iterator[Report]:
    """A function that shows the points that are done and those that there are.

    Args:
        console: where it is shown.
        quiet: whether nothing is.
        every: seconds between two lines where there is no terminal.
    """
    rate = Rate()
    if quiet:
        yield lambda done, total: None
        return
    if console.is_terminal:
        columns = (BarColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("")

            def show(done: int, total: int) -> None:
                text = rate.line(done, total)
                bar.update(task, completed=done, total=total, description=text)

            yield show
        return
    latest = -every

    def tell(done: int, total: int) -> None:
        nonlocal latest
        text = rate.line(done, total)
        if time.monotonic() - latest >= every or done == total:
            latest = time.monotonic()
            console.print(text, markup=False, highlight=False, soft_wrap=True)

    yield tell

"""The progress of a run as its user sees it: a bar, lines, or nothing.

Guarantees that what a pipe or a file gets has no control sequence, and a line at least every ten
seconds, also while no cell finishes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from bce_conformance.conformance.running.progress import Progress, Spent
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Probed

from .pace import Pace, clock

INTERVAL = 10.0
"""Seconds after which a line is printed, whatever happened."""

STEPS = 20
"""Parts of a run of which each ends with a line."""


class Silent(Progress):
    """Keeps the pace of a run and shows nothing."""

    def __init__(self) -> None:
        self.pace = Pace()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def starting(self, backends: Sequence[str]) -> None:
        """Count the backends that start."""
        self.pace.start(backends)

    def up(self, backend: str) -> None:
        """Count one that has started."""
        self.pace.up(backend)

    def measuring(self, lines: Sequence[str], places: Sequence[Place]) -> None:
        """Count the cells to come."""
        self.pace.measure(places)

    def drawn(self, survey: Probed, done: int, total: int) -> None:
        """Count drawn calls."""
        self.pace.drawn(survey, done, total)

    def finished(self, cell: Cell, spent: Spent) -> None:
        """Count one cell."""
        self.pace.finish(cell, spent)

    def say(self, text: str) -> None:
        """Show a line of its own; here nothing is shown."""


class Lines(Silent):
    """Plain lines, for what is no terminal.

    Args:
        console: where they go.
        verbose: whether every cell has a line.
        interval: seconds after which a line is due.
    """

    def __init__(
        self, console: Console, *, verbose: bool = False, interval: float = INTERVAL
    ) -> None:
        super().__init__()
        self._console = console
        self._verbose = verbose
        self._interval = interval
        self._printed = time.monotonic()
        self._step = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True, name="progress")

    def __enter__(self) -> Self:
        self._print("reading the checks")
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._thread.join()

    def starting(self, backends: Sequence[str]) -> None:
        """Name the backends that start."""
        super().starting(backends)
        self._print(f"starting {', '.join(backends)}" if backends else "no backend is installed")

    def measuring(self, lines: Sequence[str], places: Sequence[Place]) -> None:
        """Name what is measured."""
        super().measuring(lines, places)
        self._print("\n".join([*lines, f"cells to measure: {self.pace.total}"]))

    def finished(self, cell: Cell, spent: Spent) -> None:
        """Print a line where the next part of the run is done."""
        super().finished(cell, spent)
        if self._verbose:
            self._print(cell_line(cell, spent))
        with self._lock:
            step = self.pace.done * STEPS // (self.pace.total or 1)
            due, self._step = step > self._step, max(step, self._step)
        if due:
            self._print(state(self.pace))

    def say(self, text: str) -> None:
        """Print a line."""
        self._print(text)

    def _tick(self) -> None:
        while not self._ended.wait(max(0.0, self._printed + self._interval - time.monotonic())):
            if time.monotonic() - self._printed >= self._interval:
                self._print(state(self.pace))

    def _print(self, text: str) -> None:
        self._printed = time.monotonic()
        self._console.print(Text(text), soft_wrap=True)


class Bar(Silent):
    """A bar that fills, for a terminal.

    Args:
        console: the terminal.
        verbose: whether every cell has a line.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        super().__init__()
        self._verbose = verbose
        self._bars = Bars(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=console,
            transient=True,
            get_time=time.monotonic,
        )
        self._task = self._bars.add_task("", total=None, words="reading the checks")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True, name="progress")

    def __enter__(self) -> Self:
        self._bars.start()
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._thread.join()
        self._bars.stop()

    def measuring(self, lines: Sequence[str], places: Sequence[Place]) -> None:
        """Name what is measured, above the bar."""
        super().measuring(lines, places)
        self._bars.console.print(Text("\n".join(lines)), soft_wrap=True)

    def finished(self, cell: Cell, spent: Spent) -> None:
        """Print the cell above the bar where every cell has a line."""
        super().finished(cell, spent)
        if self._verbose:
            self._bars.console.print(Text(cell_line(cell, spent)), soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bars.console.print(Text(text), soft_wrap=True)

    def _tick(self) -> None:
        while not self._ended.wait(0.25):
            self._bars.update(
                self._task,
                total=self.pace.total,
                completed=self.pace.done,
                words=words(self.pace),
            )


def reporter(console: Console, *, quiet: bool = False, verbose: bool = False) -> Silent:
    """What shows the progress of a run: a bar on a terminal that can draw one, else lines.

    ``FORCE_COLOR`` makes rich take a pipe for a terminal; a bar there would fill a log.
    """
    if quiet:
        return Silent()
    draws = console.file.isatty() and not console.is_dumb_terminal
    return Bar(console, verbose=verbose) if draws else Lines(console, verbose=verbose)


def state(pace: Pace) -> str:
    """How far a run is, in a line."""
    if pace.total is None:
        return f"{clock(pace.elapsed()):>6}  {words(pace)}"
    share = 100 * pace.done // (pace.total or 1)
    text = f"{clock(pace.elapsed()):>6} {share:3} %  {pace.done} of {pace.total} cells"
    return ", ".join(filter(None, [text, words(pace)]))


def words(pace: Pace) -> str:
    """What a run waits for."""
    if pace.total is None:
        starting = ", ".join(pace.starting)
        return f"still starting: {starting}" if starting else "reading the checks"
    left, behind = pace.seconds_left(), pace.behind()
    if behind is None:
        return ""
    estimate = f"about {clock(left)} left, " if left is not None else ""
    share = pace.calls_done()
    drawn = f"drawn calls {100 * share:.0f} %, " if share is not None else ""
    return f"{estimate}{drawn}behind: {behind[0]} ({behind[1]} to do)"


def cell_line(cell: Cell, spent: Spent) -> str:
    """One cell with its verdict and its seconds."""
    standing = "" if cell.expected else f", worse than known: {cell.known}"
    return f"{spent.backend + spent.suite:7.2f} s  {cell.id}: {cell.verdict}{standing}"


def parts_line(pace: Pace, report: float) -> str:
    """Where the time went, ``report`` being the seconds of the report."""
    start_up, measuring = pace.parts()
    return (
        f"time: start-up {clock(start_up)}, measuring {clock(measuring)} (inputs, truths and "
        f"judging: {clock(pace.suite)} of processor time), report {clock(report)}"
    )


def slow_line(pace: Pace) -> str:
    """The slowest backends and requirements, in a line; empty where no time was spent."""

    def named(pairs: list[tuple[str, float]]) -> str:
        return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in pairs if seconds >= 1)

    texts = [named(pairs) for pairs in pace.slowest()]
    return f"slowest: {'; '.join(filter(None, texts))}" if any(texts) else ""

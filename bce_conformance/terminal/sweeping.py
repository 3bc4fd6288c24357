"""How far a sweep is, on stderr: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

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


def status_table(entries: Iterable[Mapping[str, Any]]) -> RenderableType:
    """How far sweeps are: a table for each version, instruction set and code of the suite.

    Args:
        entries: of each sweep its identity, ``points`` and ``failed_pieces``.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for entry in entries:
        title = tuple(entry[name] for name in ("backend", "version", "instruction_set", "code"))
        groups.setdefault(title, []).append(entry)
    return Group(*(_table(title, group) for title, group in groups.items()))


def _table(title: tuple[str, ...], entries: Iterable[Mapping[str, Any]]) -> RenderableType:
    backend, version, instruction_set, code = title
    names = ("dtype", "quantity", "targets", "pos_weight")
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in (*names, "with"):
        table.add_column(name, overflow="fold")
    for name in ("points", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in entries:
        counts = (f"{entry['points']:,}", str(entry["failed_pieces"]))
        table.add_row(*(Text(entry[name]) for name in (*names, "with")), *counts)
    head = f"{backend} {version}, {instruction_set}, code {code}"
    return Group(Text(head, "bold"), table)

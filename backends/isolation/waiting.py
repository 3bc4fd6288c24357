"""How long a process waited for a processor: what a busy machine takes from its time limit.

Linux counts it for each thread. Elsewhere, and for a process on another machine, it is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

Waited = Mapping[str, float]  # thread → seconds since it began


def waited(pid: int | None) -> Waited:
    """How long each thread of a process, and of those that it started, waited for a processor.

    Args:
        pid: of the process; None for one that is not here.
    """
    found: dict[str, float] = {}
    for thread in _threads(pid):
        try:  # a thread may have ended meanwhile
            _, waiting, _ = (thread / "schedstat").read_text("ascii").split()
        except (OSError, ValueError):
            continue
        found[thread.name] = int(waiting) / 1e9
    return found


def most(before: Waited, after: Waited) -> float:
    """The most seconds that one thread waited between two answers of ``waited``.

    >>> most({"7": 1.0}, {"7": 1.5, "8": 2.0})
    2.0
    """
    return max((seconds - before.get(thread, 0.0) for thread, seconds in after.items()), default=0)


def _threads(pid: int | str | None) -> Iterator[Path]:
    try:
        own = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    yield from own
    for thread in own:
        try:
            children = (thread / "children").read_text("ascii").split()
        except OSError:
            continue
        for child in children:
            yield from _threads(child)

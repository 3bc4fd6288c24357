"""The summary: what a terminal shows at the end of a run.

Guarantees that every cell that is not as known is counted, and named up to a stated number. With
fourteen families no line is wider than 80 columns, but for a command that cannot be broken.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from bce_conformance.backends import builtin_backends
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.reports.pages.unmeasured import lacks
from bce_conformance.results.cells import LEVELS, VERDICTS, Cell
from bce_conformance.results.files import USUAL_FOLDER
from bce_conformance.results.model import BackendEntry, Results

from .findings import findings
from .grid import Square, families, grid
from .standing import STALE, WORSE, counted, moved, standing, unexpected
from .timings import summary_line

WIDTH = 80

STYLES = {
    "AAA": "green",
    "AA": "cyan",
    "A": "yellow",
    "fails": "bold red",
    "crashed": "bold magenta",
    "timeout": "bold magenta",
    "unsupported": "dim",
    "not measured": "dim",
}
"""How each verdict looks in a terminal."""

MARKS = {"fails": "F", "crashed": "C", "timeout": "T", "unsupported": "u", "not measured": "–"}
"""What a verdict that is no level is called in a square."""

SHOWN = 10
"""How many cells that are not as known are named before the rest is only counted."""

LACKING = 4
"""How many things that backends do not support are named before the rest is only counted."""

FEW = 12
"""Up to so many different pairs of findings are shown whole; of more, the worst of each."""

_BELOW = ("fails", "crashed", "timeout")


def summary(results: Results, folder: Path | None = None) -> RenderableType:
    """Everything for the end of a run: grid, worst findings, what is not as known, what is next.

    Args:
        results: a run.
        folder: where it is; None where commands are not to name it.

    Returns:
        What ``rich.console.Console.print`` shows, with ``soft_wrap``: its lines are made.
    """
    parts: list[RenderableType] = []
    if results.cells:
        parts += [*grid_lines(results), Text(), *_finding_lines(results, folder), Text()]
    if results.timings:
        parts += _wrapped(summary_line(results.timings).plain, "")
    return Group(*parts, closing(results, folder))


def closing(results: Results, folder: Path | None = None) -> RenderableType:
    """The last lines of a summary: totals, what is not as known and where to look, what is next."""
    parts: list[RenderableType] = [_totals(results), *_standing_lines(results, folder)]
    command = next_command(results, folder)
    if command:
        parts.append(Text(f"next: {command}", style="bold"))
    return Group(*parts)


# --- the grid ----------------------------------------------------------------------------------


_LEAST_ROOM = 12  # columns of a backend's name


def grid_lines(results: Results) -> Iterator[Text]:
    """Backend × family: the worst level; then how many cells are at which level.

    These numbers go into the line below where there is no room beside the families.
    """
    squares = grid(results)
    names = families(results)
    columns = [max(4, len(name) + 1) for name in names]
    heads = [*LEVELS, "<A"]
    rows = {b.id: [squares.get((b.id, name)) for name in names] for b in results.backends}
    counts = [_counts(row) for row in rows.values()]
    numbers = [
        1 + max(len(word) for word in (head, *(str(row[i]) for row in counts)))
        for i, head in enumerate(heads)
    ]
    longest = max((len(backend) for backend in rows), default=0)
    beside = WIDTH - sum(columns) - sum(numbers) >= _LEAST_ROOM
    room = min(max(WIDTH - sum(columns) - beside * sum(numbers), _LEAST_ROOM), longest + 1)
    title = "".join(name.ljust(width) for name, width in zip(names, columns, strict=True))
    yield Text(f"{'':{room}}{title}{_right(heads, numbers) * beside}".rstrip(), style="bold")
    for backend in results.backends:
        first, *more = folded(backend.id, room - 1)
        line = Text(first.ljust(room))
        row = rows[backend.id]
        if any(row):
            for square, width in zip(row, columns, strict=True):
                _append_square(line, square, width)
            below = [f"{n} {head}" for n, head in zip(_counts(row), heads, strict=True)]
            if beside:
                line.append(_right(_counts(row), numbers))
            else:
                more = [f"{more[0] if more else '':{room}}{', '.join(below)}", *more[1:]]
        else:
            line.append(_without_cells(backend), style="dim")
        line.rstrip()
        yield line
        yield from map(Text, more)
    yield Text(_legend(list(squares.values())), style="dim")


def _right(entries: Sequence[object], widths: Sequence[int]) -> str:
    """Entries beside each other, each at the right end of its column."""
    return "".join(str(entry).rjust(width) for entry, width in zip(entries, widths, strict=True))


def folded(backend: str, width: int) -> list[str]:
    """A backend id in lines of a width, broken before ``:`` and ``@``, or within a long part.

    Of one that takes more than three lines, such as a long path, the middle is left out.
    """
    parts = re.findall(r"[:@]*[^:@]+", backend)
    pieces = [
        piece
        for part in parts
        for piece in ([part] if len(part) <= width else re.findall(r"[=/.-]*[^=/.-]+", part))
    ]
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return lines if len(lines) <= 3 else [lines[0], "…", lines[-1]]


def _append_square(line: Text, square: Square | None, width: int) -> None:
    if square is None:
        line.append(" " * width)
        return
    mark = MARKS.get(square.worst, square.worst)
    line.append(mark, style=STYLES[square.worst])
    surprise = "!" if square.unexpected else ""
    line.append(surprise.ljust(width - len(mark)), style="bold red")


def _counts(row: list[Square | None]) -> list[int]:
    counts = [square.counts for square in row if square]
    groups = [(level,) for level in LEVELS] + [_BELOW]
    return [sum(one.get(verdict, 0) for one in counts for verdict in group) for group in groups]


def _without_cells(backend: BackendEntry) -> str:
    return backend.status if backend.status != "ok" else "no cells"


def _legend(squares: list[Square]) -> str:
    worst = {square.worst for square in squares}
    marks = [f"{mark} {verdict}" for verdict, mark in MARKS.items() if verdict in worst]
    marks += ["! worse than known"] if any(square.unexpected for square in squares) else []
    return ", ".join(["worst level of each family; cells at each level", *marks])


# --- findings ----------------------------------------------------------------------------------


def _finding_lines(results: Results, folder: Path | None) -> Iterator[Text]:
    """The worst two findings of each backend; backends that share them share the lines."""
    found = findings(results)
    ids = [backend.id for backend in results.backends if backend.id in found]
    perfect = [backend for backend in ids if not found[backend]]
    if perfect:
        yield from _wrapped(f"{', '.join(perfect)}: AAA wherever measured", "")
    blocks: dict[tuple[str, ...], list[str]] = {}
    for backend in ids:
        if found[backend]:
            key = tuple(one.text for one in found[backend][:2])
            blocks.setdefault(key, []).append(backend)
    number = 2 if len(blocks) <= FEW else 1
    for first, *alike in blocks.values():
        total = len(found[first])
        title = f"{first}: {min(number, total)} of {total} findings, the worst first"
        title += f" ({', '.join(alike)} alike)" if alike else ""
        yield from _wrapped(title, "", style="bold")
        for finding in found[first][:number]:
            yield from _wrapped(finding.words, "  ")
            yield Text(f"    {reproduce(finding.worst, folder)}", style="dim")


def reproduce(cell: Cell, folder: Path | None = None) -> str:
    """The command that shows a cell again, with its ``explain`` line where it has one.

    Args:
        cell: which.
        folder: of its run, from which the command takes tier and seed; None where it is not known.
    """
    its_run = ["--out", str(folder)] if folder not in (None, USUAL_FOLDER) else []
    return shlex.join(["bce-conformance", "reproduce", cell.id, *its_run])


def _wrapped(text: str, indent: str, style: str = "", *, whole: bool = False) -> Iterator[Text]:
    """A text in lines of 80 columns; ``whole`` leaves a longer word unbroken, to be copied."""
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=not whole,
        break_on_hyphens=False,
    )
    for line in lines:
        yield Text(line, style=style)


# --- what is not as known ----------------------------------------------------------------------


def _standing_lines(results: Results, folder: Path | None) -> Iterator[Text]:
    """How many cells are not as known, where to look, and the first of them."""
    lines = counted(results.cells)
    if not lines:
        if results.cells:
            yield Text("every cell is as known", style="green")
        return
    worse = unexpected(results.cells)
    for line in lines:
        yield from _wrapped(line, "", style="bold red" if line.startswith(WORSE) else "")
    command = f"bce-conformance ledger check{_argument(folder)}{_given(results, *_HELD_TO)}"
    yield Text(f"  all of them: {command}")
    named = worse or [cell for cell in results.cells if cell.better]
    told = [cell for cell in named if cell.verdict != "unsupported"]
    for cell in told[:SHOWN]:
        yield from _wrapped(f"{cell.id}: {moved(cell)}", "  ", whole=True)
    if len(told) > SHOWN:
        yield Text(f"  and {len(told) - SHOWN} more")
    yield from _unsupported_lines([cell for cell in named if cell.verdict == "unsupported"])


def _unsupported_lines(cells: Sequence[Cell]) -> Iterator[Text]:
    """What backends do not support, each once: a format that is not taken is one thing."""
    alike: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        alike.setdefault((cell.backend, lacks(cell)), []).append(cell.requirement)
    ranked = sorted(alike.items(), key=lambda item: -len(item[1]))
    for (backend, detail), requirements in ranked[:LACKING]:
        number = f"{len(requirements)} cells, such as of" if len(requirements) > 1 else "a cell of"
        where = f"{number} {requirements[0]}"
        yield from _wrapped(f"{backend}: unsupported in {where}: {detail}", "  ")
    others = sum(len(requirements) for _, requirements in ranked[LACKING:])
    if others:
        yield Text(f"  and {others} cells more that are unsupported")


def next_command(results: Results, folder: Path | None = None) -> str:
    """The command that a reader of the summary will want next."""
    standings = {standing(cell): cell for cell in reversed(results.cells)}
    if results.run.interrupted:
        return _run_again(results, "--resume")
    worse = unexpected(results.cells)
    if worse:
        return reproduce(worse[0], folder) + _given(results, *_HELD_TO)
    if STALE in standings and results.run.tier != "quick":
        stale = standings[STALE].backend.partition("@")[0]
        built_in = {spec.id for spec in builtin_backends()}
        own = "" if stale in built_in else _given(results, "--ledger")
        return f"bce-conformance ledger update{_argument(folder)}{own}"
    tiers = list(TIERS)
    if results.run.tier in tiers[:-1]:
        larger = tiers[tiers.index(results.run.tier) + 1]
        return _run_again(results, f"--tier={larger}")
    if not results.cells or results.timings:
        return ""
    out = "" if folder in (None, USUAL_FOLDER) else f" --out{_argument(folder)}"
    return f"bce-conformance bench{out}"


def _run_again(results: Results, option: str) -> str:
    """The run's own command to go on, or with another tier: no other one does both."""
    words = list(results.run.argv[2:]) if results.run.argv[1:2] == ("run",) else []
    words = [word for word in words if word not in ("--resume", "--overwrite")]
    if option.startswith("--tier="):
        words = [
            word
            for place, word in enumerate(words)
            if not word.startswith("--tier") and (place == 0 or words[place - 1] != "--tier")
        ]
    return shlex.join(["bce-conformance", "run", *words, option])


_HELD_TO = ("--claims", "--dtypes", "--without", "--ledger")


def _given(results: Results, *options: str) -> str:
    """Some options that a run was given, as those of another command."""
    words = [word for argument in results.run.argv for word in _split(argument)]
    pairs = [pair for pair in pairwise(words) if pair[0] in options]
    return "".join(f" {shlex.join(pair)}" for pair in pairs)


def _split(argument: str) -> list[str]:
    """An option as its name and its value, where they are one word."""
    return argument.split("=", 1) if argument.startswith("--") else [argument]


def _argument(folder: Path | None) -> str:
    return f" {shlex.quote(str(folder))}" if folder else ""


def _totals(results: Results) -> Text:
    counts = dict.fromkeys(VERDICTS, 0)
    for cell in results.cells:
        counts[cell.verdict] += 1
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    text = f"{len(results.cells)} cells"
    text += f" ({verdicts})" if verdicts else ""
    text += f", {results.run.inputs:,} inputs tried, tier {results.run.tier}"
    if results.run.seconds is not None:
        start_up, measuring = (
            timedelta(seconds=round(results.run.seconds[name]))
            for name in ("start_up", "measuring")
        )
        text += f", in {measuring} after {start_up} of start-up"
    lines = Text("\n").join(_wrapped(text, ""))
    if results.run.interrupted:
        lines.append("\ninterrupted: what follows is what was measured until then", "bold red")
    return lines

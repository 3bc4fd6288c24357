"""The summary: what a terminal shows at the end of a run.

Guarantees that every cell that is not as expected is counted, and named up to a stated number.
"""

from __future__ import annotations

from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bce_conformance.conformance.cells import LEVELS, VERDICTS, Cell
from bce_conformance.reports.grid import Square, families, grid
from bce_conformance.reports.results import Results
from bce_conformance.reports.timings import summary_line

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

SHOWN = 30
"""How many unexpected cells are named before the rest is only counted."""


def summary(results: Results) -> RenderableType:
    """Everything for the end of a run: the grid, what is not as expected, the totals.

    Args:
        results: a run.

    Returns:
        What ``rich.console.Console.print`` shows.
    """
    parts: list[RenderableType] = [grid_table(results)]
    unexpected = unexpected_cells(results)
    if unexpected:
        parts.append(unexpected_table(unexpected))
    parts.append(_totals(results, len(unexpected)))
    if results.timings:
        parts.append(summary_line(results.timings))
    return Group(*parts)


def unexpected_cells(results: Results) -> tuple[Cell, ...]:
    """The cells that are not as the ledger says, in their order."""
    return tuple(cell for cell in results.cells if not cell.expected)


def grid_table(results: Results) -> Table:
    """Backend × family: the worst level, below it how many cells are at AAA, AA, A and below.

    An exclamation mark: the square has a cell that is not as expected.
    """
    squares = grid(results)
    names = families(results)
    table = Table(title="worst level; cells at AAA/AA/A/below", title_style="dim")
    table.add_column("backend", no_wrap=True)
    for name in names:
        table.add_column(name, overflow="fold")
    for backend in results.backends:
        row = [_square(squares.get((backend.id, name))) for name in names]
        if not any(row):
            row = [Text(backend.status, style="dim") if backend.status != "ok" else Text("–")]
        title = Text(backend.id)
        title.append(f"\n{backend.version}", style="dim")
        table.add_row(title, *row[: len(names)])
    return table


def unexpected_table(cells: tuple[Cell, ...]) -> Table:
    """The first cells that are not as expected, one line each."""
    table = Table(title=f"not as expected: {len(cells)}", title_style="bold red")
    table.add_column("cell", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("detail")
    for cell in cells[:SHOWN]:
        verdict = Text(cell.verdict, style=STYLES[cell.verdict])
        # One line, and the one that gives way: the report has the whole text.
        line = " ".join((cell.detail or cell.reason).split())
        detail = Text(line, no_wrap=True, overflow="ellipsis")
        table.add_row(Text(" ".join(cell.key)), verdict, detail)
    if len(cells) > SHOWN:
        table.caption = f"and {len(cells) - SHOWN} more"
    return table


def _square(square: Square | None) -> Text:
    if square is None:
        return Text("")
    below = sum(square.counts.get(name, 0) for name in ("fails", "crashed", "timeout"))
    counts = [str(square.counts.get(level, 0)) for level in LEVELS]
    text = Text(square.worst, style=STYLES[square.worst])
    text.append(" !" if square.unexpected else "", style="bold red")
    text.append(f"\n{'/'.join(counts)}/{below}", style="dim")
    return text


def _totals(results: Results, unexpected: int) -> Text:
    counts = dict.fromkeys(VERDICTS, 0)
    for cell in results.cells:
        counts[cell.verdict] += 1
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    text = Text(f"{len(results.cells)} cells")
    text.append(f" ({verdicts})" if verdicts else "")
    text.append(f", {results.run.inputs:,} inputs tried, tier {results.run.tier}")
    if results.run.seconds is not None:
        start_up, measuring = (
            timedelta(seconds=round(results.run.seconds[name]))
            for name in ("start_up", "measuring")
        )
        text.append(f", in {measuring} after {start_up} of start-up")
    if results.run.interrupted:
        text.append("; interrupted", style="bold red")
    text.append("\n")
    better = sum(cell.better for cell in results.cells)
    if better:
        text.append(f"{better} better than the ledger, which was measured on other versions\n")
    if unexpected:
        text.append(f"{unexpected} not as expected", style="bold red")
    else:
        text.append("every cell is as expected", style="green")
    return text

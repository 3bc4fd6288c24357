"""The history of a backend for people and programs: a table of releases, JSON, and CSV.

Guarantees that a release which could not be measured is named with the reason, and that what moved
stands under the release in which it was seen first.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bce_conformance.reports.compare import Move, distance, state_of
from bce_conformance.reports.summary import STYLES
from bce_conformance.results.cells import VERDICTS, Cell, Place
from bce_conformance.results.model import Results
from bce_conformance.results.writing import number, plain

from .narrowing import History, Step

FEW = 4  # cells that have a column of their own; of more, verdicts are counted
COLUMNS = (
    *("backend", "release", "requirement", "device", "dtype", "verdict", "ulp_max"),
    *("moved", "before_release", "before_verdict", "before_ulp_max"),
)
"""Of the CSV, in their order."""


def places(found: History) -> list[Place]:
    """The cells of all measured releases, in the order of the newest."""
    newest_first = reversed(found.in_order())
    return list(dict.fromkeys(c.place for r in newest_first for c in found.measured[r].cells))


def table(found: History) -> RenderableType:
    """Show a history in a terminal, or as plain text through a console without colour."""
    parts: list[RenderableType] = [_releases(found)]
    for step in found.steps():
        parts.append(Text(f"moved in {_where(step)}:", "bold"))
        parts += _moves(step)
    parts.append(_closing(found))
    return Group(*parts)


def _releases(found: History) -> Table:
    """A row a measured release: its cells where they are few, else how many have each verdict."""
    every = places(found)
    few = len(every) <= FEW
    shown = Table(title="releases", title_style="dim", box=None, padding=(0, 2, 0, 0))
    shown.add_column("release")
    for name in map(_named, every) if few else VERDICTS:
        shown.add_column(Text(name), justify="left" if few else "right")
    for release in found.in_order():
        cells = {cell.place: cell for cell in found.measured[release].cells}
        row = [state_of(cells.get(place)) for place in every] if few else _counts(cells)
        shown.add_row(Text(release), *row)
    return shown


def _named(place: Place) -> str:
    """A cell without its backend, which is the same for all."""
    return f"{place.requirement} {place.device} {place.dtype}"


def _counts(cells: Mapping[Place, Cell]) -> list[Text]:
    counts: Counter[str] = Counter(cell.verdict for cell in cells.values())
    return [
        Text(str(count), STYLES[verdict]) if (count := counts[verdict]) else Text("–", "dim")
        for verdict in VERDICTS
    ]


def _where(step: Step) -> str:
    before = f"{'little by little since' if step.gradual else 'after'} {step.before}"
    if not step.between:
        return f"{step.after}, {before}"
    left_out = ", ".join(step.between)
    return f"{step.after} or {left_out}, which could not be measured, {before}"


def _moves(step: Step) -> Iterator[RenderableType]:
    """Two lines a cell that moved: from what to what, and how far with the worst inputs."""
    width = max(len(_named(move.place)) for move in step.moves)
    for move in step.moves:
        worse = move.better is False
        mark = "bold red" if worse else "green" if move.better else ""
        line = Text.assemble(
            (f"  {_direction(move):<8}", mark), _named(move.place).ljust(width), "  "
        )
        yield line + state_of(move.before) + Text(" → ") + state_of(move.after)
        if distance(move):
            yield Padding(Text(distance(move), "dim"), (0, 0, 0, 10))


def _direction(move: Move) -> str:
    """``better``, ``worse``, or what happened where that cannot be said."""
    return {True: "better", False: "worse", None: move.kind}[move.better]


def _closing(found: History) -> Text:
    steps = found.steps()
    moved = {move.place for step in steps for move in step.moves}
    lines = [f"{r}: left out: {why}" for r, why in found.left_out.items()]
    skipped = len(found.releases) - len(found.measured) - len(found.left_out)
    if skipped:
        lines.append(
            f"{skipped} releases were not measured: their neighbours agree; --all measures each"
        )
    lines.append(
        f"{len(moved)} of {len(places(found))} cells moved"
        + (f", in {', '.join(dict.fromkeys(step.after for step in steps))}" if steps else "")
    )
    return Text("\n".join(lines))


def document(found: History, backend: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A history as JSON has it: what was asked, each measured release, and what moved when.

    Args:
        found: the history.
        backend: whose it is.
        asked: name → value of what it was measured with.
    """
    return {
        "backend": backend,
        **asked,
        "releases": [
            {
                "release": release,
                "left_out": found.left_out.get(release),
                "measured": release in found.measured,
                **_conditions(found.measured.get(release)),
            }
            for release in found.releases
        ],
        "cells": [_cell(found, place) for place in places(found)],
        "moves": [
            {
                "release": step.after,
                "before": step.before,
                "or": list(step.between),
                "cell": str(move.place),
                "moved": _direction(move),
                "distance": distance(move),
            }
            for step in found.steps()
            for move in step.moves
        ],
    }


def _conditions(measured: Results | None) -> dict[str, Any]:
    if measured is None:
        return {}
    (entry,) = measured.backends
    return {
        "framework": entry.framework,
        "version": entry.version,
        "instruction_set": entry.instruction_set,
        "started": measured.run.started,
        "host": plain(measured.run.host),
    }


def _cell(found: History, place: Place) -> dict[str, Any]:
    by_release = {}
    for release in found.in_order():
        cells = [cell for cell in found.measured[release].cells if cell.place == place]
        for cell in cells:
            ulp = number(cell.ulp.max) if cell.ulp else None
            by_release[release] = {"verdict": cell.verdict, "ulp_max": ulp}
    return {"cell": str(place), "by_release": by_release}


def rows(found: History, backend: str) -> Iterator[dict[str, Any]]:
    """A history as rows of a table with ``COLUMNS``: one a cell and measured release.

    ``moved`` says of a cell that moved in its release whether it is better or worse, or what
    happened; then ``before_…`` has what it was.
    """
    moved = {(s.after, move.place): (s.before, move) for s in found.steps() for move in s.moves}
    for release in found.in_order():
        moves = {place: found for (after, place), found in moved.items() if after == release}
        cells = {cell.place: cell for cell in found.measured[release].cells}
        for place in [*cells, *(place for place in moves if place not in cells)]:
            row: dict[str, Any] = dict.fromkeys(COLUMNS)
            row |= {"backend": backend, "release": release, "requirement": place.requirement}
            row |= {"device": place.device, "dtype": place.dtype} | _result(cells.get(place))
            if place in moves:
                since, move = moves[place]
                row |= {"moved": _direction(move), "before_release": since}
                before = _result(move.before)
                row |= {f"before_{name}": value for name, value in before.items()}
            yield row


def _result(cell: Cell | None) -> dict[str, Any]:
    if cell is None:
        return {"verdict": None, "ulp_max": None}
    return {"verdict": cell.verdict, "ulp_max": f"{cell.ulp.max:.6g}" if cell.ulp else None}


def as_csv(found: History, backend: str) -> str:
    """The rows of a history as CSV, with a line of names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(found, backend))
    return text.getvalue()

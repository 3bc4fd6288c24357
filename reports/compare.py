"""The comparison: every cell that moved between two runs.

Guarantees that a cell that is in one run only, whose verdict changed, or whose largest ULP error
changed by more than the stated factor is in the result; it judges nothing anew.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bce_conformance.results.cells import VERDICTS, Cell, Place, is_better, is_worse
from bce_conformance.results.model import BackendEntry, Results, Run
from bce_conformance.results.writing import plain

from . import timings
from .grid import UNMEASURED
from .summary import STYLES

FACTOR = 2.0
"""By how much the largest ULP error may change before a cell has moved."""

NOISE = 0.5
"""Largest ULP error of a correctly rounded result: changes below it are no movement."""

LISTED = 8
"""How many cells of a backend that are in one run only are listed before they are only counted."""

Kind = Literal["verdict", "ulp", "appeared", "disappeared"]


@dataclass(frozen=True)
class Move:
    """One cell that moved.

    Attributes:
        key: requirement, backend, device, dtype.
        kind: what about it changed; a changed verdict goes before a changed error.
        before: the cell in the first run; None where it appeared.
        after: the cell in the second run; None where it disappeared.
        better: True for better, False for worse, None where that cannot be said.
        harm: the score of the most harmful known defect of the worse one of the two; 0 for none.
    """

    place: Place
    kind: Kind
    before: Cell | None
    after: Cell | None
    better: bool | None
    harm: int = 0


@dataclass(frozen=True)
class Version:
    """A backend's version, instruction set and notes in both runs; None where one has it not."""

    backend: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Comparison:
    """What changed from one run to another: versions of backends, cells and timings that moved."""

    before: Run
    after: Run
    versions: tuple[Version, ...]
    moves: tuple[Move, ...]
    unmoved: int
    timings: tuple[timings.Move, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)  # requirement → its sentence

    @property
    def worse(self) -> int:
        """How many cells are worse."""
        return sum(move.better is False for move in self.moves)


def compare(before: Results, after: Results, *, factor: float = FACTOR) -> Comparison:
    """Find every cell that moved from one run to another.

    Args:
        before: the first run.
        after: the second run.
        factor: a cell moved if its largest ULP error grew or shrank by more than this, errors below
            0.5 ULP counting as 0.5.

    Returns:
        The moves: what is worse first, then what cannot be said, then what is better; among each
        the most harmful first.

    Raises:
        ValueError: ``factor`` is not a number of at least 1.
    """
    if not factor >= 1:
        raise ValueError(f"factor is {factor}; accepted is a number of at least 1")
    old = {cell.place: cell for cell in before.cells}
    new = {cell.place: cell for cell in after.cells}
    scores = {defect.id: defect.harm.score for run in (before, after) for defect in run.defects}
    found = [replace(move, harm=_harm(move, scores)) for move in _moves(old, new, factor)]
    moves = tuple(sorted(found, key=_rank))
    return Comparison(
        before=before.run,
        after=after.run,
        versions=_versions(before, after),
        moves=moves,
        unmoved=len(old.keys() | new.keys()) - len(moves),
        timings=timings.moved(before.timings, after.timings)
        if before.timings and after.timings
        else (),
        texts={r.id: r.text for run in (before, after) for r in run.requirements},
    )


def _harm(move: Move, scores: Mapping[str, int]) -> int:
    """The score of the known defects of a cell that became worse, or that was."""
    cell = move.before if move.better else move.after
    return max((scores[name] for name in cell.defects), default=0) if cell else 0


def _rank(move: Move) -> tuple[int, int, int, float]:
    """Worse first; then by known harm, by levels lost or won, and by how far the error moved."""
    order = {False: 0, None: 1, True: 2}
    levels, far = 0, 0.0
    if move.before and move.after:
        levels = abs(VERDICTS.index(move.after.verdict) - VERDICTS.index(move.before.verdict))
        if move.before.ulp and move.after.ulp:
            small, large = sorted((_largest(move.before), _largest(move.after)))
            far = 0.0 if small == large else math.log(large / small)
    return order[move.better], -move.harm, -levels, -far


def _versions(before: Results, after: Results) -> tuple[Version, ...]:
    old = {backend.id: _version(backend) for backend in before.backends}
    new = {backend.id: _version(backend) for backend in after.backends}
    return tuple(Version(name, old.get(name), new.get(name)) for name in {**new, **old})


def _version(backend: BackendEntry) -> str:
    version = " ".join(filter(None, [backend.version, backend.instruction_set]))
    return "; ".join(filter(None, [version, *backend.notes]))


def _moves(old: dict[Place, Cell], new: dict[Place, Cell], factor: float) -> Iterator[Move]:
    for place, after in new.items():
        before = old.get(place)
        if before is None:
            yield Move(place, "appeared", None, after, None)
        elif before.verdict != after.verdict:
            yield Move(place, "verdict", before, after, _better_verdict(before, after))
        elif _ulp_moved(before, after, factor):
            yield Move(place, "ulp", before, after, _largest(after) < _largest(before))
    for place, before in old.items():
        if place not in new:
            yield Move(place, "disappeared", before, None, None)


def _better_verdict(before: Cell, after: Cell) -> bool | None:
    """Better or worse; what was measured and is not any more is worse, and the reverse neither.

    A refusal that became a wrong result or a crash is worse, one that became a level neither.
    """
    if before.verdict == "unsupported" and is_worse(after.verdict, before.verdict):
        return False
    if before.verdict in UNMEASURED:
        return None
    if after.verdict in UNMEASURED:
        return False
    return is_better(after.verdict, before.verdict)


def _ulp_moved(before: Cell, after: Cell, factor: float) -> bool:
    if before.ulp is None or after.ulp is None:
        return False
    small, large = sorted((_largest(before), _largest(after)))
    # inf / inf is no movement, and finite / inf is: a product says both without NaN.
    return small != large and not (small * factor >= large)


def _largest(cell: Cell) -> float:
    return max(cell.ulp.max, NOISE) if cell.ulp else math.nan


def comparison_table(comparison: Comparison) -> RenderableType:
    """Show a comparison in a terminal, or as plain text through a console without colour.

    Args:
        comparison: what ``compare`` found.

    Returns:
        What ``rich.console.Console.print`` shows.
    """
    parts: list[RenderableType] = [_versions_table(comparison)]
    if comparison.moves:
        parts.append(_moves_table(comparison.moves))
    if comparison.timings:
        parts.append(timings.moves_table(comparison.timings))
    parts.append(_verdict(comparison))
    return Group(*parts)


def document(comparison: Comparison) -> dict[str, Any]:
    """A comparison as JSON has it: each cell that moved, with its verdicts and how far."""
    return {
        "worse": comparison.worse,
        "unmoved": comparison.unmoved,
        "differences": [list(line) for line in differences(comparison)],
        "versions": [plain(version) for version in comparison.versions],
        "moves": [
            {
                "cell": "/".join(move.place),
                "kind": move.kind,
                "before": move.before.verdict if move.before else None,
                "after": move.after.verdict if move.after else None,
                "better": move.better,
                "distance": distance(move),
            }
            for move in comparison.moves
        ],
    }


def differences(comparison: Comparison) -> list[tuple[str, str, str]]:
    """What was not alike in how two runs were measured: name, before, after.

    Two runs of other seeds, tiers, processors or extent differ for reasons that are no change of a
    backend.
    """
    rows = [
        (name, one, other)
        for (name, one), (_, other) in zip(
            _settings(comparison.before), _settings(comparison.after), strict=True
        )
    ]
    return [row for row in rows if row[1] != row[2]]


def _settings(run: Run) -> list[tuple[str, str]]:
    host = run.host
    cut = "interrupted: cells are missing" if run.interrupted else "no"
    return [
        ("tier", run.tier),
        ("seed", "not said" if run.seed is None else str(run.seed)),
        ("interrupted", cut),
        ("processor", f"{host.cpu or 'unknown'}, {host.cores} cores"),
        ("instruction set", host.instruction_set or "not said"),
        ("system", f"{host.os}, Python {host.python}"),
    ]


def _versions_table(comparison: Comparison) -> Table:
    before, after = comparison.before, comparison.after
    table = Table(title="versions", title_style="dim")
    for name in ("", f"before: {before.id}", f"after: {after.id}"):
        table.add_column(Text(name))
    for name in ("started", "commit"):
        table.add_row(name, Text(getattr(before, name)), Text(getattr(after, name)), style="dim")
    for name, *shown in differences(comparison):
        table.add_row(Text(name), *(Text(value) for value in shown), style="bold yellow")
    for version in comparison.versions:
        changed = "bold" if version.before != version.after else ""
        shown = ["not listed" if v is None else v for v in (version.before, version.after)]
        table.add_row(Text(version.backend), *(Text(v) for v in shown), style=changed)
    return table


def _moves_table(moves: tuple[Move, ...]) -> Table:
    table = Table(title="cells that moved", title_style="dim", box=None, padding=(0, 1, 0, 0))
    for name in ("", "cell", "before", "after"):
        table.add_column(name)
    marks = {True: Text("better", "green"), False: Text("worse", "bold red")}
    listed, counts = _apart(moves)
    for move in listed:
        mark = marks[move.better] if move.better is not None else Text(move.kind)
        states = (state_of(move.before), state_of(move.after))
        table.add_row(mark, Text(str(move.place), overflow="fold"), *states)
        if move.kind in ("verdict", "ulp"):
            table.add_row("", Text(f"  {distance(move)}", style="dim", overflow="fold"), "", "")
    for (kind, backend), number in counts.items():
        table.add_row(Text(kind), Text(f"{number} cells of {backend}", overflow="fold"), "", "")
    return table


def _apart(moves: tuple[Move, ...]) -> tuple[list[Move], dict[tuple[Kind, str], int]]:
    """The moves to list, and how many cells of a backend are in one run only, where many are."""
    one_sided: Counter[tuple[Kind, str]] = Counter(
        (move.kind, move.place.backend)
        for move in moves
        if move.kind in ("appeared", "disappeared")
    )
    many = {key: number for key, number in one_sided.items() if number > LISTED}
    return [move for move in moves if (move.kind, move.place.backend) not in many], many


def distance(move: Move) -> str:
    """How far a cell moved, with the worst input of both runs, in a line; empty where none has one.

    Example: ``error × 12; worst before at x = 20, y = 1; after at x = 88, y = 0``
    """
    said = []
    before, after = move.before, move.after
    if before and after and before.ulp and after.ulp and _largest(before) != _largest(after):
        small, large = sorted((_largest(before), _largest(after)))
        times = "∞" if math.isinf(large) else f"{large / small:.3g}"
        if times != "1":
            said.append(f"error {'×' if _largest(after) == large else '÷'} {times}")
    for when, cell in (("before", before), ("after", after)):
        if cell and cell.worst:
            operands = zip("xywp", vars(cell.worst).values(), strict=False)
            inputs = [f"{n} = {float.fromhex(v):.9g}" for n, v in operands if v is not None]
            said.append(f"worst {when} at {', '.join(inputs)}")
    return "; ".join(said)


def state_of(cell: Cell | None) -> Text:
    """A cell in a few words: its verdict and its largest error; a dash where there is none."""
    if cell is None:
        return Text("–", style="dim")
    text = Text(cell.verdict, style=STYLES[cell.verdict])
    if cell.ulp is not None:
        text.append(f", {cell.ulp.max:.3g} ULP", style="dim")
    return text


def _verdict(comparison: Comparison) -> Text:
    moves = [move for move in comparison.moves if move.before and move.after]
    alone = len(comparison.moves) - len(moves)
    better = sum(move.better is True for move in moves)
    worse = comparison.worse
    text = Text(f"{len(moves)} cells moved: ")
    text.append(f"{worse} worse", style="bold red" if worse else "")
    text.append(f", {better} better, {len(moves) - worse - better} other; ")
    text.append(f"{comparison.unmoved} did not move")
    text.append(f"; {alone} in one of the runs only" if alone else "")
    return text

"""Timings, for people: tables for a terminal, and a chart for the page.

Nothing here measures or judges; the page shows the ``timings`` of a results.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bce_conformance.backends.measuring.workload import Workload
from bce_conformance.results.model import Timing, Timings
from bce_conformance.timing.goals import JudgedGoal
from bce_conformance.timing.plan import AGAIN, title
from bce_conformance.timing.records import workload_of

from .charts import alt, vega

Spec = dict[str, Any]

CHARTED = ("sizes", "formats")
"""Groups that compare backends with each other; the others compare one with itself."""

VERDICT_STYLES = {"met": "green", "missed": "bold red"}
_PANEL_WIDTH = 250


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def by_workload(timings: Timings) -> dict[tuple[str, Workload], list[Timing]]:
    """The measurements of each group and workload, in their order."""
    found: dict[tuple[str, Workload], list[Timing]] = {}
    for timing in timings.measurements:
        found.setdefault((timing.group, workload_of(timing)), []).append(timing)
    return found


def noise(timings: Timings) -> dict[Workload, float]:
    """A/A: the time of a backend's second process over that of its first, by workload."""
    found = {}
    for (_, workload), measured in by_workload(timings).items():
        seconds = {timing.series: timing.seconds for timing in measured}
        for timing in measured:
            first = seconds.get(timing.series.removesuffix(AGAIN))
            if timing.series.endswith(AGAIN) and timing.seconds and first:
                found[workload] = timing.seconds / first
    return found


@dataclass(frozen=True)
class Move:
    """A measurement that is in two sessions and whose rounds lie apart."""

    series: str
    workload: Workload
    before: float
    after: float


def moved(before: Timings, after: Timings) -> tuple[Move, ...]:
    """Which measurements moved from one session to another, in the second one's order.

    One has moved if no round of one session was as fast as any of the other.
    """
    old = {(t.group, t.series, workload_of(t)): t for t in before.measurements}
    found = []
    for new in after.measurements:
        was = old.get((new.group, new.series, workload_of(new)))
        if was is not None and _apart(was, new) and was.seconds and new.seconds:
            found.append(Move(new.series, workload_of(new), was.seconds, new.seconds))
    return tuple(found)


def _apart(one: Timing, other: Timing) -> bool:
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def moves_table(moves: tuple[Move, ...]) -> Table:
    """The measurements that moved, one a line."""
    table = Table(title="timings whose rounds lie apart", title_style="dim")
    for name in ("series", "workload", "before", "after", "×"):
        table.add_column(name, overflow="fold")
    for move in moves:
        ratio = move.after / move.before
        style = "bold red" if ratio > 1 else "green"
        times = (duration(move.before), duration(move.after))
        table.add_row(
            Text(move.series), title(move.workload), *times, Text(f"{ratio:.2f}", style=style)
        )
    return table


def summary_line(timings: Timings) -> Text:
    """What timings a results.json holds, in a line."""
    text = Text(f"timings of {timings.started[:10]} {timings.started[11:16]}: ")
    text.append(f"{len(timings.measurements)} measurements")
    if timings.interrupted:
        text.append("; interrupted", style="bold red")
    return text


def timings_tables(timings: Timings) -> RenderableType:
    """What a session measured, and how noisy it was."""
    return Group(_measurements(timings), noise_line(timings))


def noise_line(timings: Timings) -> Text:
    """The A/A ratios and the spread of the rounds, in a sentence."""
    ratios = list(noise(timings).values())
    spreads = sorted(t.spread for t in timings.measurements if t.seconds is not None)
    text = Text()
    if ratios:
        off = max(max(ratio, 1 / ratio) for ratio in ratios) - 1
        listed = ", ".join(f"{ratio:.3f}" for ratio in ratios)
        text.append(f"A/A (a second process over the first): {listed}; at most {off:.1%} apart. ")
    if spreads:
        text.append(f"Spread of the rounds: median {spreads[len(spreads) // 2]:.1%}, ")
        text.append(f"at most {spreads[-1]:.1%}.")
    if timings.others is not None:
        text.append(f" Others kept {timings.others:.1f} of {timings.host.cores} processors busy.")
    return text


def _measurements(timings: Timings) -> RenderableType:
    """The groups that compare backends; what compares one with itself is in the goals."""
    parts: list[RenderableType] = [
        Text(f"medians of {timings.rounds} rounds in turns", style="dim"),
        _columns(*(Text(name, style="dim") for name in ("", *_WIDTHS))),
    ]
    for (group, workload), measured in by_workload(timings).items():
        if group in CHARTED:
            parts.append(Text(title(workload), style="bold"))
            parts += [_row(timing) for timing in measured]
    return Group(*parts)


_WIDTHS = {"a call": 8, "spread": 6, "ns/element": 10, "GB/s": 6, "× fastest": 9, "× limit": 7}


_NAME_WIDTH = 18


def _columns(*cells: Text) -> Table:
    """One row, whose columns are as wide as those of every other."""
    table = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
    table.add_column(width=_NAME_WIDTH, no_wrap=True)
    for width in _WIDTHS.values():
        table.add_column(width=width, justify="right", no_wrap=True)
    table.add_row(*cells)
    return table


def _row(timing: Timing) -> RenderableType:
    if timing.seconds is None:
        text = f"  {timing.series:<{_NAME_WIDTH - 2}} {timing.status}"
        return Text(text, style="dim", no_wrap=True, overflow="ellipsis")
    figures = (timing.ns_per_element, timing.gb_per_s, timing.to_fastest, timing.to_limit)
    return _columns(
        Text(f"  {timing.series}"),
        Text(duration(timing.seconds)),
        Text(f"{timing.spread:.0%}", style="dim"),
        *(Text("" if figure is None else brief(figure)) for figure in figures),
    )


def brief(figure: float) -> str:
    """A number in three figures and no more than six characters: 1823, 0.313, 3e-04."""
    if figure >= 100:
        return f"{figure:.0f}"
    return f"{figure:.3g}" if figure >= 0.01 else f"{figure:.0e}"


def goals_table(goals: Sequence[JudgedGoal]) -> Table:
    """The goals of the native implementation that were measured, one a line, and how many not."""
    table = Table(title="goals of the native implementation", title_style="dim")
    measured = [(goal, goal.figure) for goal in goals if goal.figure is not None]
    if len(measured) < len(goals):
        table.caption = f"{len(goals) - len(measured)} more were not measured: goals.json has them"
    for name in ("goal", "bound", "figure", "verdict"):
        table.add_column(name, overflow="fold")
    for goal, figure in measured:
        verdict = Text(goal.verdict, style=VERDICT_STYLES[goal.verdict])
        bound = f"{'≤' if goal.at_most else '≥'} {goal.bound:g}"
        table.add_row(goal.goal, bound, f"{figure:.3g}", verdict)
    return table


def _drawable(text: str) -> str:
    """A text that Vega can sort by: an expression of its own takes no line separator or NUL."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def chart(timings: Timings) -> Spec | None:
    """Nanoseconds an element of every series, a panel for each workload; None without a figure."""
    rows = [
        {
            "panel": _drawable(title(workload_of(timing))),
            "series": _drawable(timing.series),
            "ns": timing.ns_per_element,
            "low": timing.ns_per_element * (timing.low / timing.seconds),
            "high": timing.ns_per_element * (timing.high / timing.seconds),
            "call": duration(timing.seconds),
        }
        for timing in timings.measurements
        if timing.group in CHARTED and timing.seconds and timing.low and timing.high
        if timing.ns_per_element
    ]
    if not rows:
        return None
    order = list(dict.fromkeys(row["series"] for row in rows))
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    axis = alt.Axis(gridOpacity=0.3, tickCount=4)
    x = alt.X("ns:Q", title="ns an element", scale=alt.Scale(type="log", nice=True), axis=axis)
    y = alt.Y("series:N", title=None, sort=order)
    reference = "datum.series == 'limit' || indexof(datum.series, ' again') > 0"
    colour = (
        alt.when(reference)
        .then(alt.value("#8a94a0"))
        .when("datum.series == 'native'")
        .then(alt.value("#2a9d62"))
        .otherwise(alt.value("#3d7fe0"))
    )
    tooltip = [
        alt.Tooltip("series:N"),
        alt.Tooltip("call:N", title="a call"),
        alt.Tooltip("ns:Q", title="ns an element", format=".4~g"),
    ]
    base = alt.Chart().encode(y=y)
    spread = base.mark_rule(strokeWidth=2, opacity=0.45).encode(
        x=alt.X("low:Q", title="ns an element"), x2="high:Q", color=colour
    )
    dots = base.mark_circle(size=70, opacity=1).encode(x=x, color=colour, tooltip=tooltip)
    layered: Any = alt.layer(spread, dots, data=alt.Data(values=rows))
    faceted = layered.properties(width=_PANEL_WIDTH).facet(
        alt.Facet("panel:N", title=None, sort=panels), columns=3
    )
    faceted = faceted.resolve_scale(x="independent").properties(background="transparent")
    return vega(faceted.configure_view(stroke=None))

"""Accuracy against speed: who is both faster and more accurate than whom, and the memory limit.

Nothing here measures or judges: times are those of ``timings``, levels those of the cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bce_conformance.reports.charts import alt, vega
from bce_conformance.reports.grid import UNMEASURED
from bce_conformance.reports.timings import CHARTED, by_workload
from bce_conformance.results.model import Results, Timing
from bce_conformance.timing.plan import AGAIN, LIMIT, title

ACCURATE = ("AAA", "AA")


@dataclass(frozen=True)
class Standing:
    """One backend at one workload.

    Attributes:
        backend: its id.
        ns: nanoseconds an element.
        to_limit: its time over that of the memory limit; None where that was not measured.
        met: how many of its measured cells of the format and kind of device reach AA or AAA.
        measured: how many of these cells were measured.
        front: whether no other backend is as fast and as accurate, and better in one of the two.
    """

    backend: str
    ns: float
    to_limit: float | None
    met: int
    measured: int
    front: bool

    @property
    def share(self) -> float:
        """The accurate cells among those measured, in per cent."""
        return 100 * self.met / self.measured


@dataclass(frozen=True)
class Comparison:
    """All backends at one workload, the fastest first, and the limit in ns an element."""

    title: str
    dtype: str
    limit: float | None
    standings: tuple[Standing, ...]


def comparisons(results: Results) -> tuple[Comparison, ...]:
    """Compare the backends at each workload that several were timed at, training in front.

    Args:
        results: a run; without timings or cells there is nothing to compare.
    """
    if results.timings is None:
        return ()
    found = []
    for (group, workload), measured in by_workload(results.timings).items():
        if group not in CHARTED:
            continue
        cells = _cells(results, workload.dtype, workload.device)
        standings = _standings(measured, cells)
        if standings:
            limit = next((t.ns_per_element for t in measured if t.series == LIMIT), None)
            found.append(
                (
                    (workload.what != "gradient", workload.dtype != "float32", -workload.size),
                    Comparison(title(workload), workload.dtype, limit, standings),
                )
            )
    return tuple(comparison for _, comparison in sorted(found, key=lambda one: one[0]))


def _cells(results: Results, dtype: str, device: str) -> dict[str, tuple[int, int]]:
    """Backend id → accurate cells and measured cells of a format on devices of one kind."""
    counts: dict[str, tuple[int, int]] = {}
    kind = device.partition(":")[0]
    for cell in results.cells:
        is_alike = cell.dtype == dtype and cell.device.partition(":")[0] == kind
        if is_alike and cell.verdict not in UNMEASURED:
            met, measured = counts.get(cell.backend, (0, 0))
            counts[cell.backend] = met + (cell.verdict in ACCURATE), measured + 1
    return counts


def _standings(
    measured: list[Timing], cells: Mapping[str, tuple[int, int]]
) -> tuple[Standing, ...]:
    found = [
        Standing(t.series, t.ns_per_element, t.to_limit, *cells[t.series], front=False)
        for t in measured
        if t.ns_per_element and t.series in cells and not t.series.endswith(AGAIN)
    ]
    ordered = sorted(found, key=lambda one: (one.ns, -one.share))
    return tuple(
        Standing(**{**asdict(one), "front": not any(_beats(other, one) for other in ordered)})
        for one in ordered
    )


def _beats(one: Standing, other: Standing) -> bool:
    as_good = one.ns <= other.ns and one.share >= other.share
    return as_good and (one.ns < other.ns or one.share > other.share)


def packed(found: tuple[Comparison, ...]) -> list[dict[str, Any]]:
    """The comparisons for the page."""
    return [
        {
            "title": one.title,
            "dtype": one.dtype,
            "limit": one.limit,
            "standings": [asdict(each) | {"share": each.share} for each in one.standings],
        }
        for one in found
    ]


def chart() -> dict[str, Any]:
    """The chart, without data: the page puts in ``points``, ``front`` and ``limit``.

    Raises:
        OSError: charts cannot be made here.
    """
    x = alt.X("ns:Q", title="ns an element, fewer is faster", axis=alt.Axis(gridOpacity=0.3))
    x = x.scale(type="log", nice=False, domain=[alt.ExprRef("fastest"), alt.ExprRef("slowest")])
    y = alt.Y("share:Q", title="cells at AA or better, %")
    y = y.axis(gridOpacity=0.3, values=list(range(0, 101, 20)))
    y = y.scale(domain=[0, 104], nice=False)
    quiet = alt.ExprRef("quiet")
    limit: Any = alt.Chart(alt.Data(name="limit")).encode(x=x)
    rule = limit.mark_rule(color="#8a94a0", strokeDash=[5, 4])
    words = limit.mark_text(
        text="memory limit", angle=270, dx=10, dy=-6, align="left", fontSize=11, color=quiet
    ).encode(y=alt.value(340))
    front = alt.Chart(alt.Data(name="front")).mark_line(
        interpolate="step-after", color="#2a9d62", strokeWidth=1.5, opacity=0.7
    )
    base: Any = alt.Chart(alt.Data(name="points")).encode(x=x, y=y)
    colour = alt.when("datum.front").then(alt.value("#2a9d62")).otherwise(alt.value("#3d7fe0"))
    tooltip = [
        alt.Tooltip("backend:N"),
        alt.Tooltip("ns:Q", title="ns an element", format=".4~g"),
        alt.Tooltip("times:N", title="× memory limit"),
        alt.Tooltip("accurate:N", title="at AA or better"),
    ]
    dots = base.mark_circle(size=90, opacity=1).encode(color=colour, tooltip=tooltip)
    # The page finds each name a place where it covers no other.
    dx, dy = alt.ExprRef("datum.right"), alt.ExprRef("datum.down")
    names = base.mark_text(fontSize=12, align="left", color=quiet, dx=dx, dy=dy)
    names = names.encode(text="backend:N")
    chart = rule + words + front.encode(x=x, y=y) + dots + names
    given = {"fastest": 0.1, "slowest": 10, "quiet": "#808080"}
    chart = chart.add_params(*(alt.param(name=name, value=value) for name, value in given.items()))
    sized: Any = chart.properties(width="container", height=360, background="transparent")
    return vega(sized.configure_view(stroke=None))

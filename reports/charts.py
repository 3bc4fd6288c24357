"""The error curves: specifications for Vega and the data that goes with them.

Guarantees that a specification holds no data and loads none: the page puts the chosen curves into
the data set ``points`` and draws. Everything that a reader can choose is chosen in the page.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import altair as alt
import vl_convert

from bce_conformance.reports.results import Results

Spec = dict[str, Any]

# A symlog scale is linear within its constant and logarithmic beyond. 0.1 ULP keeps the levels'
# bounds, 0.5, 1 and 4, apart in a chart that reaches 10¹⁶.
ULP_CONSTANT = 0.1
ULP_TICKS = (0, 0.5, 1, 4, *(10.0**exponent for exponent in range(2, 20, 2)))
LEVEL_LINES = {0.5: "", 1.0: "AAA", 4.0: "AA"}
"""Lines across the chart: a correctly rounded result, and the bounds of the levels."""

# Every threshold of the common formulas (u, overflow, underflow of the exponential, in all four
# formats) lies between 0.01 and 1000.
NEAR = 1000.0
NEAR_CONSTANT = 0.01

PALETTE = (
    "#2a9d62",
    "#e4572e",
    "#3d7fe0",
    "#e0a100",
    "#a25bd0",
    "#12a5b8",
    "#d9468b",
    "#8a6d4b",
    "#7a8794",
    "#6f9a10",
)
"""Colours of the backends in their order, readable on light and on dark ground."""


@lru_cache(maxsize=1)
def vega_script() -> str:
    """Vega as a script that defines ``window.vegaEmbed``."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def packed_curves(results: Results) -> dict[str, Any]:
    """The curves for the page, each set of logits once, an infinite error as null.

    Args:
        results: a run.

    Returns:
        ``logits``: lists of logits; ``curves``: records whose ``logits`` is an index into them and
        whose ``ulps`` has an entry for each; ``colours``: backend id → colour.
    """
    places: dict[tuple[float, ...], int] = {}
    curves = []
    for curve in results.curves:
        logits = tuple(logit for logit, _ in curve.points)
        curves.append(
            {
                "backend": curve.backend,
                "device": curve.device,
                "dtype": curve.dtype,
                "quantity": curve.quantity,
                "target": curve.target,
                "logits": places.setdefault(logits, len(places)),
                "ulps": [None if math.isinf(ulp) else ulp for _, ulp in curve.points],
            }
        )
    return {"logits": list(places), "curves": curves, "colours": _colours(results)}


def specifications(results: Results) -> dict[str, Spec]:
    """Two charts of the same data: ``near``, the logits up to 1000 in size, and ``all``.

    Args:
        results: a run with at least one point in its curves.

    Returns:
        Name → Vega specification.
    """
    sizes = {abs(logit) for curve in results.curves for logit, _ in curve.points} - {0.0}
    smallest, largest = min(sizes, default=1.0), max(sizes, default=1.0)
    return {
        "near": _specification(results, min(largest, NEAR), NEAR_CONSTANT),
        "all": _specification(results, largest, smallest),
    }


def _colours(results: Results) -> dict[str, str]:
    drawn = {curve.backend for curve in results.curves}
    ids = [backend.id for backend in results.backends if backend.id in drawn]
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(ids)}


def _specification(results: Results, limit: float, constant: float) -> Spec:
    chart: Any = _lines(results, limit, constant) + _levels()
    chart = chart.properties(width="container", height=400, background="transparent")
    return dict(chart.configure_view(stroke=None).to_dict(format="vega"))


def _lines(results: Results, limit: float, constant: float) -> alt.LayerChart:
    colours = _colours(results)
    x = alt.X("logit:Q", title="logit", axis=_logit_axis(limit, constant))
    x = x.scale(type="symlog", constant=constant, domain=[-limit, limit], nice=False)
    y = alt.Y("ulp:Q", title="error in ULP", axis=_ulp_axis())
    # The page replaces the domain by that of the curves it draws.
    y = y.scale(type="symlog", constant=ULP_CONSTANT, domain=[0, 10], nice=False)
    colour = alt.Color("backend:N", legend=None)
    colour = colour.scale(domain=list(colours), range=list(colours.values()))
    tooltip = [
        alt.Tooltip("backend:N"),
        alt.Tooltip("logit:Q", format=".6~g"),
        alt.Tooltip("shown:N", title="ULP"),
    ]
    base = alt.Chart(alt.Data(name="points")).encode(x=x, y=y, color=colour)
    line = base.mark_line(strokeWidth=1.6, opacity=0.9)
    dots = base.mark_circle(size=60, opacity=0).encode(tooltip=tooltip)
    lost = base.transform_filter("datum.infinite")
    crosses = lost.mark_point(shape="triangle-up", size=70, filled=True, opacity=1)
    return line + dots + crosses.encode(tooltip=tooltip)


def _levels() -> alt.Chart:
    values = [{"ulp": ulp} for ulp in LEVEL_LINES]
    base = alt.Chart(alt.Data(values=values)).encode(y="ulp:Q")
    return base.mark_rule(strokeDash=[4, 4], color="#8a94a0", opacity=0.9)


def _ulp_axis() -> alt.Axis:
    label = f"datum.value < 1000 ? format(datum.value, '~g') : '10' + {_superscript('datum.value')}"
    for ulp, level in LEVEL_LINES.items():
        label = f"datum.value == {ulp} ? '{level}  {ulp:g}' : {label}"
    return alt.Axis(values=list(ULP_TICKS), labelExpr=label, grid=False, labelOverlap=False)


def _logit_axis(limit: float, constant: float) -> alt.Axis:
    low, high = math.floor(math.log10(constant)) + 1, math.floor(math.log10(limit))
    step = max(1, round((high - low) / 6))
    powers = [10.0**exponent for exponent in range(high, low - 1, -step)]
    ticks = sorted([*(-power for power in powers), 0.0, *powers])
    size = f"'10' + {_superscript('abs(datum.value)')}"
    small = "abs(datum.value) >= 0.0999 && abs(datum.value) < 1001"
    label = (
        f"datum.value == 0 ? '0' : (datum.value < 0 ? '−' : '') + ({small} ? "
        f"format(abs(datum.value), '~g') : {size})"
    )
    return alt.Axis(
        values=ticks, labelExpr=label, grid=True, gridOpacity=0.35, labelOverlap="greedy"
    )


def _superscript(value: str) -> str:
    """The Vega expression that writes the decimal exponent of a power of ten in small figures."""
    exponent = f"format(round(log({value}) / LN10), 'd')"
    for figure, small in zip("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻", strict=True):
        exponent = f"replace({exponent}, /{figure}/g, '{small}')"
    return exponent

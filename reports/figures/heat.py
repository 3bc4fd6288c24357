"""The error over logit and soft target as a heat map, a panel for each backend.

Guarantees that an error is in the class whose bounds hold it, and that a square in which nothing
was tried is in none. results.json has the errors themselves.
"""

from __future__ import annotations

import math
from typing import Any

from bce_conformance.reports.charts import alt, vega
from bce_conformance.results.model import ErrorMap, Results

CLASSES = {
    "a": ("at most 0.5 ULP", "#238b56"),
    "b": ("less than 1 ULP, AAA", "#8ccf9f"),
    "c": ("at most 4 ULP, AA", "#45b3c9"),
    "d": ("at most 100 ULP", "#f6d77a"),
    "e": ("at most 10⁴ ULP", "#eeaa3c"),
    "f": ("at most 10⁶ ULP", "#e0742f"),
    "g": ("more than 10⁶ ULP", "#bf3324"),
    "h": ("infinite or NaN", "#7a3cb5"),
}
"""Classes of errors: a letter, words and a colour."""

_BOUNDS = (4.0, 100.0, 1e4, 1e6, math.inf)
UNTRIED = "."
_PANEL = (232, 150)


def classed(ulp: float | None) -> str:
    """The letter of the class of an error; a full stop where nothing was tried.

    Example:
        >>> "".join(map(classed, (None, 0.5, 1.0, 4.0, 4.1, math.inf)))
        '.acceh'
    """
    if ulp is None:
        return UNTRIED
    if ulp < 1:
        return "a" if ulp <= 0.5 else "b"
    if math.isinf(ulp):
        return "h"
    return "cdefg"[next(turn for turn, bound in enumerate(_BOUNDS) if ulp <= bound)]


def packed(results: Results) -> dict[str, Any]:
    """The maps for the page, each set of edges once.

    Returns:
        ``edges``: pairs of logits and targets; ``maps``: records whose ``edges`` is an index into
        them and whose ``classes`` is a letter for each square, row by row, and ``worst`` the
        largest error, null if infinite, with the row and column of its square; ``classes``.
    """
    edges: dict[tuple[Any, ...], int] = {}
    maps = []
    for one in results.maps:
        worst = _worst(one)
        if worst is None:
            continue
        maps.append(
            {
                **{n: getattr(one, n) for n in ("backend", "device", "dtype", "quantity")},
                "edges": edges.setdefault((one.logits, one.targets), len(edges)),
                "classes": "".join(classed(ulp) for row in one.ulps for ulp in row),
                "worst": worst,
            }
        )
    classes = {letter: words for letter, (words, _) in CLASSES.items()}
    return {"edges": list(edges), "maps": maps, "classes": classes}


def _worst(one: ErrorMap) -> tuple[float | None, int, int] | None:
    tried = [
        (ulp, row, column)
        for row, errors in enumerate(one.ulps)
        for column, ulp in enumerate(errors)
        if ulp is not None
    ]
    if not tried:
        return None
    ulp, row, column = max(tried, key=lambda each: each[0])
    return (None if math.isinf(ulp) else ulp), row, column


def chart() -> dict[str, Any]:
    """The panels, without data: the page puts in ``squares``, ticks and labels.

    Raises:
        OSError: charts cannot be made here.
    """
    x = alt.X("from:Q", title="logit", axis=_axis("logit")).scale(
        domain=[0, alt.ExprRef("columns")], nice=False
    )
    y = alt.Y("low:Q", title="target", axis=_axis("target")).scale(
        domain=[0, alt.ExprRef("rows")], nice=False
    )
    words, colours = zip(*CLASSES.values(), strict=True)
    colour = alt.Color("error:N", legend=None).scale(domain=list(words), range=list(colours))
    tooltip = [alt.Tooltip(f"{name}:N") for name in ("backend", "logit", "target", "error")]
    base: Any = alt.Chart(alt.Data(name="squares")).mark_rect().encode(
        x=x, x2="to:Q", y=y, y2="high:Q", color=colour, tooltip=tooltip
    )  # fmt: skip
    panel = base.properties(width=_PANEL[0], height=_PANEL[1])
    faceted: Any = panel.facet(alt.Facet("backend:N", title=None, sort=None), columns=4)
    faceted = faceted.properties(background="transparent")
    given: dict[str, Any] = {"columns": 1, "rows": 1}
    given |= {f"{name}_{what}": [] for name in ("logit", "target") for what in ("ticks", "labels")}
    faceted = faceted.add_params(
        *(alt.param(name=name, value=value) for name, value in given.items())
    )
    return vega(faceted.configure_view(stroke=None))


def _axis(name: str) -> alt.Axis:
    ticks = f"{name}_ticks"
    label = f"{name}_labels[indexof({ticks}, datum.value)]"
    values = alt.ExprRef(ticks)
    return alt.Axis(
        values=values, labelExpr=label, grid=False, labelOverlap="greedy", labelSeparation=5
    )

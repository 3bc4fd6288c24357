"""The error curves: specifications for Vega and the data that goes with them.

Guarantees that a specification holds no data and loads none: the page puts the chosen curves into
the data set ``points``, their regions into ``regions``, and draws. What is shown of them is set by
the signals ``left``, ``right``, ``top``, ``ticks`` and ``labels``. Where Altair is not installed,
as on a machine that only measures, there are no charts, and nothing else is missing.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterable, Sequence
from errno import ENOMEM
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from bce_conformance.reference import Format, cache, format_of
from bce_conformance.results.model import Results
from bce_conformance.results.rounding import beside

alt: Any = import_module("altair") if find_spec("altair") else None
"""Altair; None where it is not installed."""

Spec = dict[str, Any]

# A symlog scale is linear within its constant and logarithmic beyond. 0.1 ULP keeps the levels'
# bounds, 0.5, 1 and 4, apart in a chart that reaches 10¹⁶.
ULP_CONSTANT = 0.1
ULP_TICKS = (0, 0.5, 1, 4, *(10.0**exponent for exponent in range(2, 20, 2)))
LEVEL_LINES = {0.5: "", 1.0: "AAA", 4.0: "AA"}
"""Lines across the chart: a correctly rounded result, and the bounds of the levels."""

# Vega's own symlog scale divides by its constant, which overflows between 10⁻³⁰ and 10³⁰⁸. The page
# places a logit at ±log₁₀(1 + |x| / 10ᵉ) instead: the same scale, in decades.
RANGES: dict[str, tuple[int, float | None]] = {"near": (-2, 1000.0), "all": (-30, None)}
"""Ranges of logits: e, and the largest |x| shown.

Every threshold of the common formulas (unit roundoff, overflow and underflow of the exponential, in
all four formats) lies between 0.01 and 1000: ``near``.
"""

PALETTE = (
    *("#2a9d62", "#e4572e", "#3d7fe0", "#b98300", "#a25bd0", "#1094a6", "#d9468b", "#8a6d4b"),
    *("#75818e", "#648c0e", "#6b6bd6", "#5f7fa8", "#3b8f8a", "#b3528f", "#a3761c", "#c0552b"),
)
"""Colours of the backends in their order: 3:1 against light and dark ground (WCAG 1.4.11)."""

DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (14, 4))
"""Dashes of the backends in their order. Their number and that of the colours have no common
divisor: 80 backends look different from each other."""

DIGITS, FAR_DIGITS, ERROR_DIGITS = 4, 2, 3
"""Significant digits of a drawn logit, of one beyond ``NEAR``, where there is a point a decade, and
of an error, whose scale is logarithmic: a tenth of a pixel. results.json has all of them."""

NEAR = (0.01, 1000.0)
"""Sizes of logits between which losses change, and where points are dense."""


# V8, which bundles and compiles, reserves gigabytes of address space, and ends its process where it
# may not: it gets a process of its own, which is small.
_V8 = "vl-convert-python"
# The charts are compiled, so that Vega alone draws them: with Vega-Lite and Vega-Embed, which every
# version of vl-convert bundles, it is half as large again.
_PATH = "'/npm/vega@' + vl_convert.get_vega_version() + '/+esm'"
_ALONE = (
    f"vl_convert.javascript_bundle('import {{parse, View}} from \"' + {_PATH} + '\";"
    " window.vega = {parse, View};')"
)
_WHOLE = "vl_convert.javascript_bundle('window.vega = vegaEmbed.vega;')"
_COMPILE = "json.dumps(vl_convert.vegalite_to_vega(json.load(sys.stdin), vl_version={!r}))"
_PRINT = "import json, sys, vl_convert; sys.stdout.buffer.write(({}).encode())"


@lru_cache(maxsize=16)
def _by_v8(expression: str, given: str = "") -> str | None:
    """The value of an expression of ``vl_convert``; None where it ended its process."""
    command = [sys.executable, "-c", _PRINT.format(expression)]
    done = subprocess.run(command, input=given.encode(), capture_output=True, check=False)
    return None if done.returncode else done.stdout.decode()


@lru_cache(maxsize=1)
def vega_script() -> str | None:
    """Vega as a script that defines ``window.vega``; None where charts cannot be made here."""
    compiles = alt is not None and _compiled({"mark": "point"}) is not None
    if not compiles:
        return None
    name = f"vega-alone-{version(_V8)}.js"
    return cache.kept_text(name, lambda: _by_v8(_ALONE) or _by_v8(_WHOLE))


def why_none() -> str:
    """Why charts cannot be made here, in words."""
    if alt is None or find_spec("vl_convert") is None:
        return "they need altair and vl-convert-python, which are not both installed"
    return "they need more address space than `ulimit -v` allows"


def _compiled(spec: Spec) -> str | None:
    schema = "_".join(alt.SCHEMA_VERSION.split(".")[:2])
    return _by_v8(_COMPILE.format(schema), json.dumps(spec))


def vega(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The Vega specification of a chart.

    Raises:
        OSError: it cannot be made here.
    """
    made = _compiled(chart.to_dict())
    if made is None:
        raise OSError(ENOMEM, f"it has charts, and {why_none()}")
    return dict(json.loads(made))


def packed_curves(results: Results) -> dict[str, Any]:
    """The curves for the page, each list of logits and of errors once, infinite errors as null.

    Args:
        results: a run.

    Returns:
        ``known``: every distinct logit, ascending; ``logits``: lists of logits, each the steps from
        one's place in ``known`` to the next one's; ``ulps``: lists of errors; ``curves``: records
        whose ``logits`` and ``ulps`` are indices into both, one error for each logit; ``looks``:
        backend id → ``colour`` and ``dash``; ``regions``: format → what ``regions`` says of it.
    """
    places: dict[tuple[float, ...], int] = {}
    errors: dict[tuple[float | None, ...], int] = {}
    curves = []
    for curve in results.curves:
        logits = tuple(_logit(logit) for logit, _ in curve.points)
        ulps = tuple(
            None if math.isinf(ulp) else beside(ulp, ERROR_DIGITS) for _, ulp in curve.points
        )
        curves.append(
            {
                "backend": curve.backend,
                "device": curve.device,
                "dtype": curve.dtype,
                "quantity": curve.quantity,
                "target": curve.target,
                "logits": places.setdefault(logits, len(places)),
                "ulps": errors.setdefault(ulps, len(errors)),
            }
        )
    known = sorted({logit for logits in places for logit in logits})
    return {
        "known": known,
        "logits": _steps(places, known),
        "ulps": list(errors),
        "curves": curves,
        "looks": _looks(results),
        "regions": {
            name: regions(format_of(name))
            for name in dict.fromkeys(curve.dtype for curve in results.curves)
        },
    }


def regions(format_: Format) -> dict[str, float]:
    """The sizes of the logits at which e^±|x| leaves the normal numbers of a format.

    Args:
        format_: the format of the logits and results.

    Returns:
        ``subnormal``: beyond it e^−|x| is subnormal, and may be flushed to zero at AA; ``zero``:
        beyond it e^−|x| rounds to 0; ``overflow``: beyond it e^|x| is infinite.

    Example:
        >>> from bce_conformance.reference import FLOAT32
        >>> {name: round(size, 1) for name, size in regions(FLOAT32).items()}
        {'subnormal': 87.3, 'zero': 104.0, 'overflow': 88.7}
    """
    ln2 = math.log(2)
    least = format_.emin - format_.precision + 1  # the exponent of the smallest subnormal
    return {
        "subnormal": -format_.emin * ln2,
        "zero": (1 - least) * ln2,
        "overflow": math.log(format_.largest_finite),
    }


def specifications(results: Results) -> dict[str, Spec]:
    """Two charts of the same data: ``near``, the logits up to 1000 in size, and ``all``.

    Args:
        results: a run.

    Returns:
        Name → ``vega``, a specification; ``exponent``, e of the scale of logits; ``limit``, the
        largest logit shown, or null.
    """
    return {
        name: {
            "vega": _specification(results),
            "exponent": exponent,
            "limit": limit,
        }
        for name, (exponent, limit) in RANGES.items()
    }


def _steps(lists: Iterable[Sequence[float]], known: Sequence[float]) -> list[list[int]]:
    """Each list as the steps between the places of its values: small integers, which pack well."""
    place = {logit: n for n, logit in enumerate(known)}
    found = ([0, *(place[logit] for logit in logits)] for logits in lists)
    return [[after - before for before, after in pairwise(places)] for places in found]


def _logit(logit: float) -> float:
    near = NEAR[0] <= abs(logit) <= NEAR[1]
    return _drawn(logit, DIGITS if near else FAR_DIGITS)


def _drawn(value: float, digits: int = DIGITS) -> float:
    """A number to as many digits as a drawing needs, its sign and a zero kept."""
    drawn = float(f"{value:.{digits}g}")
    return drawn if math.isfinite(drawn) else value


def _looks(results: Results) -> dict[str, dict[str, Any]]:
    drawn = {curve.backend for curve in results.curves}
    ids = [backend.id for backend in results.backends if backend.id in drawn]
    return {
        name: {"colour": PALETTE[n % len(PALETTE)], "dash": list(DASHES[n % len(DASHES)])}
        for n, name in enumerate(ids)
    }


def _specification(results: Results) -> Spec:
    chart: Any = _regions() + _lines(results) + _levels()
    chart = chart.properties(width="container", height=400, background="transparent")
    given = {"left": -1, "right": 1, "top": 10, "ticks": [], "labels": [], "quiet": "#808080"}
    chart = chart.add_params(*(alt.param(name=name, value=value) for name, value in given.items()))
    return vega(chart.configure_view(stroke=None))


def _place(field: str, **options: Any) -> alt.X:
    """A field of logits on the chart's scale, of which the page shows what it likes."""
    left, right = alt.ExprRef("left"), alt.ExprRef("right")
    return alt.X(field, **options).scale(domain=[left, right], nice=False, zero=False)


def _lines(results: Results) -> alt.LayerChart:
    looks = _looks(results)
    y = alt.Y("ulp:Q", title="error in ULP", axis=_ulp_axis())
    domain = [0, alt.ExprRef("top")]
    y = y.scale(type="symlog", constant=ULP_CONSTANT, domain=domain, nice=False)
    colour = alt.Color("backend:N", legend=None)
    colour = colour.scale(domain=list(looks), range=[look["colour"] for look in looks.values()])
    dash = alt.StrokeDash("backend:N", legend=None)
    dash = dash.scale(domain=list(looks), range=[look["dash"] for look in looks.values()])
    x = _place("place:Q", title="logit", axis=_logit_axis())
    base = alt.Chart(alt.Data(name="points")).encode(x=x, y=y, color=colour)
    line = base.mark_line(strokeWidth=1.6, opacity=0.9, clip=True).encode(strokeDash=dash)
    lost = base.transform_filter("datum.infinite")
    return line + lost.mark_point(shape="triangle-up", size=70, filled=True, opacity=1, clip=True)


def _regions() -> alt.LayerChart:
    """Bands from ``from`` to ``to``, their ``words`` in the ``row`` given."""
    base = alt.Chart(alt.Data(name="regions"))
    band = base.mark_rect(color="#8a94a0", clip=True).encode(
        x=_place("from:Q", title="logit"), x2="to:Q", opacity=alt.Opacity("shade:Q", scale=None)
    )
    words = base.mark_text(
        color=alt.ExprRef("quiet"), fontSize=11, align="center", baseline="top", font="system-ui"
    )
    return band + words.encode(
        x=_place("middle:Q", title="logit"), y=alt.Y("row:Q", scale=None), text="words:N"
    )


def _levels() -> alt.Chart:
    values = [{"ulp": ulp} for ulp in LEVEL_LINES]
    base = alt.Chart(alt.Data(values=values)).encode(y="ulp:Q")
    return base.mark_rule(strokeDash=[4, 4], color="#8a94a0", opacity=0.9)


def _ulp_axis() -> alt.Axis:
    decade = _superscript("round(log(datum.value) / LN10)")
    label = f"datum.value < 1000 ? format(datum.value, '~g') : '10' + {decade}"
    for ulp, level in LEVEL_LINES.items():
        label = f"datum.value == {ulp} ? '{level}  {ulp:g}' : {label}"
    return alt.Axis(values=list(ULP_TICKS), labelExpr=label, grid=False, labelOverlap=False)


def _logit_axis() -> alt.Axis:
    """Ticks at the places ``ticks``, each with its entry of ``labels``."""
    return alt.Axis(
        values=alt.ExprRef("ticks"),
        labelExpr="labels[indexof(ticks, datum.value)]",
        grid=True,
        gridOpacity=0.35,
        labelOverlap="greedy",
        labelSeparation=10,
    )


def _superscript(integer: str) -> str:
    """The Vega expression that writes the value of another, an integer, in small figures."""
    written = f"format({integer}, 'd')"
    for figure, small in zip("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻", strict=True):
        written = f"replace({written}, /{figure}/g, '{small}')"
    return written

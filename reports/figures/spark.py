"""The small plot of a finding: the error curve of its backend, with the input that shows it.

Guarantees that a plot shows its finding: there is none where the call has more than a logit and a
target, where no such curve was recorded, or where the curve is within 1 ULP at that input.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from bce_conformance.reports.charts import RANGES, ULP_CONSTANT
from bce_conformance.reports.findings import Finding
from bce_conformance.results.model import Curve, Results

WIDTH, HEIGHT = 280, 60
"""Of the plot, in its own units; a column is two of them wide."""

_COLUMNS = WIDTH // 2
_EXPONENT, _LIMIT = RANGES["near"]
_CLOSE = 2  # columns around the input in which its error is looked for
_LEAST = 8.0  # ULP at the top of a plot: the bounds of the levels are in each
_OPTIONS = {"logit", "target", "dtype", "quantity"}
_QUANTITIES = {"loss": "loss", "grad_logits": "gradient"}


@dataclass(frozen=True)
class Call:
    """The element that an ``explain`` line is about, where it has a logit and a target only."""

    backend: str
    logit: float
    target: float
    dtype: str
    quantity: str

    @property
    def curve(self) -> str:
        """The target of the curve that it lies on: ``0``, ``1`` or ``soft``."""
        return {0.0: "0", 1.0: "1"}.get(self.target, "soft")


@dataclass(frozen=True)
class Spark:
    """A plot, in units of ``WIDTH`` × ``HEIGHT``.

    Attributes:
        lines: the errors, each line the points of a run of columns that have any.
        infinite: where along the width the error is infinite.
        bounds: the heights of 1 and 4 ULP.
        mark: where the input is: its place along the width, and the height of its error.
        title: what is drawn.
        words: what is seen, for everyone.
        address: the fragment of the same curve among all others.
    """

    lines: tuple[str, ...]
    infinite: tuple[float, ...]
    bounds: tuple[float, float]
    mark: tuple[float, float]
    title: str
    words: str
    address: str


def called(line: str) -> Call | None:
    """The element of an ``explain`` line; None where its call is of more, or it is no such line.

    Example:
        >>> called("bce-conformance explain torch --logit=20 --target=1 --quantity=grad_logits")
        Call(backend='torch', logit=20.0, target=1.0, dtype='float32', quantity='grad_logits')
    """
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    if words[:2] != ["bce-conformance", "explain"] or len(words) < 5:
        return None
    given = dict(word.removeprefix("--").partition("=")[::2] for word in words[3:])
    if not {"logit", "target"} <= set(given) <= _OPTIONS:
        return None
    try:
        logit, target = (_number(given[name]) for name in ("logit", "target"))
    except ValueError:
        return None
    dtype, quantity = given.get("dtype", "float32"), given.get("quantity", "loss")
    return Call(words[2], logit, target, dtype, quantity)


def spark(results: Results, finding: Finding, backends: Iterable[str]) -> Spark | None:
    """The plot of a finding; None where no curve shows it.

    Args:
        results: the run.
        finding: one of its findings.
        backends: those that have it, the first that has a curve is drawn.
    """
    defect = finding.defect
    call = called(defect.explain if defect else finding.worst.reproduce)
    if call is None or not abs(call.logit) <= (_LIMIT or math.inf):
        return None
    names = dict.fromkeys((call.backend, *backends))
    curves = {
        one.backend: one
        for one in reversed(results.curves)
        if (one.dtype, one.quantity, one.target) == (call.dtype, call.quantity, call.curve)
    }
    drawn = next((curves[name] for name in names if name in curves), None)
    return _drawn(drawn, call) if drawn else None


def _drawn(curve: Curve, call: Call) -> Spark | None:
    points = [(x, ulp) for x, ulp in curve.points if abs(x) <= (_LIMIT or math.inf)]
    columns: list[float | None] = [None] * (_COLUMNS + 1)
    for x, ulp in points:
        column = round(_along(x) / 2)
        columns[column] = max(ulp, columns[column] or 0.0)
    at = round(_along(call.logit) / 2)
    near = columns[max(at - _CLOSE, 0) : at + _CLOSE + 1]
    error = max((ulp for ulp in near if ulp is not None), default=0.0)
    if error <= 1:
        return None
    finite = (ulp for ulp in columns if ulp is not None and ulp < math.inf)
    top = max(_LEAST, *finite)

    def height(ulp: float) -> float:
        """The height of an error; an infinite one is at the top."""
        return round(HEIGHT - _tall(min(ulp, top)) / _tall(top) * (HEIGHT - 8), 1)

    return Spark(
        lines=tuple(
            " ".join(f"{2 * column},{height(ulp):g}" for column, ulp in run)
            for run in _runs(columns)
        ),
        infinite=tuple(2.0 * n for n, ulp in enumerate(columns) if ulp == math.inf),
        bounds=(height(1.0), height(4.0)),
        mark=(_along(call.logit), height(error)),
        title=_title(curve),
        words=_words(points, call, error),
        address="curves?"
        + urlencode({f"curve-{n}": getattr(curve, n) for n in ("quantity", "target", "dtype")}),
    )


def _title(curve: Curve) -> str:
    quantity = _QUANTITIES.get(curve.quantity, curve.quantity)
    target = "soft targets" if curve.target == "soft" else f"y = {curve.target}"
    return f"Error of {curve.backend}: {quantity}, {curve.dtype}, {target}"


def _words(points: Sequence[tuple[float, float]], call: Call, error: float) -> str:
    """What the plot shows: how large the error gets, where it is above AA, and the input."""
    logit, worst = max(points, key=lambda point: point[1])
    over = [x for x, ulp in points if ulp > 4]
    text = f"Largest {_ulps(worst)} at x = {logit:.3g}"
    if len(over) > 1:
        text += f"; above 4 ULP from x = {min(over):.3g} to {max(over):.3g}"
    text = f"{text}. Circle: about {_ulps(error)} near x = {call.logit:.6g}."
    return text.replace("-", "\N{MINUS SIGN}")


def _ulps(ulp: float) -> str:
    return "infinitely wrong" if math.isinf(ulp) else f"{ulp:.3g} ULP"


def _runs(columns: Sequence[float | None]) -> Iterable[list[tuple[int, float]]]:
    """Neighbouring columns that have errors; a gap of a few columns is no gap."""
    run: list[tuple[int, float]] = []
    for column, ulp in enumerate(columns):
        if ulp is None:
            continue
        if run and column - run[-1][0] > 20:
            yield run
            run = []
        run.append((column, ulp))
    if run:
        yield run


def _along(logit: float) -> float:
    """Where along the width a logit is: the scale of the error curves."""
    limit = math.log10(1 + (_LIMIT or 0.0) / 10**_EXPONENT)
    place = math.copysign(math.log10(1 + abs(logit) / 10**_EXPONENT), logit)
    return round((place / limit + 1) / 2 * WIDTH, 1)


def _tall(ulp: float) -> float:
    return math.log10(1 + ulp / ULP_CONSTANT)


def _number(text: str) -> float:
    return float.fromhex(text) if "0x" in text else float(text)

"""Badge: one picture that says how a run ended."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from bce_conformance.reports.grid import square
from bce_conformance.results.model import Results

LABEL = "bce-conformance"
COLOURS = {"AAA": "#15784a", "AA": "#0b6f86", "A": "#8a6100", "fails": "#bb2a1f"}
"""The colours of the report, on which white text has a contrast of 4.5 and more."""

_OTHER, _HEAD = "#66727f", "#3b4652"
_WIDTH, _HEIGHT, _PAD = 6.8, 20, 10  # of a character, of the badge, beside a text


def text(results: Results) -> str:
    """A run as a badge: for one backend its worst level, for several how many are worse than known.

    Returns:
        SVG that loads nothing.
    """
    value, colour = _value(results)
    left, right = (round(len(part) * _WIDTH + 2 * _PAD) for part in (LABEL, value))
    title = f"{LABEL}: {value}"
    font = 'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}" '
            f'role="img" aria-label={quoteattr(title)}>',
            f"<title>{escape(title)}</title>",
            f'<rect width="{left}" height="{_HEIGHT}" fill="{_HEAD}"/>',
            f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{colour}"/>',
            f'<g fill="#fff" {font}>',
            f'<text x="{left / 2:g}" y="14">{LABEL}</text>',
            f'<text x="{left + right / 2:g}" y="14">{escape(value)}</text>',
            "</g>",
            "</svg>",
            "",
        ]
    )


def _value(results: Results) -> tuple[str, str]:
    measured = {cell.backend for cell in results.cells}
    if results.run.interrupted or not measured:
        return "interrupted" if results.run.interrupted else "not measured", _OTHER
    if len(measured) == 1:
        (backend,) = measured
        worst = square(results.cells).worst
        return f"{backend} {worst}", COLOURS.get(worst, _OTHER)
    worse = sum(not cell.expected for cell in results.cells)
    backends = f"{len(measured)} backends"
    if worse:
        return f"{backends}, {worse} worse than known", COLOURS["fails"]
    return f"{backends}, as known", COLOURS["AAA"]

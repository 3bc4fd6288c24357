"""The small histogram of a finding that no error curve shows: how many results have which error.

Guarantees that a histogram shows its finding: its cell falls short for this reason alone, or is of
the requirement that the defect is known by, and some of its results are more than 1 ULP off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10

from bce_conformance.reports.findings import Finding
from bce_conformance.reports.pages.environment import count
from bce_conformance.results.cells import HISTOGRAM, Cell

from .spark import HEIGHT, WIDTH

_CLASSES = len(HISTOGRAM) + 2  # those beyond the last bound, and the infinite ones
_STEP = WIDTH / _CLASSES
_FINE, _CLOSE = (HISTOGRAM.index(bound) + 1 for bound in (1.0, 4.0))


@dataclass(frozen=True)
class Spread:
    """A histogram, in units of ``WIDTH`` × ``HEIGHT``.

    Attributes:
        bars: the outlines of the bars up to 1 ULP, ``fine``, up to 4 ULP, ``close``, and beyond,
            ``far``, where there are results.
        bounds: where along the width 1 and 4 ULP are.
        infinite: where along the width the infinite errors are.
        title: what is drawn.
        words: what is seen, for everyone.
        cell: whose errors they are.
    """

    bars: Mapping[str, str]
    bounds: tuple[float, float]
    infinite: float
    title: str
    words: str
    cell: Cell


def spread(finding: Finding) -> Spread | None:
    """The histogram of a finding; None where no cell of its own has one.

    Args:
        finding: one of a run's findings.
    """
    for cell in _showing(finding):
        if cell.ulp and _shows(cell.ulp.histogram):
            return _drawn(cell, cell.ulp.histogram)
    return None


def why_none(finding: Finding) -> str:
    """Why a finding has no plot, in words."""
    cells = _showing(finding)
    if not cells:
        return "No plot: its cells show other defects too, and no error curve is of such a call."
    if not any(cell.ulp and cell.ulp.max > 1 for cell in cells):
        return "No plot: none of its cells measures errors in ULP; each is right or wrong."
    return "No plot: of these errors the run recorded neither a curve nor a histogram."


def _showing(finding: Finding) -> list[Cell]:
    """The cells that show a finding, the best first: what they are known by, then the worst."""
    known = finding.defect.requirement if finding.defect else None
    shared = [cell for cell in finding.shared if cell.requirement == known]
    return sorted([*finding.cells, *shared], key=lambda cell: cell.requirement != known)


def _shows(counts: tuple[int, ...]) -> bool:
    return len(counts) <= _CLASSES and any(counts[_FINE:])


def _drawn(cell: Cell, counts: tuple[int, ...]) -> Spread:
    most = log10(1 + max(counts))

    def bar(place: int) -> str:
        """From the ground up, across and down; a tenth of the height at least."""
        tall = max(log10(1 + counts[place]) / most, 0.1) * HEIGHT
        return f"M{place * _STEP + 1:.4g} {HEIGHT}v-{tall:.3g}h{_STEP - 2:.3g}v{tall:.3g}z"

    def bars(low: int, high: int) -> str:
        return "".join(bar(place) for place in range(low, min(high, len(counts))) if counts[place])

    ends = {"fine": (0, _FINE), "close": (_FINE, _CLOSE), "far": (_CLOSE, _CLASSES)}
    return Spread(
        bars={name: drawn for name, (low, high) in ends.items() if (drawn := bars(low, high))},
        bounds=(round(_FINE * _STEP, 1), round(_CLOSE * _STEP, 1)),
        infinite=round((_CLASSES - 0.5) * _STEP, 1),
        title=f"Errors of {cell.backend}: {cell.requirement}, {cell.dtype}",
        words=_words(counts),
        cell=cell,
    )


def _words(counts: tuple[int, ...]) -> str:
    infinite = sum(counts[_CLASSES - 1 :])
    parts = {
        "within 1 ULP": sum(counts[:_FINE]),
        "up to 4": sum(counts[_FINE:_CLOSE]),
        "further off": sum(counts[_CLOSE:]) - infinite,
        "infinite or NaN": infinite,
    }
    found = [f"{count(number)} {name}" for name, number in parts.items() if number]
    return f"{count(sum(counts))} results: {', '.join(found)}."

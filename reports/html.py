"""The HTML report: one file that holds everything it shows.

Guarantees that the page loads nothing (its content security policy forbids it), that everything
printed comes from the results, and that no text of theirs is ever read as markup or script.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from bce_conformance.reports.figures import heat, pareto
from bce_conformance.reports.figures.spark import Spark, spark
from bce_conformance.reports.figures.spread import Spread, spread, why_none
from bce_conformance.reports.pages.environment import asset, environment
from bce_conformance.reports.pages.unmeasured import gaps
from bce_conformance.results.cells import VERDICTS, Cell
from bce_conformance.results.model import Results
from bce_conformance.results.writing import write_text

from .charts import packed_curves, specifications, vega_script
from .findings import Finding, distinct
from .grid import FAMILIES, MARKS, Square, families, grid, square, switches
from .packing import packed_cells
from .standing import counted, unexpected
from .tasks import answers, tasks
from .timings import by_workload, chart, noise_line

LEGEND = {
    "AAA": "Faithful: less than 1 ULP off everywhere, subnormals and signs of zero included.",
    "AA": "Accurate: at most 4 ULP off everywhere, both tails included; results below the smallest "
    "normal may be flushed to zero.",
    "A": "Safe: no NaN or infinity that is not right, and at most 16 units of roundoff off at the "
    "scale of the operands; a small result may have lost every digit.",
    "fails": "Meets none of the levels.",
    "crashed": "The process died.",
    "timeout": "The process was ended at the time limit.",
    "unsupported": "The framework has no such operation, format or device.",
    "not measured": "Nothing was tried.",
}
"""What each verdict means."""

SCRIPTS = (
    *("data.js", "state.js", "evidence.js", "cells.js", "matrix.js"),
    *(
        "charts.js",
        "scale.js",
        "zoom.js",
        "readings.js",
        "heat.js",
        "curves.js",
        "pareto.js",
        "page.js",
    ),
)
"""The page's own scripts; each needs those before it."""

UNEXPECTED_SHOWN = 20
"""How many worse and how many better cells the head lists; the table of cells has them all."""


FINDINGS_SHOWN = 12
"""How many defects the page shows before the rest is folded away."""


def render(results: Results, *, so_far_of: int | None = None) -> str:
    """Render a run as one self-contained HTML page.

    Args:
        results: the run.
        so_far_of: of a run that goes on, how many cells it will have; None where it has ended.

    Returns:
        The page.
    """
    found = distinct(results)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            run=results.run,
            so_far_of=so_far_of,
            style=asset("report.css"),
            scripts=[asset(name) for name in SCRIPTS],
            cells=packed_cells(results),
            squares=grid(results),
            switches=switches(results),
            found=[(finding, group, _plot(results, finding, group)) for finding, group in found],
            findings_shown=FINDINGS_SHOWN,
            found_of={backend for _, group in found for backend in group},
            versions={backend.id: backend.version for backend in results.backends},
            safe=answers(results),
            tasks=tasks(),
            families=families(results),
            family_names=FAMILIES,
            by_requirement=_by_requirement(results),
            total=square(results.cells),
            unexpected=unexpected(results.cells),
            better=[cell for cell in results.cells if cell.expected and cell.better],
            not_as_known=counted(results.cells),
            shown=UNEXPECTED_SHOWN,
            duration=_duration(results),
            gaps=gaps(results),
            devices=_distinct(results, "device"),
            dtypes=_distinct(results, "dtype"),
            verdicts=VERDICTS,
            marks=MARKS,
            legend=LEGEND,
            **_figures(results),
        )
    )


def _plot(results: Results, finding: Finding, backends: Iterable[str]) -> Spark | Spread | str:
    """The small plot of a finding, or why there is none; known roundings have no curve."""
    told = finding.defect or not all(cell.expected for cell in finding.cells)
    curve = spark(results, finding, backends) if told else None
    return curve or spread(finding) or why_none(finding)


def _figures(results: Results) -> dict[str, Any]:
    """The charts with their data, each None where the run has nothing for it, and the timings."""
    has_curves = any(curve.points for curve in results.curves)
    vega = vega_script() if has_curves or results.timings else None
    has_curves = has_curves and vega is not None
    heated = heat.packed(results) if has_curves and results.maps else None
    timed = results.timings
    timing_chart = chart(timed) if timed and vega else None
    compared = pareto.packed(pareto.comparisons(results))
    return {
        "vega": vega if has_curves or timing_chart or compared else None,
        "curves": packed_curves(results) if has_curves else None,
        "specifications": specifications(results) if has_curves else None,
        "heat": heated,
        "heat_chart": heat.chart() if heated else None,
        "classes": heat.CLASSES,
        "timings": timed,
        "timings_only": bool(timed) and not results.cells,
        "timed": by_workload(timed) if timed else {},
        "noise": noise_line(timed).plain if timed else "",
        "timing_chart": timing_chart,
        "pareto": compared,
        "pareto_chart": pareto.chart() if compared and vega else None,
    }


def write(results: Results, path: str | Path, *, so_far_of: int | None = None) -> None:
    """Write a run's page.

    Args:
        results: the run.
        path: the file, such as ``report.html``; replaced where it exists.
        so_far_of: of a run that goes on, how many cells it will have; None where it has ended.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    write_text(render(results, so_far_of=so_far_of), Path(path))


def _by_requirement(results: Results) -> dict[str, Square]:
    cells: dict[str, list[Cell]] = {requirement.id: [] for requirement in results.requirements}
    for cell in results.cells:
        cells[cell.requirement].append(cell)
    return {name: square(group) for name, group in cells.items()}


def _distinct(results: Results, name: str) -> list[str]:
    return list(dict.fromkeys(getattr(cell, name) for cell in results.cells))


def _duration(results: Results) -> str:
    """How long a run took, without the time in which it was interrupted."""
    run = results.run
    begun, ended = (datetime.fromisoformat(moment) for moment in (run.started, run.finished))
    took = sum(run.seconds.values()) if run.seconds else (ended - begun).total_seconds()
    minutes, seconds = divmod(round(took), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"

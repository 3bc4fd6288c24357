"""The comparison as one page: every cell that moved, with both worst inputs.

Guarantees what the report guarantees: it loads nothing, and no text is read as markup.
"""

from __future__ import annotations

from pathlib import Path

from bce_conformance.results.writing import write_text

from .compare import Comparison, differences, distance
from .pages.environment import asset, environment


def render(comparison: Comparison) -> str:
    """Render a comparison as one self-contained HTML page.

    Args:
        comparison: what ``compare`` found.

    Returns:
        The page.
    """
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            comparison=comparison,
            differences=differences(comparison),
            distance=distance,
            words={True: "better", False: "worse"},
            style=asset("report.css"),
        )
    )


def write(comparison: Comparison, path: str | Path) -> None:
    """Write a comparison's page.

    Args:
        comparison: what ``compare`` found.
        path: the file, such as ``compare.html``; replaced where it exists.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    write_text(render(comparison), Path(path))

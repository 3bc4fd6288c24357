"""Formats: which there are, and into which file of a folder each goes.

Guarantees that the same results give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from bce_conformance.results.model import Results
from bce_conformance.results.writing import write_text

from . import badge, digest, junit, tables


class Format(NamedTuple):
    """One format: the file's name, and what makes its text of a run."""

    file: str
    text: Callable[[Results], str]


FORMATS: Mapping[str, Format] = {
    "md": Format("report.md", tables.markdown),
    "csv": Format("cells.csv", tables.comma_separated),
    "junit": Format("junit.xml", junit.text),
    "json": Format("report.json", digest.text),
    "latex": Format("report.tex", tables.latex),
    "badge": Format("badge.svg", badge.text),
}
"""All but the page, which ``bce_conformance.reports.html`` renders."""


def write(results: Results, name: str, folder: Path) -> Path:
    """Write a run in a format.

    Args:
        results: the run.
        name: of the format.
        folder: where the file goes; one of that name is replaced.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    chosen = FORMATS[name]
    path = folder / chosen.file
    write_text(chosen.text(results), path)
    return path

"""``bce-conformance report`` and ``compare``: what runs have measured, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bce_conformance.conformance.run import Exit
from bce_conformance.terminal.console import console, errors, read

from .options import OUT


def report(
    folder: Annotated[Path, typer.Argument(help="folder with a results.json")] = OUT,
) -> None:
    """Render report.html from results.json again."""
    render(folder)


def render(folder: Path, *, page: bool = True, brief: bool = False) -> None:
    """Show the summary of a run and render its page, which takes seconds.

    Args:
        folder: where results.json is, and where the page goes.
        page: whether it is rendered.
        brief: whether only the summary's last lines are shown.
    """
    from bce_conformance.reports import charts, html, summary

    found = read(folder)
    console.print((summary.closing if brief else summary.summary)(found, folder), soft_wrap=True)
    text = f"to render the report: bce-conformance report {folder}"
    if page:
        try:
            html.write(found, folder / "report.html")
        except OSError as error:
            errors.print(
                f"{folder / 'report.html'} cannot be written: {error.strerror}; {folder} has "
                f"results.json: then bce-conformance report {folder}",
                style="red",
                soft_wrap=True,
            )
            raise typer.Exit(Exit.SUITE_FAILED) from error
        text = f"report: {folder / 'report.html'}"
        if found.curves and charts.vega_script() is None:
            text += "\nit has no charts: they need more address space than `ulimit -v` allows"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def compare(before: Path, after: Path) -> None:
    """Compare two results.json (or their folders): every cell that moved.

    Exits 1 if any cell moved.
    """
    from bce_conformance.reports import compare as comparison

    found = comparison.compare(read(before), read(after))
    console.print(comparison.comparison_table(found))
    raise typer.Exit(Exit.UNEXPECTED if found.moves else Exit.AS_EXPECTED)

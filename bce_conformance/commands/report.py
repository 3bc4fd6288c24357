"""``bce-conformance report``: what a run has measured, for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bce_conformance.conformance.run import Exit
from bce_conformance.results.model import Results
from bce_conformance.terminal.console import console, errors, held, misuse, read

from .options import OUT


class FormatName(StrEnum):
    """What a run can be rendered as."""

    html = "html"
    md = "md"
    csv = "csv"
    junit = "junit"
    json = "json"
    latex = "latex"
    badge = "badge"


def report(
    folder: Annotated[Path, typer.Argument(help="folder with a results.json")] = OUT,
    chosen: Annotated[
        list[FormatName], typer.Option("--format", help="repeatable; files go into the folder")
    ] = [FormatName.html],  # noqa: B006
    timings: Annotated[
        Path | None,
        typer.Option("--timings", help="results.json or folder of a bench, shown beside this run"),
    ] = None,
    sweeps: Annotated[
        list[Path],
        typer.Option(metavar="FOLDER", help="of a sweep, whose maxima are proven; repeatable"),
    ] = [],  # noqa: B006
) -> None:
    """Render results.json again: report.html, or other formats.

    md: report.md, matrix and findings. csv: cells.csv, one row a cell. junit: junit.xml, where a
    test fails if its cell is worse than known. json: report.json, matrix and findings. latex:
    report.tex, two tables. badge: badge.svg.

    --timings shows the timings of another results.json in place of the run's own; that file and
    this run's results.json stay as they are.

    --sweeps puts the maxima of sweeps into results.json, in the cells that ask for every logit of a
    format, where version and instruction set are the run's.
    """
    if folder.suffix == ".json" and folder.name != "results.json":
        read(folder)  # what is wrong with it goes before its name
        if folder.is_file():
            misuse(
                f"FOLDER is {folder}; accepted is a folder with a results.json: put the file into "
                "a folder of its own under that name"
            )
    folder = folder.parent if folder.name == "results.json" else folder
    if sweeps:
        _prove(folder, sweeps)
    others = [name for name in dict.fromkeys(chosen) if name is not FormatName.html]
    if FormatName.html in chosen:
        render(folder, timings=timings)
    if others:
        _export(folder, others, timings)


def _prove(folder: Path, sweeps: Iterable[Path]) -> None:
    """Put the maxima of sweeps into a run's results.json, and say into how many cells."""
    from bce_conformance.results import proven
    from bce_conformance.results.writing import write

    read(folder)  # says what is wrong before anything is written beside it
    with held(folder):
        try:
            found, cells = proven.with_sweeps(read(folder), [proven.read(one) for one in sweeps])
            write(found, folder / "results.json")
        except (ValueError, OSError) as error:
            misuse(str(error))
    names = ", ".join(sorted(cell.id for cell in cells))
    console.print(f"proven maxima: {names or 'none'}", highlight=False, soft_wrap=True)


def _with_timings(folder: Path, timings: Path | None) -> Results:
    """A run, with the timings of another results.json where one is named."""
    found = read(folder)
    if timings is None:
        return found
    other = read(timings, measured_by="bench")
    if other.timings is None:
        misuse(
            f"--timings is {timings}, which has none; bce-conformance bench --out DIR makes some"
        )
    return replace(found, timings=other.timings)


def _export(folder: Path, names: Iterable[FormatName], timings: Path | None) -> None:
    """Write a run in other formats, and say where they are."""
    from bce_conformance.reports.exports.formats import write

    found = _with_timings(folder, timings)
    for name in names:
        try:
            path = write(found, str(name), folder)
        except OSError as error:
            misuse(f"{folder} cannot be written to: {error.strerror}; copy results.json elsewhere")
        console.print(f"{name}: {path}", markup=False, highlight=False, soft_wrap=True)


def render(
    folder: Path, *, page: bool = True, brief: bool = False, timings: Path | None = None
) -> None:
    """Show the summary of a run and render its page, which takes seconds.

    Args:
        folder: where results.json is, and where the page goes.
        page: whether it is rendered.
        brief: whether only the summary's last lines are shown.
        timings: another results.json, whose timings are shown; None for those of the run.
    """
    from bce_conformance.reports import charts, html, summary

    found = _with_timings(folder, timings)
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
            text += f"\nit has no charts: {charts.why_none()}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)

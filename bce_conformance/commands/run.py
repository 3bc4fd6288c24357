"""``bce-conformance run``: measure the matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bce_conformance.backends.process import TIME_LIMIT
from bce_conformance.conformance.document import identity_of_settings
from bce_conformance.conformance.journal import NAME
from bce_conformance.conformance.matrix import Settings
from bce_conformance.conformance.memory import default_bound, parse
from bce_conformance.conformance.session import Exit
from bce_conformance.conformance.session import run as run_matrix

from . import folder
from .options import OUT, DtypeName, Ledgers, TierName
from .report import render
from .terminal import console, errors, misuse, read


class _Bar:
    """A progress bar over the cells of a run."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[cell]}"),
            console=errors,
            transient=True,
        )
        self._task = self.progress.add_task("starting the backends", total=None, cell="")

    def started(self, lines: list[str], cells: int) -> None:
        """Show what is measured."""
        for line in lines:
            self.progress.console.print(line, markup=False, highlight=False)
        self.progress.update(self._task, description="measuring", total=cells)

    def finished_one(self, name: str) -> None:
        """Advance by one cell."""
        self.progress.update(self._task, advance=1, cell=name)


def run(
    backend: Annotated[
        list[str], typer.Option(help="id, package.module:Class, or all; repeatable")
    ] = [],  # noqa: B006 - typer reads it, nobody writes it
    device: Annotated[list[str], typer.Option(help="cpu, cuda, …; repeatable")] = [],  # noqa: B006
    dtype: Annotated[list[DtypeName], typer.Option(help="repeatable")] = [],  # noqa: B006
    requirement: Annotated[list[str], typer.Option(help="number or family; repeatable")] = [],  # noqa: B006
    tier: Annotated[TierName, typer.Option(help="how much is tried")] = TierName.default,
    seed: Annotated[int, typer.Option(help="seed of all random inputs")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted run")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="discard what other runs have left in --out")
    ] = False,
    time_limit: Annotated[float, typer.Option(help="seconds for one call")] = TIME_LIMIT,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT", help="for the suite's own process, such as 2GiB; default a quarter"
        ),
    ] = None,
    ledger: Ledgers = [],  # noqa: B006
    out: Annotated[Path, typer.Option(help="folder for results.json and report.html")] = OUT,
) -> None:
    """Measure the matrix and write results.json and report.html.

    Each finished cell is in a journal in --out at once. With --resume, a run that was interrupted,
    killed or had no more room on the disk goes on where it stopped; all else must be as it was.
    """
    try:
        settings = Settings(
            tuple(backend),
            tuple(device),
            tuple(map(str, dtype)),
            tuple(requirement),
            str(tier),
            seed,
            time_limit,
            tuple(ledger),
            default_bound() if memory is None else parse(memory),
        )
        folder.require_writable(out)
        if not resume and not overwrite:
            folder.require_nothing_lost(out, settings)
    except ValueError as error:
        misuse(str(error))
    if resume and not (out / NAME).exists():
        _leave_complete(out, settings)
    results = out / "results.json"
    before = results.stat().st_mtime_ns if results.exists() else None
    bar = _Bar()
    with bar.progress:
        code = run_matrix(
            settings, results.resolve(), bar, _print_suite_failure, _print_stop, resume=resume
        )
    if results.exists() and results.stat().st_mtime_ns != before:
        render(out, page=code not in (Exit.INTERRUPTED, Exit.SUITE_FAILED))
    elif code is not Exit.SUITE_FAILED:
        errors.print("nothing was measured", style="red")
    raise typer.Exit(code)


def _leave_complete(out: Path, settings: Settings) -> NoReturn:
    """Leave as the complete run in a folder did, if it was one of these settings."""
    found = read(out)
    now = identity_of_settings(settings)
    for name, before in (
        ("tier", found.run.tier),
        ("seed", found.run.seed),
        ("commit", found.run.commit),
        ("requirements", [requirement.id for requirement in found.requirements]),
        ("backends", [backend.id for backend in found.backends]),
    ):
        if before != now[name]:
            misuse(f"--resume: {out} was measured with {name} {before}, this run has {now[name]}")
    if found.run.interrupted:
        misuse(f"--resume: {out} has no {NAME} to go on from; start anew with --overwrite")
    console.print(f"nothing to resume: the run in {out} is complete", highlight=False)
    as_expected = all(cell.expected for cell in found.cells)
    raise typer.Exit(Exit.AS_EXPECTED if as_expected else Exit.UNEXPECTED)


def _print_stop(text: str) -> None:
    errors.print(text, style="red", markup=False, highlight=False, soft_wrap=True)


def _print_suite_failure(text: str) -> None:
    errors.print("the suite itself failed:", style="bold red")
    errors.print(text, markup=False, highlight=False)

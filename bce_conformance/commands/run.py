"""``bce-conformance run``: measure the matrix."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from bce_conformance.backends.isolation.process import TIME_LIMIT
from bce_conformance.conformance.memory import default_bound, parse
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.run import run as run_matrix
from bce_conformance.conformance.running import folder
from bce_conformance.conformance.running.journal import NAME
from bce_conformance.conformance.running.outcome import identity_of_settings
from bce_conformance.conformance.settings import Settings
from bce_conformance.results.model import Results
from bce_conformance.terminal.console import console, errors, misuse, read
from bce_conformance.terminal.pace import Pace
from bce_conformance.terminal.progress import Silent, parts_line, reporter, slow_line

from .options import (
    OUT,
    Claim,
    ClaimedDtypes,
    DtypeName,
    InstructionSet,
    Ledgers,
    TierName,
    Without,
    claims_of,
)
from .report import render

Memory = Annotated[
    str | None,
    typer.Option(
        metavar="AMOUNT", help="for the suite's own process, such as 2GiB; default a quarter"
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="a stale entry of the ledger is an error too")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="discard what other runs have left in --out")
]
ExitZero = Annotated[bool, typer.Option("--exit-zero", help="exit 0 whatever the cells say, not 1")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="no progress; of the summary, its last lines")
]


def run(
    backend: Annotated[
        list[str], typer.Option(help="id, package.module:Class, all or every; repeatable")
    ] = [],  # noqa: B006 - typer reads it, nobody writes it
    device: Annotated[list[str], typer.Option(help="cpu, cuda, …; repeatable")] = [],  # noqa: B006
    dtype: Annotated[list[DtypeName], typer.Option(help="repeatable")] = [],  # noqa: B006
    requirement: Annotated[list[str], typer.Option(help="number or family; repeatable")] = [],  # noqa: B006
    tier: Annotated[TierName, typer.Option(help="how much is tried")] = TierName.default,
    seed: Annotated[int, typer.Option(help="seed of all random inputs")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted run")] = False,
    overwrite: Overwrite = False,
    time_limit: Annotated[float, typer.Option(help="seconds for one call")] = TIME_LIMIT,
    memory: Memory = None,
    ledger: Ledgers = [],  # noqa: B006
    isa: InstructionSet = "",
    claims: Claim = None,
    dtypes: ClaimedDtypes = "",
    without: Without = "",
    strict: Strict = False,
    exit_zero: ExitZero = False,
    out: Annotated[Path, typer.Option(help="folder for results.json and report.html")] = OUT,
    quiet: Quiet = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="a line for every cell")] = False,
) -> None:
    """Measure the matrix and write results.json and report.html.

    Progress goes to stderr: a bar on a terminal, elsewhere a line every ten seconds or five per
    cent. The summary goes to stdout.

    Each finished cell is in a journal in --out at once. With --resume, a run that was interrupted,
    killed or had no more room on the disk goes on where it stopped; all else must be as it was.
    """
    if quiet and verbose:
        misuse("--quiet and --verbose exclude each other: give one of them")
    with ExitStack() as until_the_end:
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
                isa,
                strict,
                claims_of(claims, dtypes, without),
            )
            folder.require_writable(out)
            until_the_end.enter_context(folder.held(out))
            if not resume and not overwrite:
                folder.require_nothing_lost(out, settings)
        except ValueError as error:
            misuse(str(error))
        if resume and not (out / NAME).exists():
            _leave_complete(out, settings)
        code = _measure(settings, out, resume=resume, quiet=quiet, verbose=verbose)
    raise typer.Exit(Exit.AS_EXPECTED if exit_zero and code is Exit.UNEXPECTED else code)


def _measure(settings: Settings, out: Path, *, resume: bool, quiet: bool, verbose: bool) -> Exit:
    """Measure, and show and render what was measured, if anything was."""
    results = out / "results.json"
    before = results.stat().st_mtime_ns if results.exists() else None
    with reporter(errors, quiet=quiet, verbose=verbose) as shown:
        code = run_matrix(
            settings,
            results.resolve(),
            shown,
            print_suite_failure,
            print_stop,
            resume=resume,
            so_far=partial(_report_so_far, out / "report.html", shown),
        )
    if results.exists() and results.stat().st_mtime_ns != before:
        _report(out, code, shown.pace, quiet=quiet)
    elif code not in (Exit.SUITE_FAILED, Exit.MISUSE):
        errors.print("nothing was measured", style="red")
    return code


def _report_so_far(page: Path, shown: Silent, found: Results) -> None:
    """Render what was measured so far; a run may take many minutes."""
    from bce_conformance.reports import html

    cells = len(found.cells) + shown.pace.left()
    try:
        html.write(found, page, so_far_of=cells)
    except OSError:
        return  # the report at the end says so
    shown.say(f"report so far, {len(found.cells)} of {cells} cells: {page}")


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
    as_expected = all(map(settings.accepts, found.cells))
    raise typer.Exit(Exit.AS_EXPECTED if as_expected else Exit.UNEXPECTED)


def print_stop(text: str) -> None:
    """Show in one line why the suite could not go on."""
    errors.print(text, style="red", markup=False, highlight=False, soft_wrap=True)


def _report(out: Path, code: Exit, pace: Pace, *, quiet: bool) -> None:
    """Show and render what was measured, then where the time went."""
    begin = time.monotonic()
    render(out, page=code not in (Exit.INTERRUPTED, Exit.SUITE_FAILED), brief=quiet)
    if not quiet:
        for line in filter(None, (parts_line(pace, time.monotonic() - begin), slow_line(pace))):
            errors.print(line, markup=False, highlight=False, soft_wrap=True)


def print_suite_failure(text: str) -> None:
    """Show a failure that is the suite's own."""
    errors.print("the suite itself failed:", style="bold red")
    errors.print(text, markup=False, highlight=False)

"""``bce-conformance run``: measure the matrix."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from bce_conformance.backends.process import TIME_LIMIT
from bce_conformance.conformance.document import commit
from bce_conformance.conformance.matrix import Earlier, Settings
from bce_conformance.conformance.session import Exit
from bce_conformance.conformance.session import run as run_matrix
from bce_conformance.timing.document import keep_timings, kept_timings

from .options import OUT, DtypeName, Ledgers, TierName
from .pace import Pace
from .progress import parts_line, reporter, slow_line
from .report import render
from .terminal import errors, misuse, read


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
    time_limit: Annotated[float, typer.Option(help="seconds for one call")] = TIME_LIMIT,
    ledger: Ledgers = [],  # noqa: B006
    isa: Annotated[
        str, typer.Option(metavar="NAME", help="hold all code to an instruction set: x86-64-v3, …")
    ] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="a stale entry of the ledger is an error too")
    ] = False,
    out: Annotated[Path, typer.Option(help="folder for results.json and report.html")] = OUT,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="no progress; of the summary, its last lines")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="a line for every cell")] = False,
) -> None:
    """Measure the matrix and write results.json and report.html.

    Progress goes to stderr: a bar on a terminal, elsewhere a line every ten seconds or five per
    cent. The summary goes to stdout.

    With --resume, an interrupted run of the same tier and seed in --out goes on where it stopped.
    """
    if quiet and verbose:
        misuse("--quiet and --verbose exclude each other: give one of them")
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
            isa,
            strict,
        )
    except ValueError as error:
        misuse(str(error))
    results = out / "results.json"
    before = results.stat().st_mtime_ns if results.exists() else None
    earlier = _earlier(out, settings) if resume else None
    timings = kept_timings(results)
    with reporter(errors, quiet=quiet, verbose=verbose) as shown:
        code = run_matrix(settings, results.resolve(), shown, print_suite_failure, earlier=earlier)
    if results.exists() and results.stat().st_mtime_ns != before:
        keep_timings(results, timings)
        _report(out, code, shown.pace, quiet=quiet)
    else:
        errors.print("nothing was measured", style="red")
    raise typer.Exit(code)


def _earlier(folder: Path, settings: Settings) -> Earlier:
    """What an interrupted run in a folder has measured, if it was one of these settings."""
    found = read(folder)
    run = found.run
    for name, before, now in (
        ("tier", run.tier, settings.tier),
        ("seed", run.seed, settings.seed),
        ("commit", run.commit, commit()),
    ):
        if before != now:
            misuse(f"--resume: {folder} was measured with {name} {before}, this run has {now}")
    if not run.interrupted:
        misuse(f"--resume: the run in {folder} was not interrupted")
    curves = {(c.backend, c.device, c.dtype, c.quantity, c.target): c.points for c in found.curves}
    return Earlier(found.cells, curves)


def _report(out: Path, code: Exit, pace: Pace, *, quiet: bool) -> None:
    """Show and render what was measured, then where the time went."""
    begin = time.monotonic()
    render(out, page=code is not Exit.INTERRUPTED, brief=quiet)
    if not quiet:
        for line in filter(None, (parts_line(pace, time.monotonic() - begin), slow_line(pace))):
            errors.print(line, markup=False, highlight=False, soft_wrap=True)


def print_suite_failure(text: str) -> None:
    """Show a failure that is the suite's own."""
    errors.print("the suite itself failed:", style="bold red")
    errors.print(text, markup=False, highlight=False)

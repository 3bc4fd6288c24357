"""``bce-conformance run``: measure the matrix."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bce_conformance.backends.isolation.process import TIME_LIMIT
from bce_conformance.conformance.cluster import START_LIMIT
from bce_conformance.conformance.distributing.cluster import distributed
from bce_conformance.conformance.memory import default_bound, parse
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.settings import Settings
from bce_conformance.results.model import Results
from bce_conformance.terminal.console import errors, misuse
from bce_conformance.terminal.measuring import measure, written
from bce_conformance.terminal.pace import Pace
from bce_conformance.terminal.progress import Silent, parts_line, reporter, slow_line
from bce_conformance.terminal.waiting import announce

from .options import (
    OUT,
    Claim,
    ClaimedDtypes,
    DeviceNames,
    DtypeName,
    InstructionSet,
    Ledgers,
    Scheduler,
    TierName,
    TimeLimit,
    Wait,
    Without,
    backend_ids,
    claims_of,
    requirement_ids,
)
from .report import render

Backends = Annotated[
    list[str],
    typer.Option(
        help="id, package.module:Class, all or every; repeatable", autocompletion=backend_ids
    ),
]
Named = Annotated[
    list[str], typer.Option(help="number or family; repeatable", autocompletion=requirement_ids)
]
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
    backend: Backends = [],  # noqa: B006 - typer reads it, nobody writes it
    device: DeviceNames = [],  # noqa: B006
    dtype: Annotated[list[DtypeName], typer.Option(help="repeatable")] = [],  # noqa: B006
    requirement: Named = [],  # noqa: B006
    tier: Annotated[TierName, typer.Option(help="how much is tried")] = TierName.default,
    seed: Annotated[int, typer.Option(help="seed of all random inputs")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted run")] = False,
    overwrite: Overwrite = False,
    time_limit: TimeLimit = TIME_LIMIT,
    memory: Memory = None,
    ledger: Ledgers = [],  # noqa: B006
    isa: InstructionSet = "",
    claims: Claim = None,
    dtypes: ClaimedDtypes = "",
    without: Without = "",
    strict: Strict = False,
    exit_zero: ExitZero = False,
    scheduler: Scheduler = "",
    wait: Wait = START_LIMIT,
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
    except ValueError as error:
        misuse(str(error))
    announce(settings.specs())
    before = written(out / "results.json")
    shown = reporter(errors, quiet=quiet, verbose=verbose)
    so_far = partial(_report_so_far, out / "report.html", shown)
    engine = distributed(scheduler, wait, settings, shown) if scheduler else None
    code = measure(settings, out, shown, so_far, engine, resume=resume, overwrite=overwrite)
    if written(out / "results.json") not in (None, before):
        _report(out, code, shown.pace, quiet=quiet)
    raise typer.Exit(Exit.AS_EXPECTED if exit_zero and code is Exit.UNEXPECTED else code)


def _report_so_far(page: Path, shown: Silent, found: Results) -> None:
    """Render what was measured so far; a run may take many minutes."""
    from bce_conformance.reports import html

    cells = len(found.cells) + shown.pace.left()
    try:
        html.write(found, page, so_far_of=cells)
    except OSError:
        return  # the report at the end says so
    shown.say(f"report so far, {len(found.cells)} of {cells} cells: {page}")


def _report(out: Path, code: Exit, pace: Pace, *, quiet: bool) -> None:
    """Show and render what was measured, then where the time went."""
    begin = time.monotonic()
    render(out, page=code not in (Exit.INTERRUPTED, Exit.SUITE_FAILED), brief=quiet)
    if not quiet:
        for line in filter(None, (parts_line(pace, time.monotonic() - begin), slow_line(pace))):
            errors.print(line, markup=False, highlight=False, soft_wrap=True)

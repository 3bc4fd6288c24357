"""``bce-conformance sweep``: every bit pattern of the logits, judged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bce_conformance.backends import BackendProcess, BackendSpec, installed, not_installed
from bce_conformance.backends.idle_threads import ASLEEP, sleep_when_idle
from bce_conformance.backends.isolation.process import TIME_LIMIT
from bce_conformance.backends.names import similar
from bce_conformance.commands.options import (
    AsJson,
    Backend,
    DtypeName,
    InstructionSet,
    Quantities,
    Quiet,
    Scheduler,
    TimeLimit,
    Wait,
    held,
)
from bce_conformance.conformance.cluster import (
    START_LIMIT,
    ClusterError,
    SchedulerError,
    client_of,
)
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.settings import digest, judged
from bce_conformance.conformance.sweeping.cluster import Cluster
from bce_conformance.conformance.sweeping.document import as_csv, document, rows, write
from bce_conformance.conformance.sweeping.journal import NAME, Journal, JournalError
from bce_conformance.conformance.sweeping.pipeline import (
    Engine,
    FormatError,
    Local,
    StartError,
    SweepError,
)
from bce_conformance.conformance.sweeping.plan import Plan, plan
from bce_conformance.conformance.sweeping.sweep import Sweep
from bce_conformance.results.writing import number
from bce_conformance.terminal.console import console, errors, misuse, print_json, require_writable
from bce_conformance.terminal.interruption import interrupted_by_signals
from bce_conformance.terminal.sweeping import reporter, status_table

FOLDER = Path("reports/sweep")

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="discard what --out has of this sweep")
]

Targets = Annotated[
    str,
    typer.Option(
        metavar="NUMBERS", help="such as 0,1,0.5; of 16 bits also unit, outside, special, all"
    ),
]


def sweep(
    backend: Backend,
    dtype: Annotated[DtypeName, typer.Option(help="format of all operands")] = DtypeName.float32,
    targets: Targets = "0,1",
    quantity: Quantities = "loss,grad_logits",
    range_: Annotated[
        str | None,
        typer.Option("--range", metavar="LO:HI", help="bit patterns in hex, both included"),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="float64 needs it: how many bit patterns are drawn")
    ] = None,
    pos_weight: Annotated[float | None, typer.Option(help="one number for all points")] = None,
    isa: InstructionSet = "",
    out: Annotated[Path, typer.Option(help="folder for the journal and the results")] = FOLDER,
    resume: Annotated[bool, typer.Option("--resume", help="go on where one stopped")] = False,
    overwrite: Overwrite = False,
    status: Annotated[
        bool, typer.Option("--status", help="show how far the backend's sweeps are, and leave")
    ] = False,
    time_limit: TimeLimit = 10 * TIME_LIMIT,
    scheduler: Scheduler = "",
    wait: Wait = START_LIMIT,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Judge every bit pattern of the logits, one target at a time.

    Writes sweep.json, sweep.csv and sweep.tex into --out. Finished pieces are in a journal there at
    once: with --resume, a sweep that was interrupted or killed goes on where it stopped. Exits 1 if
    the backend gave no result for some points.
    """
    if status:
        _show(backend, out, as_json=as_json)
        return
    try:
        wanted = plan(str(dtype), targets, quantity, range_, pos_weight, samples)
        spec = held(backend, isa)
    except ValueError as error:
        misuse(str(error))
    if "://" not in scheduler and not installed(spec):  # else it is the workers that have it
        misuse(not_installed(spec))
    require_writable(out)
    source = _source(spec)  # before the backend reads the file
    if not quiet:
        _tell_range(range_, wanted)
    try:
        with Journal(out) as journal, _engine(spec, wanted, time_limit, scheduler, wait) as engine:
            found = _found(wanted, engine, journal, (resume, overwrite), source, quiet)
        write(found, out)
    except (FormatError, StartError, SchedulerError) as error:
        misuse(str(error))
    except (ClusterError, SweepError, JournalError, OSError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(Exit.SUITE_FAILED) from None
    except KeyboardInterrupt:
        errors.print("interrupted; go on with --resume", markup=False, highlight=False)
        raise typer.Exit(Exit.INTERRUPTED) from None
    _end(found, as_json=as_json)


def _source(spec: BackendSpec) -> str | None:
    """The digest of a user's own file, as runs have it; empty of a module, None of a framework.

    That of a module would say of pieces in the journal what is true of those to come alone.
    """
    if not judged(spec):
        return None
    return digest(spec) if spec.function and judged(spec).endswith(".py") else ""


def _tell_range(range_: str | None, wanted: Plan) -> None:
    """Say which logits the bit patterns of ``--range`` are."""
    if range_ is not None:
        first, last = wanted.ends
        errors.print(f"--range {range_}: logits {first!r} to {last!r}", highlight=False)


def _end(found: Mapping[str, Any], *, as_json: bool) -> NoReturn:
    """Print what a sweep found, and leave as it says."""
    if as_json:
        print_json(found)
    else:
        console.print(as_csv(rows(found)), markup=False, highlight=False, soft_wrap=True, end="")
    failed = any(result["failed"] for result in found["results"])
    raise typer.Exit(Exit.UNEXPECTED if failed else Exit.AS_EXPECTED)


def _found(
    wanted: Plan,
    engine: Engine,
    journal: Journal,
    choice: tuple[bool, bool],
    source: str | None,
    quiet: bool,
) -> Mapping[str, Any]:
    """Sweep what the journal lacks, and return the document of all of it."""
    resume, overwrite = choice
    begun = Sweep(wanted, engine, journal)
    if overwrite:
        begun.forget()
    elif begun.done and not resume:
        misuse(
            f"{NAME} has {begun.done:,} of {wanted.points:,} points of this sweep: go on with "
            "--resume, or start anew with --overwrite"
        )
    with interrupted_by_signals(begun.stop), reporter(errors, quiet=quiet) as report:
        begun.run(report)
    return document(wanted, begun.info, begun.results(), source)


@contextmanager
def _engine(
    spec: BackendSpec, wanted: Plan, time_limit: float, scheduler: str, wait: float
) -> Iterator[Engine]:
    """What evaluates: this process and one of the backend, or the workers of a cluster.

    Raises:
        ClusterError: there is no worker, or its code is another.
        SchedulerError: the scheduler cannot be used.
        StartError: the backend does not start.
    """
    if not scheduler:
        sleep_when_idle()  # the truth's threads and the backend's share the processors
        with BackendProcess(spec, time_limit=time_limit, environment=ASLEEP) as process:
            yield Local(process)
        return
    with client_of(scheduler, wait, share_processors=True) as client:
        cluster = Cluster(client, spec, time_limit, ASLEEP, wanted, limit=wait)
        with closing(cluster):
            yield cluster


def _anywhere(backend: str) -> str:
    """A backend's id without the instruction set that it is held to."""
    return backend.split("@isa=")[0]


def _show(backend: str, out: Path, *, as_json: bool) -> None:
    """Show how far the sweeps of a backend in a folder are."""
    if not (out / NAME).exists():
        near = "" if out.exists() else similar(out)
        misuse(f"--out is {out}, which has no {NAME}: nothing was swept there{near}")
    try:
        with Journal(out) as journal:
            standings = [
                standing
                for standing in journal.standing()
                if _anywhere(standing.identity["backend"]) == _anywhere(backend)
            ]
    except (JournalError, json.JSONDecodeError) as error:
        misuse(str(error))
    entries: list[dict[str, Any]] = [
        {**standing.identity, "points": standing.points, "failed_pieces": standing.failed}
        for standing in standings
    ]
    if as_json:
        print_json([entry | _values(entry) for entry in entries])
        return
    console.print(status_table(entries))


def _values(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an identity has as text and is none: the pos_weight, and whether samples are drawn."""
    weight = entry["pos_weight"]
    return {
        "pos_weight": number(float.fromhex(weight)) if weight else None,
        "sampled": entry["sampled"] == str(True),
    }

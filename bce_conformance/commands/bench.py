"""``bce-conformance bench``: how fast the backends are, side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bce_conformance.backends import (
    BackendSpec,
    Failure,
    builtin_backends,
    installed,
    not_installed,
    resolve,
)
from bce_conformance.backends.measuring import real_time as priority
from bce_conformance.backends.names import meant_device
from bce_conformance.conformance.run import Exit
from bce_conformance.results.host import now
from bce_conformance.results.model import Timings
from bce_conformance.results.writing import plain, write
from bce_conformance.terminal.console import (
    console,
    errors,
    held,
    misuse,
    print_json,
    read,
)
from bce_conformance.terminal.waiting import announce
from bce_conformance.timing import goals, outcome
from bce_conformance.timing.plan import SIZES, groups
from bce_conformance.timing.session import Session

from .options import OUT, AsJson, backend_ids

ROUNDS = 8
Backends = Annotated[
    list[str],
    typer.Option(help="id or package.module:Class; repeatable", autocompletion=backend_ids),
]


def bench(
    backend: Backends = [],  # noqa: B006 - typer reads it, nobody writes it
    size: Annotated[
        list[int], typer.Option(help="elements; repeatable; default 32, 10⁶ and 1.6·10⁷")
    ] = [],  # noqa: B006
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1")] = "cpu",
    rounds: Annotated[int, typer.Option(min=1, help="how often each takes its turn")] = ROUNDS,
    real_time: Annotated[
        bool,
        typer.Option(
            "--real-time", help="take the processors from others while measuring (Linux, as root)"
        ),
    ] = False,
    out: Annotated[Path, typer.Option(help="folder of results.json and report.html")] = OUT,
    as_json: AsJson = False,
) -> None:
    """Measure how fast the backends are, side by side.

    Without --backend those of every run that are installed, and the memory limit. Each has a
    process of its own, and they measure in turns. The timings go into results.json in --out, beside
    the run that it may hold, and into report.html. Ctrl-C keeps what was measured.

    The speed goals of native, where it is measured, go into goals.json. One that is missed does not
    change the exit code.

    Whatever else runs makes the timings noisy, those of OpenMP most: the last line says how busy
    others kept the machine. Where it cannot be quiet, --real-time measures ahead of them.
    """
    specs = _specs(backend)
    try:
        plan = groups([spec.id for spec in specs], tuple(dict.fromkeys(size)) or SIZES, device)
    except ValueError as error:
        misuse(str(error))
    if real_time and not priority.permitted():
        misuse("--real-time needs Linux and CAP_SYS_NICE, which root has")
    with held(out):
        session = Session(specs, plan, rounds, ahead=real_time)
        _measure(session, out, named=specs if backend else (), as_json=as_json)


def _measure(session: Session, out: Path, *, named: Sequence[BackendSpec], as_json: bool) -> None:
    """Measure into a folder that no other run writes into meanwhile, and show what was found."""
    from bce_conformance.reports import html

    run = read(out) if (path := out / "results.json").exists() else None
    started = now()
    try:
        if named:
            _require_started(session, named)
        _with_progress(session)
    finally:
        session.close()
    _require_measured(session)
    timed = outcome.timings(session, started=started, argv=["bce-conformance", *sys.argv[1:]])
    found = outcome.alone(session, timed) if run is None else replace(run, timings=timed)
    write(found, path)
    judged = outcome.goals(session)
    if judged:
        goals.write(judged, timed, out / goals.NAME)
    _show(timed, judged, as_json=as_json)
    if session.interrupted:
        raise typer.Exit(Exit.INTERRUPTED)
    html.write(found, out / "report.html")
    stream = errors if as_json else console
    stream.print(f"report: {out / 'report.html'}", highlight=False, soft_wrap=True)


def _show(timed: Timings, judged: Sequence[goals.JudgedGoal], *, as_json: bool) -> None:
    """Print the timings, and the goals of native where it was measured."""
    from bce_conformance.reports import timings

    if as_json:
        print_json({"timings": plain(timed), "goals": goals.as_json(judged)})
        return
    console.print(timings.timings_tables(timed))
    if judged:
        console.print(timings.goals_table(judged))


def _require_measured(session: Session) -> None:
    """Leave where nothing was measured, and say why."""
    if all(timing.seconds is None for timing in session.timings):
        reasons = "; ".join(sorted({timing.status for timing in session.timings}))
        near = "".join(sorted({meant_device(timing.device) for timing in session.timings}))
        errors.print(f"nothing was measured: {reasons or 'interrupted'}{near}", style="red")
        raise typer.Exit(Exit.INTERRUPTED if session.interrupted else Exit.UNEXPECTED)


def _specs(names: list[str]) -> list[BackendSpec]:
    """The backends asked for, which must be there, or those of every run that are installed."""
    if not names:
        return [spec for spec in builtin_backends() if installed(spec) and not spec.on_request]
    try:
        specs = list({spec.id: spec for spec in map(resolve, names)}.values())
    except ValueError as error:
        misuse(str(error))
    for spec in specs:
        if not installed(spec):
            misuse(not_installed(spec))
    announce(specs)
    return specs


def _require_started(session: Session, specs: Sequence[BackendSpec]) -> None:
    """Leave where a backend that was asked for by name does not start."""
    infos = session.start()
    for spec in specs:
        info = infos[spec.id]
        if isinstance(info, Failure):
            misuse(f"backend {spec.id} does not start: {info.reason}")


def _with_progress(session: Session) -> None:
    """Measure, and show how far it is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[latest]}"),
    )
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("starting the backends", total=session.steps, latest="")

        def told(name: str) -> None:
            progress.update(task, advance=1, description="measuring", latest=name)

        session.run(told)

"""The ``bce-conformance`` command.

Exit codes: 0 as expected, 1 some cell is not as expected, 2 misuse, 3 the suite itself failed,
130 interrupted.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich import filesize
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bce_conformance import __version__
from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    builtin_backends,
    entry_point_backends,
    installed,
)
from bce_conformance.backends.process import TIME_LIMIT
from bce_conformance.bench_command import bench
from bce_conformance.conformance import subnormals
from bce_conformance.conformance.document import commit
from bce_conformance.conformance.explain import DIGITS, Explanation, Point, describe, explain
from bce_conformance.conformance.matrix import NOT_INSTALLED, Earlier, Settings
from bce_conformance.conformance.session import Exit
from bce_conformance.conformance.session import run as run_matrix
from bce_conformance.ledger_commands import ledger_app
from bce_conformance.reference import cache, format_of
from bce_conformance.terminal import OUT, Ledgers, console, errors, misuse, read
from bce_conformance.timing.document import keep_timings, kept_timings

app = typer.Typer(
    help="How right is an implementation of binary cross-entropy with logits?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class TierName(StrEnum):
    """How much is tried."""

    quick = "quick"
    default = "default"
    thorough = "thorough"


class DtypeName(StrEnum):
    """Formats of the logits."""

    float16 = "float16"
    bfloat16 = "bfloat16"
    float32 = "float32"
    float64 = "float64"


class QuantityName(StrEnum):
    """What can be explained."""

    loss = "loss"
    grad_logits = "grad_logits"
    grad_targets = "grad_targets"
    grad_weight = "grad_weight"
    grad_pos_weight = "grad_pos_weight"


def number(text: str) -> float:
    """A real number in decimal or hex (``0x1.8p+4``), or inf, nan, -0."""
    lowered = text.strip().lower()
    try:
        return float.fromhex(lowered) if "0x" in lowered else float(lowered)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is not a number: decimal, hex such as 0x1.8p+4, inf, nan or -0"
        ) from error


Number = Annotated[float, typer.Option(parser=number, metavar="NUMBER")]
OptionalNumber = Annotated[float | None, typer.Option(parser=number, metavar="NUMBER")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        console.print(__version__)
        raise typer.Exit


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


@app.command()
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
    out: Annotated[Path, typer.Option(help="folder for results.json and report.html")] = OUT,
) -> None:
    """Measure the matrix and write results.json and report.html.

    With --resume, an interrupted run of the same tier and seed in --out goes on where it stopped.
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
        )
    except ValueError as error:
        misuse(str(error))
    results = out / "results.json"
    before = results.stat().st_mtime_ns if results.exists() else None
    earlier = _earlier(out, settings) if resume else None
    timings = kept_timings(results)
    bar = _Bar()
    with bar.progress:
        code = run_matrix(settings, results.resolve(), bar, _print_suite_failure, earlier=earlier)
    if results.exists() and results.stat().st_mtime_ns != before:
        keep_timings(results, timings)
        _render(out, page=code is not Exit.INTERRUPTED)
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


def _print_suite_failure(text: str) -> None:
    errors.print("the suite itself failed:", style="bold red")
    errors.print(text, markup=False, highlight=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="folder with a results.json")] = OUT,
) -> None:
    """Render report.html from results.json again."""
    _render(folder)


def _render(folder: Path, *, page: bool = True) -> None:
    """Show the summary of a run and render its page, which takes seconds."""
    from bce_conformance.reports import html, summary

    found = read(folder)
    console.print(summary.summary(found))
    text = f"to render the report: bce-conformance report {folder}"
    if page:
        html.write(found, folder / "report.html")
        text = f"report: {folder / 'report.html'}"
    console.print(text, highlight=False, soft_wrap=True)


@app.command()
def compare(before: Path, after: Path) -> None:
    """Compare two results.json (or their folders): every cell that moved.

    Exits 1 if any cell moved.
    """
    from bce_conformance.reports import compare as comparison

    found = comparison.compare(read(before), read(after))
    console.print(comparison.comparison_table(found))
    raise typer.Exit(Exit.UNEXPECTED if found.moves else Exit.AS_EXPECTED)


app.command()(bench)
app.add_typer(ledger_app, name="ledger")


@app.command()
def warmup() -> None:
    """Compile the native kernels ahead of use, once a machine."""
    from bce_conformance.backends.native.warmup import compile_all

    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task("compiling", total=None)

        def show(done: int, total: int, step: str) -> None:
            progress.update(task, completed=done, total=total, description=f"compiling {step}")

        compile_all(show)
    console.print("the native kernels are compiled")


cache_app = typer.Typer(help="The cache of truths and compiled code.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")


@cache_app.command("info")
def cache_info() -> None:
    """Show where the cache is and what it holds."""
    found = cache.info()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    state = "" if found.enabled else f"  (switched off by {cache.VARIABLE})"
    table.add_row("folder", f"{found.path}{state}")
    table.add_row("truths", f"{found.entries}, {filesize.decimal(found.bytes)}")
    table.add_row("limit", filesize.decimal(found.limit))
    table.add_row("compiled code", filesize.decimal(found.compiled_bytes))
    console.print(table)


@cache_app.command("clear")
def cache_clear() -> None:
    """Delete all truths and all compiled code; both are made again when they are needed."""
    before = cache.clear()
    freed = filesize.decimal(before.bytes + before.compiled_bytes)
    console.print(f"deleted {before.entries} truths and compiled code, {freed} in all")


@app.command()
def backends() -> None:
    """List the backends: installed or not, version, devices, formats, what is composed."""
    names = ("backend", "version", "devices", "formats", "composed by the adapter", "subnormals")
    table = Table(*names)
    for spec in (*builtin_backends(), *entry_point_backends()):
        if not installed(spec):
            table.add_row(spec.id, NOT_INSTALLED, style="dim")
            continue
        with errors.status(f"starting {spec.id}"), BackendProcess(spec) as process:
            info = process.info()
            flushes = _flushes(process) if isinstance(info, BackendInfo) else ""
        if isinstance(info, BackendInfo):
            devices = ", ".join(f"{device.kind} ({device.name})" for device in info.devices)
            lists = (", ".join(names) for names in (info.dtypes, info.composed))
            table.add_row(spec.id, info.version, devices, *lists, flushes)
        else:
            table.add_row(spec.id, str(info), style="red")
    console.print(table)


def _flushes(process: BackendProcess) -> str:
    """What a backend does with subnormal numbers on each of its devices, in each format."""
    info = process.info()
    assert isinstance(info, BackendInfo)
    found: dict[str, list[str]] = {}
    for device in info.devices:
        for dtype in info.dtypes:
            outcome = process.evaluate(subnormals.probe(format_of(dtype), device.kind))
            text = f"{subnormals.read(outcome, format_of(dtype))} on {device.kind}"
            found.setdefault(text, []).append(dtype)
    return "; ".join(f"{', '.join(dtypes)} {text}" for text, dtypes in found.items())


@app.command("explain")
def explain_command(
    backend: Annotated[str, typer.Argument(help="id or package.module:Class")],
    logit: Number,
    target: Number,
    weight: OptionalNumber = None,
    pos_weight: OptionalNumber = None,
    dtype: Annotated[DtypeName, typer.Option()] = DtypeName.float32,
    quantity: Annotated[QuantityName, typer.Option()] = QuantityName.loss,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Show the exact value of one loss or gradient beside what a backend returns.

    Numbers may be decimal, hex (0x1.8p+4), inf, nan or -0; negative ones as --logit=-3.
    """
    point = Point(logit, target, weight, pos_weight, str(dtype), str(quantity))
    try:
        explanation = explain(backend, point, device=device)
    except ValueError as error:
        misuse(str(error))
    console.print(_explanation_table(backend, point, explanation))
    raise typer.Exit(Exit.UNEXPECTED if explanation.failure else Exit.AS_EXPECTED)


def _explanation_table(backend: str, point: Point, explanation: Explanation) -> Table:
    format_ = format_of(point.dtype)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name in ("logits", "targets", "weight", "pos_weight"):
        operand = getattr(explanation.call, name)
        if operand is not None:
            table.add_row(name, describe(operand, format_))
    table.add_row(f"exact {point.quantity}", f"{explanation.exact}  ({DIGITS} digits)")
    table.add_row(f"nearest {point.dtype}", describe(explanation.truth.nearest, format_))
    if explanation.failure is not None:
        table.add_row(f"{backend} returned", f"nothing: {explanation.failure}")
        return table
    assert explanation.got is not None
    table.add_row(f"{backend} returned", describe(explanation.got, format_))
    table.add_row("error", f"{explanation.ulp:.6g} ULP")
    table.add_row("level", explanation.level.verdict)
    return table


def main() -> None:
    """Run the command line; an error of the suite itself exits 3."""
    try:
        app()
    except Exception:
        errors.print_exception()
        sys.exit(Exit.SUITE_FAILED)

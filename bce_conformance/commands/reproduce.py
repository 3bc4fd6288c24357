"""``bce-conformance reproduce``: one cell measured again. It writes no results."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bce_conformance.backends import DTYPES, resolve
from bce_conformance.backends.names import meant, nearest
from bce_conformance.conformance.findings.reading import defects
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.run import run as run_matrix
from bce_conformance.conformance.settings import Settings
from bce_conformance.conformance.specification import requirements
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Results
from bce_conformance.terminal.console import console, errors, misuse, read
from bce_conformance.terminal.measuring import print_stop, print_suite_failure
from bce_conformance.terminal.progress import reporter
from bce_conformance.terminal.waiting import announce

from .options import (
    OUT,
    Claim,
    ClaimedDtypes,
    InstructionSet,
    Ledgers,
    TierName,
    Without,
    claims_of,
)


def reproduce(
    cell: Annotated[
        str,
        typer.Argument(metavar="CELL", help="requirement/backend/device/dtype, as reports name it"),
    ],
    tier: Annotated[
        TierName | None, typer.Option(help="how much is tried; default: that of --out, or default")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="seed of all random inputs; default: that of --out, or 0")
    ] = None,
    isa: InstructionSet = "",
    ledger: Ledgers = [],  # noqa: B006 - typer reads it, nobody writes it
    claims: Claim = None,
    dtypes: ClaimedDtypes = "",
    without: Without = "",
    out: Annotated[Path, typer.Option(help="folder of the run that measured it, if any")] = OUT,
) -> None:
    """Measure one cell again and show its evidence.

    Nothing is written. CELL is its name in reports, such as VAL-2/torch/cpu/float32. Exits 1 if it
    is worse than the ledger says.
    """
    place = _place(cell)
    before, its_tier, its_seed, its_isa = _before(place, out)
    if before is None and out != OUT:
        told = f"{place} is not in {out}: measured with tier default and seed 0, or those given"
        errors.print(told, highlight=False, markup=False, soft_wrap=True)
    chosen = str(tier or its_tier), its_seed if seed is None else seed
    try:
        settings = _settings(place, *chosen, tuple(ledger), isa or its_isa)
        settings = replace(settings, claims=claims_of(claims, dtypes, without))
    except ValueError as error:
        misuse(str(error))
    announce(settings.specs())
    found = _measured(place, settings)
    console.print(_evidence(found, *chosen, settings.instruction_set))
    if " explain " in found.reproduce:  # whole, so that it can be copied
        console.print(Text(found.reproduce), soft_wrap=True)
    if before is not None and chosen == (its_tier, its_seed):
        console.print(_compared(before, found, out), highlight=False, markup=False)
    raise typer.Exit(Exit.AS_EXPECTED if found.expected else Exit.UNEXPECTED)


def _place(text: str) -> Place:
    """The place of a cell that can be measured; else misuse, with what is nearest."""
    try:
        place = Place.parse(text)
    except ValueError as error:
        known = f"; `bce-conformance findings {text}` shows that defect" * (text in defects())
        misuse(f"{error}{known}")
    requirement, backend, _, dtype = place
    if requirement not in requirements():
        misuse(f"requirement {requirement!r} is unknown; {nearest(requirement, requirements())}")
    try:
        resolve(backend)
    except ValueError as error:
        misuse(str(error))
    about = requirements()[requirement].dtypes
    if dtype not in DTYPES:
        near = meant(dtype, DTYPES)
        misuse(f"dtype {dtype!r} is unknown; accepted are {', '.join(DTYPES)}{near}")
    if dtype not in about:
        misuse(f"{requirement} is not about {dtype}; it is about {', '.join(about)}")
    return place


def _before(place: Place, folder: Path) -> tuple[Cell | None, str, int, str]:
    """The cell as the run in a folder has it, if it has; the tier, seed and instruction set.

    The instruction set is that which the run was held to, empty where it was not. There need not be
    a run in the usual folder.
    """
    if folder != OUT or (folder / "results.json").exists():
        found = read(folder)
        for cell in found.cells:
            if cell.place == place:
                return cell, found.run.tier, found.run.seed or 0, _held_to(found)
    return None, str(TierName.default), 0, ""


def _held_to(found: Results) -> str:
    """The instruction set of the ``--isa`` of a run; empty where it had none."""
    words = [part for word in found.run.argv for part in word.split("=", 1)]
    told = dict(itertools.pairwise(words))
    return told.get("--isa", "")


def _settings(place: Place, tier: str, seed: int, ledgers: tuple[Path, ...], isa: str) -> Settings:
    requirement, backend, device, dtype = place
    return Settings(
        (backend,),
        (device,),
        (dtype,),
        (requirement,),
        tier,
        seed,
        ledgers=ledgers,
        instruction_set=isa,
    )


def _measured(place: Place, settings: Settings) -> Cell:
    with reporter(errors) as shown:
        code = run_matrix(settings, None, shown, print_suite_failure, print_stop)
    if shown.pace.cells:
        return shown.pace.cells[0]
    if code is Exit.AS_EXPECTED:
        misuse(f"tier {settings.tier} does not try {place}; give a larger one with --tier")
    raise typer.Exit(code)


def _evidence(cell: Cell, tier: str, seed: int, instruction_set: str) -> RenderableType:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _rows(cell, tier, seed):
        table.add_row(name, Text(text))
    if instruction_set:
        table.add_row("held to", f"instruction set {instruction_set}")
    return table


def _rows(cell: Cell, tier: str, seed: int) -> Iterable[tuple[str, str]]:
    yield "cell", cell.id
    yield "requirement", requirements()[cell.requirement].text
    yield "verdict", cell.verdict if cell.expected else f"{cell.verdict}, worse than known"
    why = f": {cell.reason}" if cell.reason else ", no deviation"
    yield "known", cell.known + (", claimed" if not cell.reason and cell.known != "AAA" else why)
    if cell.detail:
        yield "detail", cell.detail
    if cell.log:
        yield "what was raised", cell.log
    yield "inputs tried", f"{cell.inputs:,}, {cell.evidence}, tier {tier}, seed {seed}"
    if cell.ulp is not None:
        ulp = cell.ulp
        yield (
            "error in ULP",
            f"max {ulp.max:.6g}, 99th percentile {ulp.p99:.4g}, mean {ulp.mean:.4g}",
        )
        yield "correctly rounded", f"{100 * ulp.correctly_rounded:.4f} %"
    if cell.worst is not None:
        for name, value in vars(cell.worst).items():
            if value is not None:
                shown = "correctly rounded" if name == "exact" else name
                yield f"worst: {shown}", f"{value}  ({float.fromhex(value):.17g})"


def _compared(before: Cell, now: Cell, folder: Path) -> str:
    if before.verdict == now.verdict:
        return f"the same verdict as in {folder}"
    return f"not the same verdict as in {folder}: it was {before.verdict}, it is {now.verdict}"

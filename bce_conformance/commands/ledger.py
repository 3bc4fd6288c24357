"""``bce-conformance ledger``: the ledger of known deviations against a run."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from bce_conformance.backends import resolve
from bce_conformance.conformance.ledger.model import MADE_WITH, LedgerError
from bce_conformance.conformance.ledger.reading import LEDGER
from bce_conformance.conformance.ledger.reading import read as read_ledger
from bce_conformance.conformance.ledger.standing import Conditions
from bce_conformance.conformance.ledger.updating import Found, Moved, update
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.settings import no_ledger
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.terminal.console import console, misuse, read
from bce_conformance.terminal.help import Command

from .options import OUT, Claim, ClaimedDtypes, Ledgers, Without, claims_of

if TYPE_CHECKING:
    from bce_conformance.results.model import Results

WIDTH = 80

ledger_app = typer.Typer(help="The ledger of known deviations.", no_args_is_help=True)


@ledger_app.command("check", cls=Command)
def ledger_check(
    folder: Annotated[Path, typer.Argument(help="folder with a results.json")] = OUT,
    ledger: Ledgers = [],  # noqa: B006
    claims: Claim = None,
    dtypes: ClaimedDtypes = "",
    without: Without = "",
) -> None:
    """Show every cell of a run that is not as the ledger says now.

    Exits 1 if one is worse, or if an entry is stale: better on the version and the instruction set
    that it was measured on.
    """
    for path in ledger:
        if not path.exists():
            misuse(no_ledger(path))
    try:
        known = read_ledger(ledger, claims=claims_of(claims, dtypes, without))
    except ValueError as error:
        misuse(str(error))
    lines: list[Text] = []
    found = read(folder)
    backends = {backend.id: backend for backend in found.backends}
    tier = _tier(found, folder)
    code = Exit.AS_EXPECTED
    for cell in found.cells:
        backend = backends[cell.backend]
        conditions = Conditions(backend.version, backend.instruction_set, tier)
        standing = known.standing(cell.place, cell.verdict, conditions)
        if standing.worse or standing.better:
            words = f"expected {standing.known}, found {cell.verdict}"
            lines.append(Text(f"{standing}: {cell.id}: {words}"))
            lines.extend(Text(f"  {line}", "dim") for line in wrap(cell.detail, WIDTH - 2))
        if standing.worse or standing.stale:
            code = Exit.UNEXPECTED
    for line in lines or [Text("every cell is as the ledger says")]:
        console.print(line, soft_wrap=True)
    raise typer.Exit(code)


@ledger_app.command("update", cls=Command, short_help="Enter what a run found into the ledger.")
def ledger_update(
    folder: Annotated[Path, typer.Argument(help="folder with a results.json")] = OUT,
    ledger: Ledgers = [],  # noqa: B006
) -> None:
    """Enter what a run found into the ledger; reasons stay, new entries wait for theirs.

    Of backends that are measured on request only, a run of the quick tier is entered too.
    Without --ledger the suite's own ledger is brought up to date, with it only the files named.
    """
    measured = read(folder)
    tier = _tier(measured, folder)
    backends = {backend.id: backend for backend in measured.backends}
    if tier not in MADE_WITH and not all(map(_on_request, backends)):
        misuse(
            f"{folder} is of tier {tier}; the ledger is made with {' and '.join(MADE_WITH)}: "
            f"measure these backends with `run --tier {MADE_WITH[0]} --out FOLDER`, and give that"
        )
    found = [
        Found(
            cell.place,
            cell.verdict,
            backends[cell.backend].version,
            tier,
            backends[cell.backend].instruction_set,
            cell.witness,
        )
        for cell in measured.cells
    ]
    try:
        changed, moves = update(LEDGER, ledger, found)
    except LedgerError as error:
        misuse(str(error))
    except OSError as error:
        misuse(
            f"{error.filename} cannot be written: {error.strerror}; give a copy that can be by "
            "--ledger FILE"
        )
    if moves:
        console.print(_table(moves))
    for path in changed:
        console.print(f"changed: {path}", highlight=False, soft_wrap=True)
    if not changed:
        console.print("the ledger is up to date")


def _on_request(backend: str) -> bool:
    """Whether a backend is measured where it is named only."""
    try:
        return resolve(backend).on_request
    except ValueError as error:
        misuse(str(error))


def _table(moves: list[Moved]) -> Table:
    """What moved in the ledger."""
    table = Table()
    for name in ("cell", "before", "now", "mechanism", "instruction set"):
        table.add_column(name, overflow="fold")
    for move in moves:
        place = str(move.place)
        table.add_row(place, move.before, move.after, move.mechanism, move.instruction_set)
    return table


def _tier(found: Results, folder: Path) -> str:
    """The tier of a run of the matrix."""
    if found.run.tier not in TIERS:
        misuse(
            f"{folder} has {found.run.tier}, no cells: `bce-conformance run --out FOLDER` "
            "measures some"
        )
    return found.run.tier

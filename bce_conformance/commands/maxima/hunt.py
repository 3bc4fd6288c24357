"""``bce-conformance hunt``: the inputs with the largest errors, searched for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import typer

from bce_conformance.backends import BackendProcess, BackendSpec, installed, not_installed
from bce_conformance.backends.isolation.process import TIME_LIMIT
from bce_conformance.commands.options import (
    AsJson,
    Backend,
    DtypeName,
    InstructionSet,
    Quantities,
    Quiet,
    TimeLimit,
    held,
)
from bce_conformance.conformance.hunting.corpus import add, before
from bce_conformance.conformance.hunting.document import document, edges_of, write_calls
from bce_conformance.conformance.hunting.hunt import Hunt, HuntError
from bce_conformance.conformance.hunting.starts import Region
from bce_conformance.conformance.ledger.model import LedgerError
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.sweeping.plan import plan
from bce_conformance.terminal.console import console, errors, misuse, print_json, require_writable
from bce_conformance.terminal.hunting import watch
from bce_conformance.terminal.interruption import interrupted_by_signals

FOLDER = Path("reports/hunt")
ANY = "any"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """A time such as ``60s``, ``5m`` or ``1h``, in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?)([smh]?)", text.strip())
    if not found or float(found[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is no time; accepted are such as 60s, 5m or 1h")
    return float(found[1]) * _UNITS[found[2]]


def hunt(
    backend: Backend,
    dtype: Annotated[DtypeName, typer.Option(help="format of all operands")] = DtypeName.float32,
    quantity: Quantities = "loss,grad_logits",
    targets: Annotated[
        str,
        typer.Option(
            metavar="NUMBERS",
            help="the only ones, such as 0,1, or the word any: all from 0 to 1",
        ),
    ] = ANY,
    weights: Annotated[
        bool, typer.Option("--weights", help="search weight and pos_weight too")
    ] = False,
    sweeps: Annotated[
        list[Path],
        typer.Option(metavar="FOLDER", help="of a sweep: look about its intervals; repeatable"),
    ] = [],  # noqa: B006 - typer reads it, nobody writes it
    budget: Annotated[
        Any, typer.Option(parser=seconds, metavar="TIME", help="such as 60s, 5m or 1h")
    ] = "60s",
    seed: Annotated[int, typer.Option(min=0, help="of all that is tried")] = 0,
    isa: InstructionSet = "",
    out: Annotated[Path, typer.Option(help="folder for the corpus and the calls")] = FOLDER,
    time_limit: TimeLimit = 10 * TIME_LIMIT,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Search for the inputs at which a backend is worst.

    The elements with the largest errors are added to a corpus in --out, which `run --ledger` tries,
    and written as calls for `explain --call`. Ctrl-C ends the search early, with what it has. A
    corpus that cannot be used ends it before it begins.
    """
    try:
        region, wanted = _region(str(dtype), targets, quantity, weights, sweeps)
        spec = held(backend, isa)
    except ValueError as error:
        misuse(str(error))
    if not installed(spec):
        misuse(not_installed(spec))
    require_writable(out)
    try:
        found, stopped, unkept = _hunted(
            spec, region, wanted, (seed, budget, time_limit), out, quiet
        )
    except HuntError as error:
        misuse(str(error))
    except (LedgerError, OSError) as error:
        _fail([error])
    if as_json:
        print_json(found)
    else:
        _show(found)
    if unkept:
        _fail(unkept)
    raise typer.Exit(Exit.INTERRUPTED if stopped else Exit.AS_EXPECTED)


def _fail(why: Sequence[Exception]) -> NoReturn:
    """Say why the hunt is not kept, or has not begun, and leave."""
    for error in why:
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.SUITE_FAILED)


def _region(
    dtype: str, targets: str, quantity: str, weights: bool, sweeps: Sequence[Path]
) -> tuple[Region, tuple[str, ...]]:
    """Where to look, and what for; gradients in weights need weights.

    Raises:
        ValueError: an option is not accepted.
    """
    one = "0" if targets == ANY else targets
    samples = 1 if dtype == "float64" else None
    like = plan(dtype, one, quantity, pos_weight=1.0, samples=samples)
    allowed: tuple[float, ...] = ()
    if targets != ANY:
        patterns = {pattern for group in like.groups for pattern in group.patterns}
        bits = np.array(sorted(patterns), np.uint64).astype(like.format.bits_dtype)
        allowed = tuple(bits.view(like.format.dtype).astype(np.float64).tolist())
        if not all(0 <= target <= 1 for target in allowed):
            raise ValueError(f"targets is {targets!r}; accepted are {ANY}, or numbers from 0 to 1")
    edges = {edge for folder in sweeps for edge in edges_of(folder, dtype)}
    weighted = weights or bool({"grad_weight", "grad_pos_weight"} & set(like.quantities))
    return Region(like.format, allowed, weighted, tuple(sorted(edges))), like.quantities


def _hunted(
    spec: BackendSpec,
    region: Region,
    wanted: tuple[str, ...],
    limits: tuple[int, float, float],
    out: Path,
    quiet: bool,
) -> tuple[dict[str, Any], bool, list[Exception]]:
    """Hunt, and write what was caught.

    Returns:
        The document, whether it was interrupted, and why something could not be written.

    Raises:
        HuntError: the backend gives no result.
        LedgerError: what ``out`` has in the place of a corpus is none of this backend.
        OSError: that cannot be read.
    """
    seed, budget, time_limit = limits
    with BackendProcess(spec, time_limit=time_limit) as process:
        begun = Hunt(process, region, wanted, seed)
        name = begun.info.id.partition("@")[0]
        stem = re.sub(r"[^\w.-]+", "-", name)
        corpus = out / f"{stem}.toml"
        before(corpus, name)  # the budget is not spent for what cannot be kept
        with interrupted_by_signals(begun.stop):
            begun.run(watch(errors, begun, budget, quiet=quiet))
        caught = begun.results()
    found = document(begun, caught, seed) | {"corpus": None, "calls": [], "in_no_pool": 0}
    unkept: list[Exception] = []
    try:
        left_out = add(corpus, name, caught, region.format)
        found["corpus"] = str(corpus) if len(left_out) < len(caught) else None
        found["in_no_pool"] = len(left_out)
    except (LedgerError, OSError) as error:
        unkept.append(error)
    try:
        calls = write_calls(out, stem, caught, region.format)
        found["calls"] = [str(path) for path in calls]
    except OSError as error:
        unkept.append(error)
    return found, begun.stopped, unkept


def _show(found: dict[str, Any]) -> None:
    """Print the worst element of each quantity, with the command that shows it, and the files."""

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for one in found["quantities"]:
        tell(
            f"{one['quantity']}: {one['max_ulp']} ulp, the largest of {one['tried']:,} elements in "
            f"{one['climbs']:,} climbs"
        )
        for reason, count in one["failures"].items():
            tell(f"  {count} calls without a result: {reason}")
        for entry in one["worst"][:1]:
            if entry["ulp_alone"] not in (None, entry["ulp"]):
                tell(f"  in a call of its own it is {entry['ulp_alone']} ulp")
            tell(f"  {entry['explain']}")
    if found["corpus"]:
        tell(f"corpus: {found['corpus']}, for run --ledger")
    if found["in_no_pool"]:
        tell(f"{found['in_no_pool']} elements are in no requirement's pool: in the calls alone")
    for path in found["calls"]:
        tell(f"call: {path}, for explain --call")

"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bce_conformance.backends import BackendSpec, builtin_backends, entry_point_backends, resolve
from bce_conformance.conformance.findings.reading import defects
from bce_conformance.conformance.ledger.claims import Claims, claimed
from bce_conformance.conformance.settings import LONGEST
from bce_conformance.conformance.specification import requirements
from bce_conformance.results.files import USUAL_FOLDER

OUT = USUAL_FOLDER


def options_given(context: typer.Context, names: Iterable[str]) -> list[str]:
    """Those of the parameters of a command that were given, not left at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source and source.name != "DEFAULT"]


def backend_ids(incomplete: str) -> list[str]:
    """The backends that begin with what was typed, for the completion of a shell."""
    known = (*builtin_backends(), *entry_point_backends())
    return [spec.id for spec in known if spec.id.startswith(incomplete)]


def requirement_ids(incomplete: str) -> list[str]:
    """The families that begin with what was typed, then the requirements."""
    families = dict.fromkeys(requirement.family for requirement in requirements().values())
    return [name for name in (*families, *requirements()) if name.startswith(incomplete)]


def defect_ids(incomplete: str) -> list[str]:
    """The known defects that begin with what was typed."""
    return [name for name in defects() if name.startswith(incomplete)]


Backend = Annotated[
    str,
    typer.Argument(
        metavar="BACKEND", help="id or package.module:Class", autocompletion=backend_ids
    ),
]

Ledgers = Annotated[
    list[Path],
    typer.Option("--ledger", metavar="FILE", help="ledger of a backend of your own; repeatable"),
]

InstructionSet = Annotated[
    str,
    typer.Option("--isa", metavar="NAME", help="hold all code to instructions such as x86-64-v3"),
]


def held(backend: str, instruction_set: str) -> BackendSpec:
    """The backend of an argument, held to the instruction set of ``--isa`` where there is one.

    Raises:
        ValueError: one of them is unknown.
    """
    return resolve(f"{backend}@isa={instruction_set}" if instruction_set else backend)


Scheduler = Annotated[
    str, typer.Option(metavar="ADDRESS", help="of dask.distributed: tcp://…, local or local:2")
]
Wait = Annotated[
    float, typer.Option(min=0, help="seconds for a scheduler or a first worker to be there")
]

Claim = Annotated[
    str | None,
    typer.Option(
        "--claims", metavar="LEVEL|FILE", help="what a backend of your own reaches: AAA, AA or A"
    ),
]
ClaimedDtypes = Annotated[
    str, typer.Option("--dtypes", metavar="NAMES", help="formats that --claims is about: a,b")
]
Without = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="what --claims is not about: second-order, forward-mode, class, families, numbers",
    ),
]


def claims_of(claims: str | None, dtypes: str, without: str) -> Claims | None:
    """The claims that the three options make; None where they make none.

    Raises:
        ValueError: they are not valid.
    """
    if claims is None:
        if dtypes or without:
            raise ValueError(
                "--dtypes and --without say what --claims is about, which is missing; --dtype "
                "measures a format alone"
            )
        return None
    return claimed(
        claims, *([n.strip() for n in t.split(",") if n.strip()] for t in (dtypes, without))
    )


DeviceNames = Annotated[
    list[str], typer.Option(help="cpu, cuda, cuda:1, … or all, the default; repeatable")
]
Quantities = Annotated[
    str, typer.Option("--quantity", metavar="NAMES", help="such as loss,grad_logits")
]


def _seconds(value: float) -> float:
    """A time limit that can be waited for, four and ten times of it too.

    Raises:
        typer.BadParameter: it is none.
    """
    if not 0 < value <= LONGEST:
        raise typer.BadParameter(f"{value:g} is not above 0 and up to {LONGEST:,.0f} seconds")
    return value


TimeLimit = Annotated[
    float, typer.Option(metavar="SECONDS", callback=_seconds, help="for one call")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON, for programs")]


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

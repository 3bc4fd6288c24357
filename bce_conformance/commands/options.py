"""Options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bce_conformance.conformance.ledger.claims import Claims, claimed

OUT = Path("reports/out")

Ledgers = Annotated[
    list[Path],
    typer.Option("--ledger", metavar="FILE", help="ledger of a backend of your own; repeatable"),
]

InstructionSet = Annotated[
    str, typer.Option("--isa", metavar="NAME", help="hold all code to one, such as x86-64-v3")
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

"""Options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

OUT = Path("reports/out")

Ledgers = Annotated[
    list[Path],
    typer.Option("--ledger", metavar="FILE", help="ledger of a backend of your own; repeatable"),
]

InstructionSet = Annotated[
    str, typer.Option("--isa", metavar="NAME", help="hold all code to one, such as x86-64-v3")
]


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

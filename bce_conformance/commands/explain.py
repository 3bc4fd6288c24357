"""``bce-conformance explain``: one value, exact and as a backend returns it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.running.explain import DIGITS, Explanation, Point, describe
from bce_conformance.conformance.running.explain import explain as explained
from bce_conformance.reference import format_of

from .options import DtypeName
from .terminal import console, misuse


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


def explain(
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
        explanation = explained(backend, point, device=device)
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

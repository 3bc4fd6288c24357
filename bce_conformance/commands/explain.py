"""``bce-conformance explain``: one value, exact and as a backend returns it.

This is the one-line reproduction that every cell carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import mpmath
import numpy as np
import typer
from rich.table import Table

from bce_conformance.backends import BackendInfo, BackendProcess, Failure, LossCall, resolve
from bce_conformance.backends.calls import Array
from bce_conformance.conformance.inputs.bounds import bounds_for
from bce_conformance.conformance.judging.judge import judge
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.running.reproduce import EXPLAINED
from bce_conformance.reference import Format, Truth, format_of, ground_truth, ulp_error
from bce_conformance.results.cells import Level

from .options import DtypeName
from .terminal import console, misuse

DIGITS = 30


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
        explanation = explained(backend, point, device)
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


@dataclass(frozen=True)
class Point:
    """One element: operands as given, the format and the quantity.

    Attributes:
        logit, target, weight, pos_weight: real numbers; they are rounded into ``dtype``.
        dtype: format name.
        quantity: one of ``EXPLAINED``.
    """

    logit: float
    target: float
    weight: float | None = None
    pos_weight: float | None = None
    dtype: str = "float32"
    quantity: str = "loss"

    def __post_init__(self) -> None:
        if self.quantity not in EXPLAINED:
            raise ValueError(f"quantity is {self.quantity!r}; accepted are {', '.join(EXPLAINED)}")

    def call(self, device: str) -> LossCall:
        """The call that evaluates the point; operands that a gradient needs default to 1."""
        return LossCall(
            self._round(self.logit),
            self._round(self.target),
            self._operand("weight"),
            self._operand("pos_weight"),
            reduction="none",
            quantities=(self.quantity,),
            device=device,
        )

    def _operand(self, name: str) -> Array | None:
        value = getattr(self, name)
        if value is None and self.quantity == f"grad_{name}":
            value = 1.0
        return None if value is None else self._round(value)

    def _round(self, value: float) -> Array:
        with np.errstate(over="ignore"):
            return np.array([value], dtype=np.float64).astype(format_of(self.dtype).dtype)


@dataclass(frozen=True)
class Explanation:
    """What was found.

    Attributes:
        call: what was evaluated, operands rounded into the format.
        truth: the exact value.
        exact: it, to ``DIGITS`` digits.
        got: what the backend returned; None where it returned nothing.
        failure: why it returned nothing; None where it returned.
        ulp: the error in units in the last place; NaN without a result.
        level: the level reached; ``FAILS`` without a result.
    """

    call: LossCall
    truth: Truth
    exact: str
    got: Array | None
    failure: str | None
    ulp: float
    level: Level


def explained(backend: str, point: Point, device: str) -> Explanation:
    """Evaluate one point with a backend, in its process, and judge it.

    Raises:
        ValueError: the backend or the quantity is unknown.
    """
    call = point.call(device)
    format_ = format_of(point.dtype)
    truth = ground_truth(
        call.logits,
        call.targets,
        call.weight,
        call.pos_weight,
        quantity=point.quantity,
        dtype=point.dtype,
    )
    exact = mpmath.nstr(truth.exact(0), DIGITS, strip_zeros=False, min_fixed=-4, max_fixed=17)
    outcome = _evaluate(backend, call)
    got = None if isinstance(outcome, str) else outcome
    if got is None or got.dtype != format_.dtype or got.shape != (1,):
        failure = outcome if isinstance(outcome, str) else f"returned {got!r}"
        return Explanation(call, truth, exact, got, failure, float("nan"), Level.FAILS)
    level = judge(got, truth, format_, bounds_for(call, point.quantity)).level
    return Explanation(call, truth, exact, got, None, float(ulp_error(got, truth)[0]), level)


def _evaluate(backend: str, call: LossCall) -> Array | str:
    """What the backend returned for the call's one quantity, or why it returned nothing."""
    with BackendProcess(resolve(backend)) as process:
        info = process.info()
        if not isinstance(info, BackendInfo):
            return str(info)
        outcome = process.evaluate(call)
    if isinstance(outcome, Failure):
        return str(outcome)
    quantity = call.quantities[0]
    return outcome.values.get(quantity, f"{quantity} is absent")


def describe(value: Array, format_: Format) -> str:
    """A number of a format: hex, and decimal with as many digits as the format needs."""
    number = float(np.asarray(value).astype(np.float64).ravel()[0])
    return f"{number.hex()}  ({number:.{_digits(format_)}g})"


def _digits(format_: Format) -> int:
    """Decimal digits that tell all numbers of a format apart."""
    return int(np.ceil(1 + format_.precision * np.log10(2)))

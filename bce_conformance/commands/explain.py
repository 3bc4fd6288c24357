"""``bce-conformance explain``: one call, exact and as backends return it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bce_conformance.backends import resolve
from bce_conformance.backends.call_files.calls import decode, dumps, loads, parse
from bce_conformance.backends.call_files.numbers import WrittenDecimal, exact
from bce_conformance.backends.calls import REDUCTIONS, Failure, LossCall
from bce_conformance.backends.isolation.process import TIME_LIMIT
from bce_conformance.backends.names import meant, meant_device, similar
from bce_conformance.conformance.run import Exit
from bce_conformance.conformance.surveying.explain import Explanation, document
from bce_conformance.conformance.surveying.explain import explain as explained
from bce_conformance.results.files import read_text
from bce_conformance.terminal.console import console, errors, misuse, print_json
from bce_conformance.terminal.explanation import render
from bce_conformance.terminal.waiting import announce, told_after

from .options import AsJson, DtypeName, TimeLimit, backend_ids, options_given

PATIENCE = 5.0
"""Seconds after which it is told what is waited for."""


OF_PARTS = (
    *("dtype", "targets_dtype", "weight_dtype", "pos_weight_dtype", "reduction", "quantity"),
)
"""Options of the parts of a call, beside the operands."""


class QuantityName(StrEnum):
    """What can be explained."""

    loss = "loss"
    grad_logits = "grad_logits"
    grad_targets = "grad_targets"
    grad_weight = "grad_weight"
    grad_pos_weight = "grad_pos_weight"
    jvp_logits = "jvp_logits"
    hvp_logits = "hvp_logits"


def number(text: str) -> float:
    """A real number in decimal or hex (``0x1.8p+4``), or inf, nan, -0."""
    lowered = text.strip().lower()
    try:
        if "0x" in lowered:
            return float.fromhex(lowered)
        is_decimal = any(map(str.isdigit, lowered))  # else inf or nan
        return WrittenDecimal(lowered) if is_decimal else float(lowered)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is no number (decimal, hex such as 0x1.8p+4, inf, nan or -0), no list of "
            "numbers, and no object as in a call file"
        ) from error


def numbers(text: str) -> Any:
    """A number, or a list or an object as a call file has it."""
    if not text.lstrip().startswith(("[", "{")):
        return number(text)
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no JSON: {error}") from error


Backends = Annotated[
    list[str],
    typer.Argument(
        metavar="BACKEND", help="id or package.module:Class", autocompletion=backend_ids
    ),
]
AsBackends = Annotated[
    list[str], typer.Option(help="as BACKEND; repeatable", autocompletion=backend_ids)
]
Numbers = Annotated[Any, typer.Option(parser=numbers, metavar="NUMBERS")]
Dtypes = Annotated[str | None, typer.Option(metavar="DTYPE", help="of that operand alone")]


def explain(
    context: typer.Context,
    backends: Backends = [],  # noqa: B006 - typer reads it, nobody writes it
    logits: Annotated[
        Any, typer.Option("--logits", "--logit", parser=numbers, metavar="NUMBERS")
    ] = None,
    targets: Annotated[
        Any, typer.Option("--targets", "--target", parser=numbers, metavar="NUMBERS")
    ] = None,
    weight: Numbers = None,
    pos_weight: Numbers = None,
    cotangent: Numbers = None,
    tangent: Numbers = None,
    dtype: Annotated[DtypeName, typer.Option(help="of all operands")] = DtypeName.float32,
    targets_dtype: Dtypes = None,
    weight_dtype: Dtypes = None,
    pos_weight_dtype: Dtypes = None,
    reduction: Annotated[str, typer.Option(help="none, mean or sum")] = "none",
    quantity: Annotated[list[QuantityName], typer.Option(help="repeatable")] = [QuantityName.loss],  # noqa: B006
    call: Annotated[
        str | None, typer.Option(metavar="FILE|JSON", help="a whole call, instead of its parts")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …")] = None,
    backend: AsBackends = [],  # noqa: B006
    time_limit: TimeLimit = TIME_LIMIT,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="keep the call, for --call")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the exact results of a call beside what backends return.

    Without a backend it is native. Numbers may be decimal, hex (0x1.8p+4), inf, nan or -0, and are
    rounded into their format; negative ones as --logit=-3. One number stands for an array of the
    shape of the logits, [1] if they are a number too. Arrays are lists, '[[0.5, -3], [1, 0]]', or
    objects as in a call file, '{"dtype": "int8", "values": [1]}'. Exits 1 if one returned nothing.
    """
    operands = {"logits": logits, "targets": targets, "weight": weight, "pos_weight": pos_weight}
    operands |= {"cotangent": cotangent, "tangent": tangent}
    given = {name: operand for name, operand in operands.items() if operand is not None}
    dtypes = {"targets": targets_dtype, "weight": weight_dtype, "pos_weight": pos_weight_dtype}
    try:
        parts = (given, str(dtype), dtypes, reduction, tuple(map(str, quantity)))
        void = (*given, *options_given(context, OF_PARTS))
        chosen = call_of(*parts) if call is None else read_call(call, void)
        chosen = replace(chosen, device=device or chosen.device)
        if write is not None:
            keep(chosen, write)
        explanation = _explained(chosen, [*backends, *backend] or ["native"], time_limit)
    except (ValueError, OSError) as error:
        misuse(str(error))
    if as_json:
        print_json(document(chosen, explanation))
    else:
        console.print(render(chosen, explanation))
    if not any(isinstance(outcome, Failure) for outcome in explanation.outcomes.values()):
        return
    if near := meant_device(chosen.device):
        errors.print(f"--device is {chosen.device!r}{near}", style="red", highlight=False)
    raise typer.Exit(Exit.UNEXPECTED)


def _explained(call: LossCall, backends: list[str], time_limit: float) -> Explanation:
    """What is found, and on stderr what is waited for.

    Raises:
        ValueError: a backend is unknown, not installed, or does not start.
    """
    announce(resolve(name) for name in backends)
    with told_after(PATIENCE, f"waiting for {', '.join(backends)}: --time-limit {time_limit:g}"):
        return explained(call, backends, time_limit=time_limit)


def keep(call: LossCall, path: Path) -> None:
    """Write a call into a file."""
    try:
        path.write_text(dumps(call), "utf-8")
    except OSError as error:
        misuse(f"--write is {path}, which cannot be written: {error.strerror}; name another file")


def read_call(call: str, given: Iterable[str]) -> LossCall:
    """The call of ``--call``, which no option of its parts may be given beside."""
    for name in given:
        misuse(f"--call is a whole call: leave out --{_option(name)}")
    try:
        if call.lstrip().startswith("{"):
            return loads(call)
        text = read_text(call)
        return loads(text)
    except json.JSONDecodeError as error:
        misuse(f"--call is {call!r}: no JSON: {error}; --write FILE writes a call that is right")
    except UnicodeDecodeError as error:
        misuse(f"--call is {call!r}: no text: {error}; --write FILE writes a call that is right")
    except OSError as error:
        misuse(
            f"--call is {call!r}: {error.strerror}{similar(call)}; accepted is a file that "
            "--write FILE has written, or the JSON in it"
        )


def _option(operand: str) -> str:
    return operand.replace("_", "-")


def call_of(
    given: dict[str, Any],
    dtype: str,
    dtypes: dict[str, str | None],
    reduction: str,
    quantities: tuple[str, ...],
) -> LossCall:
    """The call that the options stand for; weights that a gradient needs default to 1."""
    for name in ("logits", "targets"):
        if name not in given:
            misuse(f"--{name} is missing; accepted are numbers, or a whole call by --call")
    if reduction not in REDUCTIONS:
        near = meant(reduction, REDUCTIONS)
        misuse(f"--reduction is {reduction!r}; accepted are {', '.join(REDUCTIONS)}{near}")
    for name in ("weight", "pos_weight"):
        if f"grad_{name}" in quantities:
            given.setdefault(name, 1.0)
    for name, named in dtypes.items():
        if named is not None and name not in given:
            misuse(f"--{_option(name)}-dtype is given without --{_option(name)}; give both")
    logits = given.pop("logits")
    logits = [logits] if isinstance(logits, float) else logits
    shape = list(decode({"dtype": dtype, "logits": logits, "targets": logits}).logits.shape)
    document: dict[str, Any] = {"dtype": dtype, "logits": logits, "reduction": reduction}
    for name, part in given.items():
        filled = [] if name == "cotangent" and reduction != "none" else shape
        document[name] = _array(name, part, filled, dtypes.get(name))
    return decode({**document, "quantities": list(quantities)})


def _filling(part: float) -> float:
    """A number as a call file has it: an integer where it is one, but for −0."""
    if not math.isfinite(part) or (part == 0 and math.copysign(1, part) < 0):
        return part
    value = exact(part)
    return int(value) if value.denominator == 1 else part


def _array(name: str, part: Any, shape: list[int], dtype: str | None) -> Any:
    """An operand as a call file has it; one number fills the shape."""
    if isinstance(part, float):
        part = {"shape": shape, "fill": _filling(part)}
    elif isinstance(part, list):
        part = {"values": part}
    if dtype is None:
        return part
    if "dtype" in part:
        misuse(f"--{_option(name)}-dtype is given, and a dtype in its object: give one")
    return {**part, "dtype": dtype}

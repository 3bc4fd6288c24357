"""An explanation of one call as the terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bce_conformance.backends.calls import Array, Failure, LossCall
from bce_conformance.conformance.judging.calls import Expected, Fault
from bce_conformance.conformance.judging.judge import Judgement
from bce_conformance.conformance.surveying.explain import (
    DIGITS,
    Explanation,
    decimal,
    describe,
    element,
    exact_digits,
)
from bce_conformance.results.cells import OPERANDS, Level

Row = tuple[str, str]
FEW = 16  # elements of which each is shown
_TABLE_DIGITS = 20


def render(call: LossCall, explanation: Explanation) -> RenderableType:
    """The call, then each quantity: exact, as each backend returned it, and how good that is."""
    parts: list[RenderableType] = []
    rows = [*_call_rows(call), *_rest(call)]
    rows += [(name, f"version {version}") for name, version in explanation.versions.items()]
    if explanation.expected is None:
        rows += [("exact", f"none: {explanation.no_truth}"), *_raw(call, explanation)]
        return Group(_rows(rows), *_logs(explanation))
    for quantity, expected in explanation.expected.results.items():
        rows += _quantity_rows(call, quantity, expected, explanation)
        tables = list(_tables(quantity, expected, explanation))
        if tables:
            parts += [_rows(rows), *tables]
            rows = []
    for backend, judgement in explanation.judgements.items():
        rows += [(backend, str(fault)) for fault in judgement.faults]
    parts += [_rows(rows)] if rows else []
    return Group(*parts, *_logs(explanation))


def _rows(rows: list[Row]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    return table


def _call_rows(call: LossCall) -> Iterator[Row]:
    for name in OPERANDS:
        operand = getattr(call, name)
        if operand is not None:
            yield name, _operand(operand, call)


def _operand(operand: Array, call: LossCall) -> str:
    """One number in full, or an array with its dtype, its shape and its layout."""
    if operand.size == 1 and operand.dtype == call.logits.dtype:
        return describe(operand)
    notes = [f"{operand.dtype} {list(operand.shape)}"]
    notes += [] if operand.flags.c_contiguous else [f"strides {list(operand.strides)}"]
    notes += [] if operand.flags.aligned else ["unaligned"]
    notes += [] if operand.flags.writeable else ["read-only"]
    return f"{', '.join(notes)}: {_numbers(operand)}"


def _rest(call: LossCall) -> Iterator[Row]:
    if call.reduction != "none":
        yield "reduction", call.reduction
    for name in ("forms", "arguments", "threads"):
        value = getattr(call, name)
        if value:
            yield name, str(value)
    for name in ("interface", "repetition", "autograd", "mode", "device"):
        if getattr(call, name) != getattr(LossCall, name):
            yield name, getattr(call, name)


def _quantity_rows(
    call: LossCall, quantity: str, expected: Expected, explanation: Explanation
) -> list[Row]:
    truth = expected.truth
    if truth.nearest.size == 1:
        rows = [
            (f"exact {quantity}", f"{exact_digits(expected, 0)}  ({DIGITS} digits)"),
            (f"nearest {truth.format.name}", describe(truth.nearest)),
        ]
    else:
        rows = [(quantity, f"{truth.format.name} {list(truth.nearest.shape)}")]
    for backend in explanation.outcomes:
        rows += _returned(call, quantity, expected, backend, explanation)
    return rows


def _returned(
    call: LossCall, quantity: str, expected: Expected, backend: str, explanation: Explanation
) -> Iterator[Row]:
    """What one backend returned for a quantity: one number, or the worst of many."""
    found = explanation.judgements[backend].results[quantity]
    outcome = explanation.outcomes[backend]
    if isinstance(found, Fault) or isinstance(outcome, Failure):
        yield f"{backend} returned", _faulty(found, outcome, quantity)
        return
    if not found.levels.size:
        yield f"{backend} returned", "no element, as it should"
        return
    got = outcome.values[quantity]
    worst = element(call, quantity, expected, got, found, found.worst())
    if got.size > 1:
        yield f"{backend}, worst", f"at {list(worst.index)}"
        yield from ((name, describe(value)) for name, value in worst.inputs.items())
        yield "exact", f"{worst.exact}  ({DIGITS} digits)"
        yield f"nearest {expected.truth.format.name}", describe(worst.nearest)
    yield f"{backend} returned", describe(worst.got)
    yield "error", f"{worst.ulp:.6g} ULP"
    yield "level", worst.level.verdict


def _faulty(found: Judgement | Fault, outcome: object, quantity: str) -> str:
    if isinstance(outcome, Failure):
        return f"nothing: {outcome}"
    got = getattr(outcome, "values", {}).get(quantity)
    return str(found) if got is None else f"{found}: {_numbers(got)}"


def _logs(explanation: Explanation) -> Iterator[Text]:
    """The traceback of what each backend raised, or what it wrote before it died."""
    for backend, outcome in explanation.outcomes.items():
        if isinstance(outcome, Failure) and outcome.kind != "unsupported" and outcome.log:
            yield Text(f"\n{backend}:\n{outcome.log}")


def _numbers(array: Array) -> str:
    first = ", ".join(decimal(value) for value in np.asarray(array).flat[:FEW])
    return f"{first}{', …' if array.size > FEW else ''}" or "no element"


def _tables(quantity: str, expected: Expected, explanation: Explanation) -> Iterator[Table]:
    """Every element of a small result, by backend."""
    if not 1 < expected.truth.nearest.size <= FEW:
        return
    for backend, judgement in explanation.judgements.items():
        found, outcome = judgement.results[quantity], explanation.outcomes[backend]
        if isinstance(found, Judgement) and not isinstance(outcome, Failure):
            yield _table(backend, expected, outcome.values[quantity], found)


def _table(backend: str, expected: Expected, got: Array, found: Judgement) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("", f"{backend} returned", "exact", "ULP", "level"):
        table.add_column(Text(name), justify="right", overflow="fold")
    for flat, index in enumerate(np.ndindex(got.shape)):
        values = decimal(got[index]), exact_digits(expected, flat, _TABLE_DIGITS)
        level = Level(int(found.levels[flat])).verdict
        table.add_row(*map(Text, (str(list(index)), *values, f"{found.ulp[flat]:.4g}", level)))
    return table


def _raw(call: LossCall, explanation: Explanation) -> Iterator[Row]:
    """What backends returned for a call without exact results."""
    for backend, outcome in explanation.outcomes.items():
        if isinstance(outcome, Failure):
            yield f"{backend} returned", f"nothing: {outcome}"
            continue
        for quantity in call.quantities:
            got = outcome.values.get(quantity)
            shown = "absent" if got is None else f"{got.dtype} {list(got.shape)}, {_numbers(got)}"
            yield f"{backend} returned", f"{quantity}: {shown}"

"""What a hunt has caught, for programs and as calls that replay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bce_conformance.backends.call_files.calls import dumps
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.judging.worst import WorstResult
from bce_conformance.conformance.running.reproduce import explain_line
from bce_conformance.reference import Format, format_of
from bce_conformance.results.cells import Level, Worst
from bce_conformance.results.writing import number, write_text

from .hunt import Catch, Hunt, call_of


def line(backend: str, caught: Catch, format_: Format) -> str:
    """The ``explain`` command that shows a catch."""
    call = call_of([caught], format_)
    operands = (call.logits, call.targets, call.weight, call.pos_weight)
    inputs = Inputs("hunt", format_, *operands)
    given = dict(caught.element)
    weights = (given.get("weight"), given.get("pos_weight"))
    element = Worst(given["logits"], given["targets"], *weights, caught.got, caught.exact)
    worst = WorstResult((Level.AAA, 0.0), inputs, caught.quantity, element, "")
    return str(explain_line(backend, "cpu", worst))


def document(hunt: Hunt, caught: Sequence[Catch], seed: int) -> dict[str, Any]:
    """All of it in JSON's types: see docs/command_line.md for its fields."""
    format_ = hunt.region.format
    return {
        "backend": hunt.info.id,
        "version": hunt.info.version,
        "instruction_set": hunt.info.instruction_set,
        "dtype": format_.name,
        "seed": seed,
        "evidence": "searched",
        "quantities": [
            {
                "quantity": climb.quantity,
                "tried": climb.tried,
                "climbs": climb.climbs,
                "failures": climb.failures,
                "max_ulp": number(climb.max),
                "worst": [
                    _entry(hunt.info.id, one, format_)
                    for one in caught
                    if one.quantity == climb.quantity
                ],
            }
            for climb in hunt.climbs
        ],
    }


def _entry(backend: str, caught: Catch, format_: Format) -> dict[str, Any]:
    alone = None if caught.alone is None else number(caught.alone)
    return {
        **dict(caught.element),
        "got": caught.got,
        "exact": caught.exact,
        "ulp": number(caught.ulp),
        "ulp_alone": alone,
        "explain": line(backend, caught, format_),
    }


def write_calls(folder: Path, stem: str, caught: Sequence[Catch], format_: Format) -> list[Path]:
    """Write the elements of each quantity as one call, for ``explain --call``; return the files.

    Raises:
        OSError: one cannot be written.
    """
    written = []
    for quantity in dict.fromkeys(one.quantity for one in caught):
        call = call_of([one for one in caught if one.quantity == quantity], format_)
        path = folder / f"{stem}-{format_.name}-{quantity}.json"
        write_text(dumps(call), path)
        written.append(path)
    return written


def edges_of(folder: Path, dtype: str) -> tuple[float, ...]:
    """Where a sweep says that levels are lost, and its worst inputs: finite logits.

    Args:
        folder: of a sweep.json, of whatever backend.
        dtype: the format that it must be of.

    Raises:
        ValueError: there is none, or it is of another format; the message says what is accepted.
    """
    try:
        found = json.loads((folder / "sweep.json").read_text("utf-8"))
        texts = [end for r in found["results"] for end in _logits(r)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"sweeps is {folder}, which has no sweep.json to read ({error}); accepted is a folder "
            "that `sweep --out` wrote"
        ) from error
    if found["dtype"] != dtype:
        raise ValueError(f"sweeps is {folder}, of {found['dtype']}; accepted is one of {dtype}")
    values = (float.fromhex(text) for text in texts if not text.startswith("nan:"))
    largest = format_of(dtype).largest_finite
    return tuple(sorted({value for value in values if abs(value) <= largest}))


def _logits(result: dict[str, Any]) -> list[str]:
    ends = [span[end] for spans in result["lost"].values() for span in spans for end in _ENDS]
    return ends + [one["logit"] for one in result["worst"]]


_ENDS = ("from", "to")

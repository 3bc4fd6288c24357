"""Proven maxima: what sweeps have evaluated whole, in the cells that ask for just that.

A run tries some of the logits that a requirement names, and its maximum is a lower bound. A sweep
tries all. Guarantees that a cell takes a sweep's maximum only if backend, version, instruction set
and format are the same and every pattern was swept with both hard targets, and that no verdict
changes: where a sweep shows more than a verdict allows, the cell stays searched, and says so.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .cells import Cell, UlpStatistics, Worst
from .model import BackendEntry, Results

REQUIREMENTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "VAL-9": ("loss", ("float16", "bfloat16")),
    "VAL-11": ("loss", ("float32",)),
    "GRAD-19": ("grad_logits", ("float16", "bfloat16")),
}
"""The requirements that name every logit with both hard targets: the quantity, and the formats."""

# By format: its bits, and how many finite patterns it has.
_PATTERNS = {"float16": (16, 63_488), "bfloat16": (16, 65_280), "float32": (32, 4_278_190_080)}
_TARGETS = ("0", "1")
_FIELDS = ("backend", "dtype", "pos_weight", "patterns", "results")
_ALLOWED = {"AAA": 1.0, "AA": 4.0}  # ulps: an error must be less than one, or at most four

Sweep = Mapping[str, Any]


def read(folder: Path) -> Sweep:
    """The sweep.json in a folder.

    Raises:
        ValueError: there is none; the message says what is accepted.
    """
    try:
        found: Sweep = json.loads((folder / "sweep.json").read_text("utf-8"))
        missing = [name for name in _FIELDS if not isinstance(found, dict) or name not in found]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"sweeps is {folder}, which has no sweep.json to read ({error}); accepted is a folder "
            "that `sweep --out` wrote"
        ) from error
    return found


def with_sweeps(results: Results, sweeps: Sequence[Sweep]) -> tuple[Results, list[Cell]]:
    """A run with the maxima that sweeps have proven, and the cells that have them.

    Args:
        results: the run.
        sweeps: documents of sweeps, of whatever backends.
    """
    entries = {entry.id: entry for entry in results.backends}
    cells, proven = [], []
    for cell in results.cells:
        found = _pair(cell, entries[cell.backend], sweeps)
        new = _with(cell, found) if found else cell
        if new.evidence == "exhaustive" and new != cell:
            proven.append(new)
        cells.append(new)
    return replace(results, cells=tuple(cells)), proven


def _pair(cell: Cell, entry: BackendEntry, sweeps: Iterable[Sweep]) -> list[Mapping[str, Any]]:
    """The results of a sweep that tried all that a cell asks for, one a target; or nothing."""
    quantity, dtypes = REQUIREMENTS.get(cell.requirement, ("", ()))
    if cell.dtype not in dtypes or cell.device != "cpu" or cell.ulp is None:
        return []
    for sweep in sweeps:
        if not _is_alike(sweep, cell, entry):
            continue
        found = {
            result["targets"]: result
            for result in sweep["results"]
            if result["quantity"] == quantity and result["evidence"] == "exhaustive"
        }
        if set(_TARGETS) <= found.keys():
            return [found[target] for target in _TARGETS]
    return []


def _is_alike(sweep: Sweep, cell: Cell, entry: BackendEntry) -> bool:
    """Whether a sweep is of every logit, of the backend as it was in the run."""
    backend = sweep["backend"]
    bits, _ = _PATTERNS[cell.dtype]
    return (
        backend["id"].partition("@")[0] == cell.backend.partition("@")[0]
        and backend["version"] == entry.version
        and backend["instruction_set"] == entry.instruction_set
        and (sweep["dtype"], sweep["pos_weight"]) == (cell.dtype, None)
        and sweep["patterns"] == ["0x0", hex((1 << bits) - 1)]
    )


def _with(cell: Cell, found: Sequence[Mapping[str, Any]]) -> Cell:
    """A cell with the maximum of a sweep."""
    assert cell.ulp is not None
    result = max(found, key=lambda one: float(one["max_ulp"]))
    highest = float(result["max_ulp"])
    _, finite = _PATTERNS[cell.dtype]
    count = len(_TARGETS) * finite
    allowed = _ALLOWED.get(cell.verdict, float("inf"))
    if highest > allowed or highest == allowed == _ALLOWED["AAA"]:
        said = (
            f"a sweep of all {count:,} inputs shows {highest:.6g} ulp: {cell.verdict} is too good"
        )
        return replace(cell, detail="; ".join(filter(None, [cell.detail, said])))
    ulp = UlpStatistics(highest, cell.ulp.p99, cell.ulp.mean, cell.ulp.correctly_rounded)
    if not result["worst"]:
        return replace(cell, evidence="exhaustive", ulp=ulp, inputs=count)
    first = result["worst"][0]
    worst = Worst(first["logit"], first["target"], None, None, first["got"], first["exact"])
    words = ["bce-conformance", "explain", cell.backend, f"--logit={worst.logit}"]
    words += [f"--target={worst.target}", f"--dtype={cell.dtype}"]
    words += [f"--quantity={result['quantity']}"]
    line = shlex.join(words)
    return replace(cell, evidence="exhaustive", ulp=ulp, worst=worst, inputs=count, reproduce=line)

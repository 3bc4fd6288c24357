"""Proven maxima: what sweeps have evaluated whole, in the cells that ask for just that.

A run tries some of the logits that a requirement names, and its maximum is a lower bound. A sweep
tries all. Guarantees that a cell takes a sweep's maximum only if backend, version, instruction set
and format are the same and every pattern was swept with both hard targets, and that no verdict
changes: where a sweep shows less than a verdict, the cell is searched, and says so. All figures of
a proven cell are of the same inputs, those of the sweep.
"""

from __future__ import annotations

import json
import math
import shlex
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .cells import HISTOGRAM, Cell, UlpStatistics, Worst
from .model import BackendEntry, Results
from .reading import validate
from .rounding import up
from .writing import document

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
_OF_A_RESULT = (
    *("quantity", "targets", "evidence", "points", "max_ulp", "correctly_rounded", "flushed"),
    *("worst", "worst_special", "lost", "histogram"),
)
_ALLOWED = {"AAA": 1.0, "AA": 4.0}  # ulps: an error must be less than one, or at most four

Sweep = Mapping[str, Any]
Result = Mapping[str, Any]


def read(folder: Path) -> Sweep:
    """The sweep.json in a folder.

    Raises:
        ValueError: there is none; the message says what is accepted.
    """
    try:
        found: Sweep = json.loads((folder / "sweep.json").read_text("utf-8"))
        missing = [name for name in _FIELDS if not isinstance(found, dict) or name not in found]
        missing = missing or [n for one in found["results"] for n in _OF_A_RESULT if n not in one]
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

    Raises:
        ValueError: a sweep has what no results.json can hold.
    """
    entries = {entry.id: entry for entry in results.backends}
    cells, proven = [], []
    for cell in results.cells:
        found = _pair(cell, entries[cell.backend], sweeps)
        new = _with(cell, found) if found else cell
        if new.evidence == "exhaustive" and new != cell:
            proven.append(new)
        cells.append(new)
    after = replace(results, cells=tuple(cells))
    if cells != list(results.cells):  # before it takes the place of a file that can be read
        validate(document(replace(after, curves=(), maps=(), timings=None)))
    return after, proven


def _pair(cell: Cell, entry: BackendEntry, sweeps: Iterable[Sweep]) -> list[Result]:
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
        and _is_of(sweep.get("source"), entry)
        and (sweep["dtype"], sweep["pos_weight"]) == (cell.dtype, None)
        and sweep["patterns"] == ["0x0", hex((1 << bits) - 1)]
    )


def _is_of(source: str | None, entry: BackendEntry) -> bool:
    """Whether a sweep is of the file of a user's own that the run judged, or neither is of one.

    Args:
        source: the digest of a sweep: None where there is no such file, empty where no digest is.
        entry: the backend in the run.
    """
    return entry.source == (source or "") and source != ""


def _with(cell: Cell, found: Sequence[Result]) -> Cell:
    """A cell with what a sweep found, or with the word that it disproves the verdict."""
    bits, finite = _PATTERNS[cell.dtype]
    count = len(_TARGETS) * finite
    disproof = _disproof(cell.verdict, found, bits)
    if disproof:
        said = f"a sweep of all {count:,} inputs shows {disproof}: {cell.verdict} is too good"
        details = [cell.detail, said] if said not in cell.detail else [cell.detail]
        return replace(cell, evidence="searched", detail="; ".join(filter(None, details)))
    proven = replace(
        cell,
        evidence="exhaustive",
        ulp=statistics(found, count),
        inputs=count,
        flushed=sum(result["flushed"] for result in found),
    )
    result = max(found, key=_highest)
    if not result["worst"]:
        return proven
    first = result["worst"][0]
    got, exact = (first[name].partition(":")[0] for name in ("got", "exact"))  # of a NaN no bits
    worst = Worst(first["logit"], first["target"], None, None, got, exact)
    words = ["bce-conformance", "explain", cell.backend, f"--logit={worst.logit}"]
    words += [f"--target={worst.target}", f"--dtype={cell.dtype}"]
    words += [f"--quantity={result['quantity']}"]
    return replace(proven, worst=worst, reproduce=shlex.join(words))


def _highest(result: Result) -> float:
    return float(result["max_ulp"])


def _disproof(verdict: str, found: Sequence[Result], bits: int) -> str:
    """What results show at finite logits that a verdict does not allow; empty for nothing."""
    highest = max(map(_highest, found))
    allowed = _ALLOWED.get(verdict, math.inf)
    if highest > allowed or highest == allowed == _ALLOWED["AAA"]:
        return f"{up(highest, 6):.6g} ulp"
    for result in found:
        for one in result["lost"].get(verdict, ()):
            if _has_finite(one, bits):
                return f"results below {verdict} at logits from {one['from']} to {one['to']}"
    return ""


def _has_finite(interval: Mapping[str, Any], bits: int) -> bool:
    """Whether an interval of logits has a finite one: not if it is of special ones of one sign."""
    signs = set()
    for name in ("from", "to"):
        text, _, pattern = interval[name].partition(":")
        if math.isfinite(float.fromhex(text)):
            return True
        signs.add(int(pattern, 16) >> (bits - 1) if pattern else int(text.startswith("-")))
    return len(signs) > 1


def statistics(found: Sequence[Result], count: int) -> UlpStatistics:
    """The statistics of the results of a sweep at finite logits, flushed ones left out.

    A sweep counts infinite and NaN logits too. Errors above the maximum are theirs, and the others
    of theirs count as none: percentile and mean are upper bounds, at most an eighth too large, and
    the share of correctly rounded results is a lower one.

    Args:
        found: results of one sweep.
        count: how many finite logits they have together.
    """
    highest = max(map(_highest, found))
    right = 1 - sum(one["points"] - one["correctly_rounded"] for one in found) / count
    bins: Counter[float] = Counter()
    for each in (entry for one in found for entry in one["histogram"]):
        if 0 < float(each["ulp"]) <= highest:
            bins[float(each["ulp"])] += each["count"]
    judged = count - sum(one["flushed"] for one in found)
    bins[0.0] = judged - bins.total()  # without the special logits whose results are right
    ends = {low: min(_end(low), highest) for low in sorted(bins)}
    reached, p99 = 0, 0.0
    for low, end in ends.items():
        if reached < 0.99 * judged:
            p99 = end
        reached += bins[low]
    mean = sum(bins[low] / max(judged, 1) * end for low, end in ends.items() if bins[low])
    special = [float(each["ulp"]) for one in found for each in one["worst_special"]]
    apart = bins[0.0] >= 0 and all(ulp >= _end(max(bins)) > highest for ulp in special)
    counts = _histogram(bins) if apart else ()
    return UlpStatistics(highest, p99, min(mean, highest), max(right, 0.0), counts)


def _end(low: float) -> float:
    """Where a bin of a sweep ends; those of no error and of less than 2⁻¹⁰ ulp begin at 0 both."""
    if low == 0:
        return 2.0**-10
    return low + 2.0 ** (math.frexp(low)[1] - 4) if math.isfinite(low) else low


def _histogram(bins: Mapping[float, int]) -> tuple[int, ...]:
    """The counts between the bounds of ``HISTOGRAM``, of bins by their ends."""
    counts = [0] * (len(HISTOGRAM) + 2)
    for low, number in bins.items():
        place = bisect_right(HISTOGRAM, low) + math.isinf(low)
        counts[place] += number
    while counts and not counts[-1]:
        counts.pop()
    return tuple(counts)

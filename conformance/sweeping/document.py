"""What a sweep found, as sweep.json and as a table in CSV and LaTeX.

Guarantees that the same results give the same bytes: there is no time, rate or host in them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends import BackendInfo
from bce_conformance.reference import Format
from bce_conformance.results.rounding import up
from bce_conformance.results.writing import number, write_text

from .kernels import edge
from .plan import Plan, bits_of
from .summaries import LOST, Summary, bucket_count
from .sweep import Swept, code_digest

SCHEMA = 1
"""Of sweep.json."""

WORST = 8  # inputs that are named, one a bucket
_LEVELS = ("AAA", "AA", "A", "fails")
COLUMNS = (
    *("backend", "version", "instruction_set", "dtype", "pos_weight", "quantity", "targets"),
    *("evidence", "points", "max_ulp", "logit", "target", "got", "exact", "correctly_rounded"),
    *(*_LEVELS, "flushed", "undecided", "failed"),
)
"""Of the table."""

_IN_LATEX = {
    "backend": "backend",
    "dtype": "format",
    "quantity": "quantity",
    "targets": "targets",
    "points": "points",
    "max_ulp": "max.\\ ulp",
    "logit": "at logit",
    "correctly_rounded": "correctly rounded",
    "evidence": "evidence",
}


def evidence(plan: Plan, swept: Swept) -> str:
    """``exhaustive`` where every point of the plan has a result, ``searched`` for samples.

    ``incomplete`` where points are missing.
    """
    whole = len(swept.group.patterns) * (plan.last - plan.first)
    if swept.summary.points != whole:
        return "incomplete"
    return "searched" if plan.sampled else "exhaustive"


def document(
    plan: Plan, info: BackendInfo, results: Sequence[Swept], source: str | None = None
) -> dict[str, Any]:
    """A whole sweep.json: see docs/sweeps.md for its fields.

    Args:
        plan: what was swept.
        info: the backend.
        results: what was found.
        source: the digest of a user's own file that was swept, empty where there is none; None
            where no such file was.
    """
    return {
        "schema": SCHEMA,
        "backend": {
            name: getattr(info, name)
            for name in ("id", "framework", "version", "variant", "instruction_set")
        },
        "code": code_digest(),
        "source": source,
        "dtype": plan.format.name,
        "pos_weight": None if plan.pos_weight is None else plan.pos_weight.hex(),
        "samples": plan.last if plan.sampled else None,
        "patterns": None if plan.sampled else [hex(plan.first), hex(plan.last - 1)],
        "results": [_result(plan, swept) for swept in results],
    }


def _result(plan: Plan, swept: Swept) -> dict[str, Any]:
    summary = swept.summary
    return {
        "quantity": swept.quantity,
        "targets": swept.group.name,
        "evidence": evidence(plan, swept),
        "points": summary.points,
        "max_ulp": number(summary.max),
        "correctly_rounded": summary.right,
        "levels": levels(summary),
        "flushed": summary.flushed,
        "undecided": summary.undecided,
        "failed": [{"piece": str(piece), "reason": why} for piece, why in swept.failures],
        "worst": worst(summary, summary.special),
        "worst_special": worst(summary, ~summary.special),
        "lost": {level: intervals(summary, level) for level in LOST},
        "histogram": [
            {"ulp": number(edge(bin_)), "count": int(summary.bins[bin_])}
            for bin_ in np.flatnonzero(summary.bins).tolist()
        ],
    }


def levels(summary: Summary) -> dict[str, int]:
    """How many results have each level."""
    below = [summary.points, *summary.lost.sum(axis=0).tolist(), 0]
    return {level: below[i] - below[i + 1] for i, level in enumerate(_LEVELS)}


def worst(summary: Summary, left_out: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """The inputs with the largest errors, at most one from an eighth of an octave.

    Args:
        summary: of one quantity.
        left_out: [buckets]: those that are not looked at.
    """
    peak = np.where(left_out, -1.0, summary.peak)
    order = np.lexsort((np.arange(peak.size), -peak))[:WORST]
    found = []
    for bucket in order.tolist():
        if peak[bucket] > 0:
            names = ("target", "logit", "got", "exact")
            values = (_hex(pattern, summary.format) for pattern in summary.worst[bucket].tolist())
            one: dict[str, Any] = dict(zip(names, values, strict=True))
            found.append(one | {"ulp": number(float(summary.peak[bucket]))})
    return found


def intervals(summary: Summary, level: str) -> list[dict[str, Any]]:
    """Intervals of logits, in ascending order, in which results are below a level.

    An interval is of neighbouring eighths of octaves with such results each. Its ends are the least
    and the greatest logit of them.
    """
    column = LOST.index(level)
    runs: list[list[int]] = []
    previous = None
    for place, bucket in enumerate(_in_order(summary.format)):
        if summary.lost[bucket, column]:
            if previous != place - 1:
                runs.append([])
            runs[-1].append(bucket)
            previous = place
    half = bucket_count(summary.format) // 2
    found = []
    for run in runs:
        low, high = run[0], run[-1]
        start = summary.last[low, column] if low >= half else summary.first[low, column]
        end = summary.first[high, column] if high >= half else summary.last[high, column]
        count = int(summary.lost[run, column].sum())
        ends = {"from": _hex(int(start), summary.format), "to": _hex(int(end), summary.format)}
        found.append({**ends, "count": count})
    return found


def _in_order(format_: Format) -> Iterator[int]:
    """The buckets in the order of the logits: negative ones are stored the other way round."""
    count = bucket_count(format_)
    yield from range(count - 1, count // 2 - 1, -1)
    yield from range(count // 2)


def _hex(pattern: int, format_: Format) -> str:
    """The number with a bit pattern in hex; a NaN with the pattern itself."""
    bits = np.array([pattern], np.uint64).astype(format_.bits_dtype)
    with np.errstate(invalid="ignore"):  # a signalling NaN
        value = float(bits.view(format_.dtype).astype(np.float64)[0])
    digits = bits_of(format_) // 4
    return value.hex() if value == value else f"nan:{pattern:#0{digits + 2}x}"


def rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the table of a sweep.json."""
    backend = found["backend"]
    rows = []
    for result in found["results"]:
        first = result["worst"][0] if result["worst"] else {}
        row = {
            "backend": backend["id"],
            "version": backend["version"],
            "instruction_set": backend["instruction_set"],
            "dtype": found["dtype"],
            "pos_weight": found["pos_weight"] or "",
            **{name: result[name] for name in COLUMNS if name in result},
            **{name: first.get(name, "") for name in ("logit", "target", "got", "exact")},
            **result["levels"],
            "failed": len(result["failed"]),
        }
        rows.append({name: row[name] for name in COLUMNS})
    return rows


def as_csv(table: Sequence[Mapping[str, Any]]) -> str:
    """The table as CSV, with a line of names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def as_latex(table: Sequence[Mapping[str, Any]]) -> str:
    """The table as a LaTeX ``tabular`` with the columns that a page has room for."""
    lines = [f"\\begin{{tabular}}{{{'l' * len(_IN_LATEX)}}}", "\\hline"]
    lines.append(" & ".join(_IN_LATEX.values()) + " \\\\")
    lines.append("\\hline")
    lines += [" & ".join(_cell(name, row) for name in _IN_LATEX) + " \\\\" for row in table]
    return "\n".join([*lines, "\\hline", "\\end{tabular}", ""])


def _cell(name: str, row: Mapping[str, Any]) -> str:
    value = row[name]
    if name == "backend":
        value = f"{value} {row['version']}"
    elif name == "max_ulp" and isinstance(value, float):
        value = f"{up(value, 6):.6g}"
    elif name == "correctly_rounded":
        share = value / row["points"] if row["points"] else 0.0
        value = "all" if value == row["points"] else f"{np.floor(share * 1e6) / 1e4:.4f} %"
    return str(value).translate({ord(c): f"\\{c}" for c in "_%&#"})


def write(found: Mapping[str, Any], folder: Path) -> None:
    """Write sweep.json, sweep.csv and sweep.tex into a folder, each whole or not at all.

    Raises:
        OSError: one cannot be written.
    """
    table = rows(found)
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(text, folder / "sweep.json")
    write_text(as_csv(table), folder / "sweep.csv")
    write_text(as_latex(table), folder / "sweep.tex")

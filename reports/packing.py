"""The data that the page holds: small, and read by its scripts.

Guarantees that the same results give the same bytes.
"""

from __future__ import annotations

import gzip
import json
import math
from base64 import b64encode
from typing import Any

from bce_conformance.results.cells import VERDICTS, Cell
from bce_conformance.results.model import Results
from bce_conformance.results.rounding import up

from .grid import FAMILIES, MARKS, families
from .standing import standing

FIELDS = (
    *("requirement", "backend", "device", "dtype", "verdict", "standing", "known", "inputs"),
    *("exhaustive", "reason", "detail", "reproduce", "ulp", "worst", "flushed", "log"),
    *("histogram", "defects"),
)
"""What the page knows of a cell."""

DIGITS, SHARE = 6, 7
"""Significant digits of an error, and decimals of a share; the page shows fewer."""

ERRORS = ("max", "p99", "mean", "correctly_rounded")
"""What the page knows of a cell's errors, beside how many are how large."""

BACKEND_FIELDS = ("id", "framework", "version", "instruction_set", "status")
"""What the page knows of a backend."""


def as_json(data: Any) -> str:
    """Data as JSON without spaces; what JSON cannot say, NaN and infinity, is an error.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def compressed(text: str) -> str:
    """A text as the page holds it: gzip, in base64, which no text can leave as markup.

    Example:
        >>> gzip.decompress(b64decode(compressed("AAA"))).decode()
        'AAA'
    """
    return b64encode(gzip.compress(text.encode("utf-8"), 9, mtime=0)).decode("ascii")


def packed_cells(results: Results) -> dict[str, Any]:
    """The cells for the page: a column a field, repeated texts once.

    Args:
        results: a run.

    Returns:
        ``texts``: every distinct text; ``columns``: field → its value in each cell, texts as
        indices into ``texts``, the ULP errors as four numbers or null for infinite ones;
        ``verdicts``; ``marks``: what each is called in a square; ``requirements``: id → family,
        text and rationale; ``defects``: id → title and upstream report; ``families``: family →
        what it is called; ``backends``: a record each.
    """
    texts: dict[str, int] = {}

    def text(value: str | None) -> int | None:
        return None if value is None else texts.setdefault(value, len(texts))

    def row(cell: Cell) -> dict[str, Any]:
        ulp, worst = cell.ulp, cell.worst
        return {
            "requirement": text(cell.requirement),
            "backend": text(cell.backend),
            "device": text(cell.device),
            "dtype": text(cell.dtype),
            "verdict": VERDICTS.index(cell.verdict),
            "standing": text(standing(cell)),
            "known": VERDICTS.index(cell.known),
            "inputs": cell.inputs,
            "exhaustive": int(cell.evidence == "exhaustive"),
            "reason": text(cell.reason),
            "detail": text(cell.detail),
            "reproduce": text(cell.reproduce),
            "ulp": ulp and [_shown(name, getattr(ulp, name)) for name in ERRORS],
            "worst": worst and [text(value) for value in vars(worst).values()],
            "flushed": cell.flushed,
            "log": text(cell.log),
            "histogram": (ulp and ulp.histogram) or None,
            "defects": [text(name) for name in cell.defects] or None,
        }

    rows = [row(cell) for cell in results.cells]
    return {
        "texts": list(texts),
        "columns": {name: [row[name] for row in rows] for name in FIELDS},
        "verdicts": VERDICTS,
        "marks": [MARKS[verdict] for verdict in VERDICTS],
        "requirements": {r.id: [r.family, r.text, r.why] for r in results.requirements},
        "defects": {one.id: [one.title, one.link] for one in results.defects},
        "families": {name: FAMILIES.get(name, "") for name in families(results)},
        "backends": [
            {name: getattr(entry, name) for name in BACKEND_FIELDS} for entry in results.backends
        ],
    }


def _shown(name: str, value: float) -> float | None:
    """A figure as the page needs it: a share is never rounded up, infinity is null.

    A maximum is never rounded down, and one below 1, the bound of AAA, stays below.
    """
    if name == "correctly_rounded":
        return math.floor(value * 10.0**SHARE) / 10.0**SHARE
    if math.isinf(value):
        return None
    if name == "max":
        shown = up(value, DIGITS)
        return value if value < 1 <= shown else shown
    return float(f"{value:.{DIGITS}g}")

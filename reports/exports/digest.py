"""Digest: a run as short JSON, for programs that want its findings and not each of its cells.

results.json has every cell. This has the matrix, the counts and the findings of the report.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bce_conformance.reports.findings import Finding, distinct
from bce_conformance.reports.grid import families, grid, square
from bce_conformance.reports.standing import moved, unexpected
from bce_conformance.reports.summary import reproduce
from bce_conformance.results.model import Results
from bce_conformance.results.writing import plain


def text(results: Results) -> str:
    """A run as JSON: ``run``, ``backends``, ``counts``, ``matrix``, ``worse``, ``findings``."""
    return json.dumps(digest(results), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def digest(results: Results) -> dict[str, Any]:
    """What ``text`` writes.

    Returns:
        ``run`` as in results.json; ``backends``: id → version or status; ``counts``: verdict →
        cells; ``matrix``: backend → family → ``worst`` and ``counts``; ``worse``: the cells that
        are worse than known, what was expected and found; ``findings``: the most harmful first,
        with the fields of a defect where it is one.
    """
    squares, names = grid(results), families(results)
    matrix = {
        backend.id: {
            name: {"worst": found.worst, "counts": dict(found.counts)}
            for name in names
            if (found := squares.get((backend.id, name)))
        }
        for backend in results.backends
    }
    return {
        "run": plain(results.run),
        "backends": {b.id: b.version or b.status for b in results.backends},
        "counts": dict(square(results.cells).counts),
        "matrix": matrix,
        "worse": {cell.id: moved(cell) for cell in unexpected(results.cells)},
        "findings": [finding(worst, group) for worst, group in distinct(results)],
    }


def finding(
    worst: Finding, group: dict[str, Finding], folder: Path | None = None
) -> dict[str, Any]:
    """A finding of several backends as JSON.

    Args:
        worst: that of the backend in which it is worst.
        group: backend → its own.
        folder: of the run, where the command is to name it.

    Returns:
        The fields of its defect, or ``title`` alone; ``evidence``: backend → words;
        ``reproduce``: a command that shows it.
    """
    entry: dict[str, Any] = plain(worst.defect) if worst.defect else {"title": worst.text}
    entry["backends"] = list(group)
    entry["evidence"] = {backend: one.evidence for backend, one in group.items()}
    first = next(iter(group.values()))
    entry["reproduce"] = reproduce(first.worst, folder)
    return entry

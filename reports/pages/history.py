"""The history of a backend as a page: its cells over releases, what moved first.

Guarantees what the report guarantees: it loads nothing, and no text is read as markup. It shows
the JSON of ``bce-conformance history --json`` and measures nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bce_conformance.reports.grid import UNMEASURED
from bce_conformance.results.cells import VERDICTS
from bce_conformance.results.writing import write_text

from .environment import asset, environment

ASKED = ("tier", "seed", "device", "dtype", "requirement", "requirements")
"""What a history was measured with, as far as its JSON says."""


@dataclass(frozen=True)
class Row:
    """One cell over the releases.

    Attributes:
        cell: its name.
        results: release → verdict and largest error in ULP (a number, ``inf`` or None), for those
            that were measured.
        moved: release → ``better``, ``worse`` or what else happened in it.
    """

    cell: str
    results: Mapping[str, Mapping[str, Any]]
    moved: Mapping[str, str]

    @property
    def harm(self) -> tuple[bool, int, int]:
        """How much a reader should know of it: it became worse, how deep it fell, how often."""
        seen = [VERDICTS.index(one["verdict"]) for one in self.results.values()]
        seen = [one for one in seen if VERDICTS[one] not in UNMEASURED]
        fell = max(seen) - min(seen) if seen else 0
        return "worse" in self.moved.values(), fell, len(self.moved)


def rows(document: Mapping[str, Any]) -> list[Row]:
    """The cells of a history, those that moved first, what became worse before what did not."""
    moved: dict[str, dict[str, str]] = {}
    for move in document["moves"]:
        moved.setdefault(move["cell"], {})[move["release"]] = move["moved"]
    found = [
        Row(one["cell"], one["by_release"], moved.get(one["cell"], {})) for one in document["cells"]
    ]
    return sorted(found, key=lambda row: row.harm, reverse=True)


def counts(document: Mapping[str, Any]) -> dict[str, Counter[str]]:
    """Measured release → verdict → number of cells."""
    found: dict[str, Counter[str]] = {
        one["release"]: Counter() for one in document["releases"] if one["measured"]
    }
    for cell in document["cells"]:
        for release, result in cell["by_release"].items():
            found[release][result["verdict"]] += 1
    return found


def render(document: Mapping[str, Any]) -> str:
    """Render a history as one self-contained HTML page.

    Args:
        document: what ``bce-conformance history --json`` writes.

    Returns:
        The page.

    Raises:
        ValueError: a part of it is missing, or a verdict is none; says which.
    """
    for name in ("backend", "releases", "cells", "moves"):
        if name not in document:
            raise ValueError(f"document has no {name!r}; it is what `history --json` writes")
    for cell in document["cells"]:
        for release, result in cell["by_release"].items():
            if result["verdict"] not in VERDICTS:
                where = f"{cell['cell']} in {release}"
                raise ValueError(f"{where}: {result['verdict']!r} is not one of {list(VERDICTS)}")
    every = rows(document)
    ranked = sorted(document["moves"], key=lambda move: move["moved"] != "worse")
    steps = {
        one["release"]: [move for move in ranked if move["release"] == one["release"]]
        for one in document["releases"]
    }
    return (
        environment()
        .get_template("history.html.j2")
        .render(
            document=document,
            asked={name: document[name] for name in ASKED if document.get(name) is not None},
            measured=[one for one in document["releases"] if one["measured"]],
            left_out=[one for one in document["releases"] if one.get("left_out")],
            counts=counts(document),
            verdicts=VERDICTS,
            moved=[row for row in every if row.moved],
            still=[row for row in every if not row.moved],
            steps={release: moves for release, moves in steps.items() if moves},
            style=asset("report.css"),
        )
    )


def write(document: Mapping[str, Any], path: str | Path) -> None:
    """Write the page of a history.

    Args:
        document: what ``bce-conformance history --json`` writes.
        path: the file, such as ``history.html``; replaced where it exists.

    Raises:
        OSError: it cannot be written; what was there before is there still.
        ValueError: the document is none of a history.
    """
    write_text(render(document), Path(path))

"""The comparison as a page: every cell that moved, the most harmful first, with both worst inputs.

Guarantees what the report guarantees: it loads nothing, and no text is read as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bce_conformance.reports.pages.environment import asset, environment
from bce_conformance.results.writing import write_text

from .compare import Comparison, Move, Version, differences, distance
from .findings import worst_input
from .grid import UNMEASURED

COLUMNS = ("worse", "better", "newly measured", "newly refused", "appeared", "disappeared")
"""What a backend's cells can have done, as the page counts them."""


@dataclass(frozen=True)
class Backend:
    """One backend in both runs: its versions, and how many of its cells did what."""

    version: Version
    counts: dict[str, int]

    @property
    def changed(self) -> bool:
        """Whether its version or instruction set is another one."""
        return self.version.before != self.version.after


def direction(move: Move) -> str:
    """What a cell did: one of ``COLUMNS``."""
    if move.better is not None:
        return "better" if move.better else "worse"
    if move.kind != "verdict" or move.after is None:
        return move.kind
    return "newly refused" if move.after.verdict in UNMEASURED else "newly measured"


def backends(comparison: Comparison) -> list[Backend]:
    """Every backend with what its cells did."""
    return [
        Backend(
            version,
            {
                name: sum(
                    move.place.backend == version.backend and direction(move) == name
                    for move in comparison.moves
                )
                for name in COLUMNS
            },
        )
        for version in comparison.versions
    ]


def render(comparison: Comparison) -> str:
    """Render a comparison as one self-contained HTML page.

    Args:
        comparison: what ``compare`` found.

    Returns:
        The page.
    """
    groups: dict[str, list[Move]] = {name: [] for name in COLUMNS}
    for move in comparison.moves:
        groups[direction(move)].append(move)
    every = backends(comparison)
    unlike = [name for name, *_ in differences(comparison)]
    changed = [one.version.backend for one in every if one.changed]
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            comparison=comparison,
            groups={name: moves for name, moves in groups.items() if moves},
            columns=COLUMNS,
            backends=every,
            differences=differences(comparison),
            unlike=unlike + ([f"the versions of {', '.join(changed)}"] if changed else []),
            distance=distance,
            worst_input=worst_input,
            style=asset("report.css"),
        )
    )


def write(comparison: Comparison, path: str | Path) -> None:
    """Write a comparison's page.

    Args:
        comparison: what ``compare`` found.
        path: the file, such as ``compare.html``; replaced where it exists.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    write_text(render(comparison), Path(path))

"""Narrowing: in which release each cell moved, with as few releases measured as that takes.

Guarantees that between two releases whose cells differ every release is measured that lies next to
a movement, unless it cannot be. What moves and moves back between two releases whose cells agree is
seen only where every release is measured. An error that grows little by little has moved in the
first release in which it is far enough from where it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bce_conformance.reports.compare import Move, compare
from bce_conformance.results.cells import Place
from bce_conformance.results.model import Results

Measure = Callable[[str], Results | str]
"""Measures a release, or says why it cannot be."""


@dataclass(frozen=True)
class Step:
    """The movements from one measured release to the next.

    Attributes:
        before: the release before.
        after: the one in which they were seen first.
        between: releases between them, which could not be measured: it may have been one of them.
        moves: the cells that moved.
        gradual: whether they moved little by little, over measured releases that agree in pairs.
    """

    before: str
    after: str
    between: tuple[str, ...]
    moves: tuple[Move, ...]
    gradual: bool = False


@dataclass
class History:
    """What a history has found.

    Attributes:
        releases: those that it was about, the oldest first.
        measured: release → what was measured.
        left_out: release → why it could not be.
    """

    releases: tuple[str, ...]
    measured: dict[str, Results] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def in_order(self) -> list[str]:
        """The measured releases, the oldest first."""
        return [release for release in self.releases if release in self.measured]

    def between(self, before: str, after: str) -> list[str]:
        """The releases between two of them."""
        return list(self.releases[self.releases.index(before) + 1 : self.releases.index(after)])

    def steps(self) -> list[Step]:
        """Where cells moved, the oldest release first."""
        steps: list[Step] = []
        anchors: dict[Place, str] = {}  # the release in which a cell has moved last, if it has
        for one, other in itertools.pairwise(self.in_order()):
            step = Step(one, other, tuple(self.between(one, other)), self.moves(one, other))
            anchors |= {move.place: other for move in step.moves}
            steps += [step, *self._gradual(one, other, anchors)]
        return [step for step in steps if step.moves]

    def _gradual(self, one: str, other: str, anchors: dict[Place, str]) -> list[Step]:
        """The cells that are far from their anchors for the first time, a step an anchor."""
        first = self.in_order()[0]
        between = tuple(r for r in self.between(one, other) if r in self.left_out)
        steps = []
        for anchor in sorted({first, *anchors.values()} - {one, other}, key=self.releases.index):
            moves = tuple(
                move
                for move in self.moves(anchor, other)
                if move.kind == "ulp" and anchors.get(move.place, first) == anchor
            )
            steps.append(Step(anchor, other, between, moves, gradual=True))
        anchors |= {move.place: other for step in steps for move in step.moves}
        return steps

    def moves(self, before: str, after: str) -> tuple[Move, ...]:
        """The cells that moved from one measured release to another."""
        return compare(self.measured[before], self.measured[after]).moves


def narrow(releases: Sequence[str], measure: Measure, *, every: bool = False) -> History:
    """Find the releases in which cells moved.

    Args:
        releases: the oldest first.
        measure: measures one of them.
        every: whether each is measured, not only those next to a movement.
    """
    found = History(tuple(releases))

    def measured(release: str) -> bool:
        if release not in found.measured and release not in found.left_out:
            outcome = measure(release)
            if isinstance(outcome, str):
                found.left_out[release] = outcome
            else:
                found.measured[release] = outcome
        return release in found.measured

    if every:
        for release in releases:
            measured(release)
        return found
    first = next(filter(measured, releases), None)
    last = next(filter(measured, reversed(releases)), None)
    # The release from which cells moved, and two between which they are far from it first.
    spans = [(first, first, last)] if first and last and first != last else []
    while spans:
        anchor, one, other = spans.pop()
        left = [release for release in found.between(one, other) if release not in found.left_out]
        if not left or not found.moves(anchor, other):
            continue
        middle = left[len(left) // 2]
        if not measured(middle):
            spans.append((anchor, one, other))
            continue
        if _places(found.moves(anchor, other)) - _places(
            found.moves(anchor, middle), found.moves(middle, other)
        ):
            spans.append((anchor, middle, other))  # little by little
        spans += [(middle, middle, other), (anchor, one, middle)]
    return found


def _places(*moves: Iterable[Move]) -> set[Place]:
    return {move.place for some in moves for move in some}

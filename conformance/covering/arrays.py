"""Covering arrays: few rows in which every admissible combination of some levels occurs.

Guarantees: ``cover`` returns rows in which everything occurs that ``uncovered`` looks for, which
counts by itself what occurs in rows, from wherever they are. The same space, strength, seed and
first rows give the same array on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from . import kernels
from .combinations import Combinations, Int64, Rows, Space, UInt64, all_frequent, masks, required

# How many rows are tried for each that is taken. In a space of 23 factors of 7 levels on average,
# pairs take a second of processor time, triples 14 seconds, and quadruples some minutes.
CANDIDATES = {2: 100, 3: 20, 4: 1}
_NAMES = {1: "levels", 2: "pairs", 3: "triples", 4: "quadruples"}


@dataclass(frozen=True)
class Coverage:
    """How many of the combinations that have to occur do: evidence.

    Attributes:
        strength: the number of levels in a combination.
        covered: how many occur.
        required: how many have to.

    Example:
        >>> str(Coverage(2, 14_320, 14_321))
        '14,320 of 14,321 pairs'
    """

    strength: int
    covered: int
    required: int

    @property
    def complete(self) -> bool:
        """Whether all occur."""
        return self.covered == self.required

    def __str__(self) -> str:
        name = _NAMES.get(self.strength, f"combinations of {self.strength} levels")
        return f"{self.covered:,} of {self.required:,} {name}"


def coverage(space: Space, rows: ArrayLike, strength: int) -> Coverage:
    """Count the combinations that have to occur, and those of them that do in rows.

    Args:
        space: the space of the rows.
        rows: [calls, factors], levels.
        strength: the number of levels in a combination.

    Raises:
        SpaceError: a row is not of the space or has a forbidden pair.
    """
    wanted = required(space, strength, rows)
    missing = wanted.without(space.rows(rows)).count
    return Coverage(strength, wanted.count - missing, wanted.count)


def uncovered(space: Space, rows: ArrayLike, strength: int) -> Int64:
    """Return the combinations that have to occur and do not: [n, strength, 2], (factor, level).

    Arguments and errors as of ``coverage``.
    """
    return required(space, strength, rows).without(space.rows(rows)).listed()


def cover(space: Space, strength: int, seed: int, first_rows: ArrayLike = ()) -> Rows:
    """Return few rows in which all combinations of ``strength`` levels occur that have to.

    All pairs occur as well. Few rows have a level that is ``pairwise_only``.

    Args:
        space: the factors, their levels, and which of them exclude each other.
        strength: the number of levels in a combination, at least 2.
        seed: other rows for each.
        first_rows: [calls, factors], rows that the array begins with.

    Returns:
        [calls, factors], the level of each factor in each call.

    Raises:
        SpaceError: there are fewer factors, or a first row is not of the space.

    Example:
        >>> cover(Space((2, 2, 2)), 2, seed=0).shape
        (4, 3)
    """
    random, every = np.array([seed], np.uint64), space.levels.every
    frequent = masks(np.flatnonzero(flags) for flags in space.frequent)
    pairs = required(space, 2)
    expensive = Combinations(pairs.numbering, pairs.flags & ~all_frequent(space, 2))
    rows = _extended(space.rows(first_rows), space, expensive, every, random)
    rows = _extended(rows, space, required(space, strength), frequent, random)
    return _extended(rows, space, pairs, frequent, random)


def _extended(
    rows: Rows, space: Space, needed: Combinations, domains: UInt64, random: UInt64
) -> Rows:
    """Add rows until all that is needed occurs, with levels of the domains where possible."""
    left, sets = needed.without(rows).flags, needed.numbering.sets
    counts = np.add.reduceat(left, sets.first, dtype=np.int64)
    candidates = CANDIDATES.get(sets.factors.shape[1], 1)
    more = kernels.cover(
        kernels.Wanted(left, counts, sets), domains, candidates, space.levels, random
    )
    return np.concatenate([rows, more.astype(np.int8)])

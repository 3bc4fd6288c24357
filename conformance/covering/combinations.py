"""Combinations of levels of different factors, and which of them a call can have.

A space has factors; each factor has levels, numbered from 0. A row is one level of every factor. A
row is admissible when no forbidden pair of levels occurs in it, and a combination is admissible
when an admissible row contains it. That is decided exactly, by search: a combination without a
forbidden pair is not admissible when it leaves no level to a third factor, or to several together.

Guarantees: everything depends on the space alone, never on a random number or the order of a set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, reduce
from hashlib import sha256
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import kernels
from .kernels import Levels, Sets

Bools = NDArray[np.bool_]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
Rows = NDArray[np.int8]  # [calls, factors]: the level of each factor in each call
Level = tuple[int, int]  # (factor, level)

MOST_FACTORS = 64  # a set of factors is a mask of 64 bits
MOST_LEVELS = 36  # a level is one character of a file (files.py), a set of levels a mask


class SpaceError(ValueError):
    """A space that cannot be, or a row that is not of the space."""


@dataclass(frozen=True)
class Space:
    """Factors and their levels, less the pairs of levels that exclude each other.

    Args:
        sizes: the number of levels of each factor.
        forbidden: pairs of levels, each (factor, level), of which no row may have both; the order
            within a pair does not matter.
        pairwise_only: levels that have to occur in all pairs but not in larger combinations, since
            a call that has one is expensive.

    Raises:
        SpaceError: a factor or level does not exist, a forbidden pair is of one factor, or there
            is no admissible row.

    Example:
        >>> space = Space((2, 2, 2), frozenset({((0, 1), (1, 1))}))
        >>> admissible(space, 2).count
        11
    """

    sizes: tuple[int, ...]
    forbidden: frozenset[tuple[Level, Level]] = field(default=frozenset())
    pairwise_only: frozenset[Level] = field(default=frozenset())

    def __post_init__(self) -> None:
        sizes = tuple(int(size) for size in self.sizes)
        pairs = frozenset((min(pair), max(pair)) for pair in self.forbidden)
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "forbidden", pairs)
        object.__setattr__(self, "pairwise_only", frozenset(self.pairwise_only))
        self._require_factors()
        self._require_levels("forbidden", (level for pair in pairs for level in pair))
        self._require_levels("pairwise_only", self.pairwise_only)
        if not kernels.completes(self.levels.every, np.uint64(0), self.levels):
            raise SpaceError("forbidden leaves no row: every row has a forbidden pair")

    def _require_factors(self) -> None:
        if not 1 <= len(self.sizes) <= MOST_FACTORS:
            raise SpaceError(f"sizes has {len(self.sizes)} factors, not 1 to {MOST_FACTORS}")
        if not all(1 <= size <= MOST_LEVELS for size in self.sizes):
            raise SpaceError(f"sizes is {self.sizes}; a factor has 1 to {MOST_LEVELS} levels")
        for one, other in self.forbidden:
            if one[0] == other[0]:
                raise SpaceError(f"forbidden has {one, other}; a pair is of different factors")

    def _require_levels(self, argument: str, levels: Iterable[Level]) -> None:
        for factor, level in levels:
            if not (0 <= factor < len(self.sizes) and 0 <= level < self.sizes[factor]):
                sizes = self.sizes
                raise SpaceError(f"{argument} has {factor, level}, no level where sizes is {sizes}")

    @cached_property
    def digest(self) -> str:
        """A digest of all that a covering array depends on, 16 hexadecimal digits."""
        parts = (self.sizes, sorted(self.forbidden), sorted(self.pairwise_only))
        return sha256(repr(parts).encode()).hexdigest()[:16]

    @cached_property
    def levels(self) -> Levels:
        """The tables that the kernels search with."""
        sizes = np.array(self.sizes, np.int64)
        offsets = np.cumsum(sizes) - sizes
        every = masks(range(size) for size in self.sizes)
        constrained = {factor for pair in self.forbidden for factor, _ in pair}
        return Levels(
            sizes=sizes,
            largest=np.argsort(-sizes, kind="stable"),
            offsets=offsets,
            every=every,
            compatible=_compatible(self, every, offsets),
            constrained=np.array(sorted(constrained), np.int64),
        )

    @cached_property
    def frequent(self) -> list[Bools]:
        """A flag for each level of each factor: whether it is not ``pairwise_only``."""
        return [
            np.array([(factor, level) not in self.pairwise_only for level in range(size)])
            for factor, size in enumerate(self.sizes)
        ]

    def rows(self, rows: ArrayLike) -> Rows:
        """Return rows as an array [calls, factors].

        Raises:
            SpaceError: they have another shape or a level that does not exist, or one has a
                forbidden pair.
        """
        found = np.asarray(rows)
        if not found.size:
            return np.empty((0, len(self.sizes)), np.int8)
        if found.ndim != 2 or found.shape[1] != len(self.sizes):
            raise SpaceError(f"rows has shape {found.shape}, not [calls, {len(self.sizes)} levels]")
        outside = (found < 0) | (found >= np.array(self.sizes))
        for call, factor in np.argwhere(outside)[:1]:
            level, size = found[call, factor], self.sizes[factor]
            raise SpaceError(f"row {call} has level {level} of factor {factor}, which has {size}")
        for one, other in sorted(self.forbidden):
            both = (found[:, one[0]] == one[1]) & (found[:, other[0]] == other[1])
            if both.any():
                raise SpaceError(f"row {both.argmax()} has the forbidden pair {one}, {other}")
        return found.astype(np.int8)


def masks(levels: Iterable[Iterable[int]]) -> UInt64:
    """Return a mask of levels for each factor."""
    return np.array(
        [sum(1 << int(level) for level in of_factor) for of_factor in levels], np.uint64
    )


def _compatible(space: Space, every: UInt64, offsets: Int64) -> UInt64:
    """Return for each level a mask of the levels of each factor that may stand beside it."""
    masks = np.tile(every, (sum(space.sizes), 1))
    for factor, size in enumerate(space.sizes):
        masks[offsets[factor] : offsets[factor] + size, factor] = [1 << n for n in range(size)]
    for one, other in space.forbidden:
        for (factor, level), (beside, excluded) in ((one, other), (other, one)):
            masks[offsets[factor] + level, beside] &= ~np.uint64(1 << excluded)
    return masks


@dataclass(frozen=True)
class Numbering:
    """A number for each combination of levels of ``strength`` different factors.

    The combinations of the same factors have successive numbers, in lexicographic order.
    """

    sets: Sets
    total: int

    def combinations(self, numbers: Int64) -> Int64:
        """Return the combinations of numbers: [n, strength, 2], each a (factor, level)."""
        chosen = np.searchsorted(self.sets.first, numbers, side="right") - 1
        factors, strides = self.sets.factors[chosen], self.sets.strides[chosen]
        rest = numbers - self.sets.first[chosen]
        levels = np.empty_like(factors)
        for column in range(factors.shape[1]):
            levels[:, column], rest = np.divmod(rest, strides[:, column])
        return np.stack([factors, levels], axis=-1)

    def occurring(self, rows: Rows) -> Bools:
        """Tell which combinations occur in rows: a flag for each number."""
        occurs = np.zeros(self.total, np.bool_)
        columns = np.ascontiguousarray(rows.T, dtype=np.int64)
        for factors, strides, first in zip(*self.sets[:3], strict=True):
            occurs[strides @ columns[factors] + first] = True
        return occurs


@lru_cache(maxsize=16)
def numbering(sizes: tuple[int, ...], strength: int) -> Numbering:
    """Return the numbering of the combinations of ``strength`` levels.

    Raises:
        SpaceError: there are fewer factors.
    """
    if not 1 <= strength <= len(sizes):
        raise SpaceError(f"strength is {strength}; a space of {len(sizes)} factors has no such")
    factors = np.array(list(combinations(range(len(sizes)), strength)))
    counts = np.array(sizes)[factors]
    ends = np.cumsum(counts.prod(axis=1))
    strides = np.ones_like(counts)
    strides[:, :-1] = np.cumprod(counts[:, :0:-1], axis=1)[:, ::-1]
    members = np.bitwise_or.reduce(np.uint64(1) << factors.astype(np.uint64), axis=1)
    containing = [np.flatnonzero((factors == factor).any(axis=1)) for factor in range(len(sizes))]
    first = np.concatenate([[0], ends[:-1]])
    return Numbering(Sets(factors, strides, first, members, np.array(containing)), int(ends[-1]))


@dataclass(frozen=True)
class Combinations:
    """A set of combinations: a flag for each number of a numbering."""

    numbering: Numbering
    flags: Bools

    @property
    def count(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self.flags))

    def listed(self) -> Int64:
        """Return all: [count, strength, 2], each a (factor, level); by factors, then levels."""
        return self.numbering.combinations(np.flatnonzero(self.flags))

    def without(self, rows: Rows) -> Combinations:
        """Return those that do not occur in rows."""
        return Combinations(self.numbering, self.flags & ~self.numbering.occurring(rows))


_decided: dict[tuple[Space, int], Combinations] = {}


def admissible(space: Space, strength: int, rows: ArrayLike = ()) -> Combinations:
    """Return the combinations of ``strength`` levels that occur in some admissible row.

    Args:
        space: the factors, their levels, and which of them exclude each other.
        strength: the number of levels in a combination.
        rows: [calls, factors]; does not change the result, but spares the search for rows that
            have the combinations that occur in these.

    Raises:
        SpaceError: there are fewer factors, or a row is not of the space.
    """
    if (space, strength) not in _decided:
        numbers = numbering(space.sizes, strength)
        flags = numbers.occurring(space.rows(rows))
        kernels.mark_admissible(flags, numbers.sets, space.levels)
        _decided[space, strength] = Combinations(numbers, flags)
    return _decided[space, strength]


def required(space: Space, strength: int, rows: ArrayLike = ()) -> Combinations:
    """Return the combinations that have to occur: the admissible ones, less expensive ones.

    Those of more than two levels are less by the ones with a level that is ``pairwise_only``.
    Arguments and errors as of ``admissible``.
    """
    found = admissible(space, strength, rows)
    if strength <= 2 or not space.pairwise_only:
        return found
    return Combinations(found.numbering, found.flags & all_frequent(space, strength))


def all_frequent(space: Space, strength: int) -> Bools:
    """Tell which combinations have no ``pairwise_only`` level: a flag for each number."""
    flags = (
        reduce(np.logical_and.outer, (space.frequent[factor] for factor in factors)).ravel()
        for factors in combinations(range(len(space.sizes)), strength)
    )
    return np.concatenate(list(flags))

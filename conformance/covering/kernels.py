"""The loops of covering arrays, compiled: searching for rows, and choosing them.

All are in this one file, since Numba looks at no other to see whether compiled code is stale.
Levels of all factors are numbered through: level ``l`` of factor ``f`` is ``offsets[f] + l``. A set
of levels of one factor is a mask. ``domains`` [factors] has such a set for each factor: what may
still be chosen for a row.

Guarantees: whole numbers only, and a random generator of its own, so that the same seed gives the
same rows on every machine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bce_conformance.reference.fast.compiled import inlined, kernel

Bools = NDArray[np.bool_]
Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]


class Levels(NamedTuple):
    """Which levels there are, and which may stand beside each other.

    Attributes:
        sizes: [factors], the number of levels.
        largest: the factors, those with the most levels first.
        offsets: [factors], the number of level 0 among the levels of all factors.
        every: [factors], a mask of all levels of each.
        compatible: [levels, factors], for each level a mask of the levels of each factor that may
            stand beside it; of its own factor, that level alone.
        constrained: the factors of which some level excludes another.
    """

    sizes: Int64
    largest: Int64
    offsets: Int64
    every: UInt64
    compatible: UInt64
    constrained: Int64


class Sets(NamedTuple):
    """The sets of ``strength`` factors and the numbers of their combinations.

    Attributes:
        factors: [sets, strength], ascending.
        strides: [sets, strength]; a combination is ``first + (levels * strides).sum()``.
        first: [sets].
        members: [sets], the factors of each set as a mask.
        containing: [factors, sets that contain the factor].
    """

    factors: Int64
    strides: Int64
    first: Int64
    members: UInt64
    containing: Int64


class Wanted(NamedTuple):
    """The combinations that have yet to occur.

    Attributes:
        flags: one for each combination.
        counts: [sets], how many flags of each set are true.
        sets: the sets of factors.
    """

    flags: Bools
    counts: Int64
    sets: Sets


# --- masks and random numbers ----------------------------------------------------------------


@inlined
def _bit(index: Any) -> Any:
    return np.uint64(1) << np.uint64(index)


@inlined
def _count(mask: Any) -> Any:
    """Return how many bits are set (Warren, Hacker's Delight, 5-1)."""
    mask -= (mask >> np.uint64(1)) & np.uint64(0x5555555555555555)
    mask = (mask & np.uint64(0x3333333333333333)) + (
        (mask >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    mask = (mask + (mask >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (mask * np.uint64(0x0101010101010101)) >> np.uint64(56)


@inlined
def _lowest(mask: Any) -> Any:
    """Return the index of the lowest bit that is set."""
    return np.int64(_count((mask & (~mask + np.uint64(1))) - np.uint64(1)))


@inlined
def _below(limit: Any, random: Any) -> Any:
    """Draw a number below a limit (SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    random[0] += np.uint64(0x9E3779B97F4A7C15)
    bits = random[0]
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((bits ^ (bits >> np.uint64(31))) >> np.uint64(33)) % limit


@kernel()
def _shuffle(values: Int64, random: UInt64) -> None:
    for index in range(len(values) - 1, 0, -1):
        other = _below(index + 1, random)
        values[index], values[other] = values[other], values[index]


# --- searching for a row -----------------------------------------------------------------------


@kernel()
def _narrowest(domains: UInt64, done: np.uint64, constrained: Int64) -> int:
    """Return the factor with the fewest levels to choose among; −1: none is left to choose."""
    found, fewest = -1, np.uint64(65)
    for factor in constrained:
        if done & _bit(factor):
            continue
        count = _count(domains[factor])
        if count < fewest:
            found, fewest = factor, count
            if count <= 1:
                break
    return found


@kernel()
def completes(domains: UInt64, fixed: np.uint64, levels: Levels) -> bool:
    """Tell whether some row has a level of each domain and no two that exclude each other.

    ``fixed`` is a mask of factors with one level each, which has narrowed the domains already.
    Depth first, with forward checking: a chosen level narrows the domains of all factors.
    """
    depths = len(levels.constrained) + 1
    stack = np.empty((depths, len(domains)), np.uint64)
    chosen = np.empty(depths, np.int64)
    untried, done = np.zeros(depths, np.uint64), np.zeros(depths, np.uint64)
    stack[0], done[0] = domains, fixed
    if not domains.all():
        return False
    depth = 0
    while True:
        factor = _narrowest(stack[depth], done[depth], levels.constrained)
        if factor < 0:
            return True
        chosen[depth], untried[depth] = factor, stack[depth, factor]
        while not untried[depth]:
            depth -= 1
            if depth < 0:
                return False
        factor, level = chosen[depth], _lowest(untried[depth])
        untried[depth] &= untried[depth] - np.uint64(1)
        stack[depth + 1] = stack[depth] & levels.compatible[levels.offsets[factor] + level]
        done[depth + 1] = done[depth] | _bit(factor)
        depth += 1


@kernel()
def _levels_of(number: int, chosen: int, sets: Sets, row: Int64) -> None:
    """Write the levels of a combination into a row."""
    rest = number - sets.first[chosen]
    for column in range(sets.factors.shape[1]):
        row[sets.factors[chosen, column]] = rest // sets.strides[chosen, column]
        rest %= sets.strides[chosen, column]


@kernel()
def _narrowed(chosen: int, row: Int64, domains: UInt64, sets: Sets, levels: Levels) -> UInt64:
    """Return the domains that the levels of a row leave, for the factors of a set."""
    left = domains.copy()
    for factor in sets.factors[chosen]:
        left &= levels.compatible[levels.offsets[factor] + row[factor]]
    return left


@kernel()
def mark_admissible(flags: Bools, sets: Sets, levels: Levels) -> None:
    """Set the flag of each combination that some row contains; those that are set remain so."""
    row = np.zeros(len(levels.sizes), np.int64)
    for chosen in range(len(sets.first)):
        end = len(flags) if chosen + 1 == len(sets.first) else sets.first[chosen + 1]
        for number in range(sets.first[chosen], end):
            if flags[number]:
                continue
            _levels_of(number, chosen, sets, row)
            domains = _narrowed(chosen, row, levels.every, sets, levels)
            flags[number] = completes(domains, sets.members[chosen], levels)


# --- choosing rows -----------------------------------------------------------------------------


@kernel()
def _number(chosen: int, row: Int64, sets: Sets) -> int:
    """Return the number of a row's combination of the factors of a set."""
    number = int(sets.first[chosen])
    for column in range(sets.factors.shape[1]):
        number += row[sets.factors[chosen, column]] * sets.strides[chosen, column]
    return number


@kernel()
def _weigh(factor: int, row: Int64, fixed: np.uint64, wanted: Wanted, gains: Int64) -> None:
    """Weigh each level of a factor by the wanted combinations that it makes with fixed levels.

    A combination weighs as many as are wanted of its set of factors: where many are left, many
    rows are needed, as each row has but one of them.
    """
    sets = wanted.sets
    gains[:] = 0
    for chosen in sets.containing[factor]:
        weight = wanted.counts[chosen]
        if weight == 0 or sets.members[chosen] & ~fixed & ~_bit(factor):
            continue
        number, stride = sets.first[chosen], np.int64(0)
        for column in range(sets.factors.shape[1]):
            if sets.factors[chosen, column] == factor:
                stride = sets.strides[chosen, column]
            else:
                number += row[sets.factors[chosen, column]] * sets.strides[chosen, column]
        for level in range(len(gains)):
            gains[level] += wanted.flags[number + level * stride] * weight


@kernel()
def _heaviest(gains: Int64, allowed: np.uint64, random: UInt64) -> int:
    """Return the allowed level that weighs most, one at random where several do."""
    found, ties = -1, 0
    for level in range(len(gains)):
        if not allowed & _bit(level) or (found >= 0 and gains[level] < gains[found]):
            continue
        ties = ties + 1 if found >= 0 and gains[level] == gains[found] else 1
        if _below(ties, random) == 0:
            found = level
    return found


@kernel()
def _fill(
    row: Int64, fixed: np.uint64, domains: UInt64, wanted: Wanted, levels: Levels, random: UInt64
) -> None:
    """Choose a level of each factor that is not fixed, such that a row remains possible."""
    for factor in levels.largest:
        if fixed & _bit(factor):
            continue
        gains = np.empty(levels.sizes[factor], np.int64)
        _weigh(factor, row, fixed, wanted, gains)
        while True:
            level = _heaviest(gains, domains[factor], random)
            left = domains & levels.compatible[levels.offsets[factor] + level]
            if completes(left, fixed | _bit(factor), levels):
                break
            domains[factor] &= ~_bit(level)
        row[factor] = level
        domains[:] = left
        fixed |= _bit(factor)


@kernel()
def _allowed(factor: int, row: Int64, domain: np.uint64, levels: Levels) -> np.uint64:
    """Return the levels of a factor that may stand beside a row's levels of the others."""
    for other in range(len(row)):
        if other != factor:
            domain &= levels.compatible[levels.offsets[other] + row[other], factor]
    return domain


@kernel()
def _improve(
    row: Int64, domains: UInt64, wanted: Wanted, levels: Levels, order: Int64, random: UInt64
) -> bool:
    """Choose each factor's level anew beside those of all others; tell whether the row changed."""
    changed = False
    _shuffle(order, random)
    for factor in order:
        allowed = _allowed(factor, row, domains[factor], levels) | _bit(row[factor])
        gains = np.empty(levels.sizes[factor], np.int64)
        _weigh(factor, row, ~np.uint64(0), wanted, gains)
        level = _heaviest(gains, allowed, random)
        if gains[level] > gains[row[factor]]:
            row[factor], changed = level, True
    return changed


@kernel()
def _candidate(
    number: int, domains: UInt64, wanted: Wanted, levels: Levels, order: Int64, random: UInt64
) -> Int64:
    """Return a row with a wanted combination, better than all that differ in one level.

    Levels outside of the domains are chosen only where the combination allows no row without.
    """
    row = np.zeros(len(domains), np.int64)
    chosen = np.searchsorted(wanted.sets.first, number, side="right") - 1
    _levels_of(number, chosen, wanted.sets, row)
    left = _narrowed(chosen, row, domains, wanted.sets, levels)
    if not completes(left, wanted.sets.members[chosen], levels):
        left = _narrowed(chosen, row, levels.every, wanted.sets, levels)
    _fill(row, wanted.sets.members[chosen], left, wanted, levels, random)
    while _improve(row, domains, wanted, levels, order, random):
        pass
    return row


@kernel()
def _worth(row: Int64, wanted: Wanted) -> int:
    """Weigh the wanted combinations of a row."""
    worth = 0
    for chosen in range(len(wanted.sets.first)):
        worth += wanted.flags[_number(chosen, row, wanted.sets)] * wanted.counts[chosen]
    return worth


@kernel()
def _take(row: Int64, wanted: Wanted) -> None:
    """Want a row's combinations no longer."""
    for chosen in range(len(wanted.sets.first)):
        number = _number(chosen, row, wanted.sets)
        wanted.counts[chosen] -= wanted.flags[number]
        wanted.flags[number] = False


@kernel()
def _best_candidate(
    queue: Int64,
    candidates: int,
    domains: UInt64,
    wanted: Wanted,
    levels: Levels,
    order: Int64,
    random: UInt64,
) -> Int64:
    """Return the best of the rows that begin with the first wanted combinations of a queue."""
    best, most, tried = np.zeros(len(domains), np.int64), np.int64(0), 0
    for number in queue:
        if not wanted.flags[number]:
            continue
        row = _candidate(number, domains, wanted, levels, order, random)
        worth = _worth(row, wanted)
        if worth > most:
            best, most = row, worth
        tried += 1
        if tried == candidates:
            break
    return best


@kernel()
def cover(
    wanted: Wanted, domains: UInt64, candidates: int, levels: Levels, random: UInt64
) -> Int64:
    """Choose rows until nothing is wanted: [rows, factors].

    One row after the other, each the best of some candidates (Cohen, Dalal, Fredman and Patton,
    IEEE Trans. Softw. Eng. 23 (7), 1997: AETG), improved level by level.
    """
    queue, order = np.flatnonzero(wanted.flags), np.arange(len(domains))
    _shuffle(queue, random)
    rows, used = np.empty((64, len(domains)), np.int64), 0
    while True:
        left = wanted.counts.sum()
        if left == 0:
            return rows[:used]
        if 2 * left < len(queue):
            queue = queue[wanted.flags[queue]]
        if used == len(rows):
            rows = np.concatenate((rows, np.empty_like(rows)))
        best = _best_candidate(queue, candidates, domains, wanted, levels, order, random)
        _take(best, wanted)
        rows[used] = best
        used += 1

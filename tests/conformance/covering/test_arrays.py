"""Covering arrays: what is counted and covered is what brute force finds, in random spaces."""

from collections.abc import Iterable
from itertools import combinations, product
from random import Random

import numpy as np
import pytest

from bce_conformance.conformance.covering.arrays import cover, coverage, uncovered
from bce_conformance.conformance.covering.combinations import (
    Level,
    Space,
    SpaceError,
    admissible,
    required,
)

Row = tuple[int, ...]
Combination = tuple[Level, ...]
SEEDS = range(60)


def random_space(seed: int) -> Space:
    """A space of three to six factors; a third have expensive levels, some forbid a lot."""
    random = Random(seed)
    sizes = tuple(random.randint(1, 4) for _ in range(random.randint(3, 6)))
    levels = [(factor, level) for factor, size in enumerate(sizes) for level in range(size)]
    pairs = [pair for pair in combinations(levels, 2) if pair[0][0] != pair[1][0]]
    forbidden = random.sample(pairs, int(len(pairs) * random.choice((0, 0.1, 0.3, 0.5))))
    expensive = random.sample(levels, len(levels) // 4) if seed % 3 == 0 else []
    try:
        return Space(sizes, frozenset(forbidden), frozenset(expensive))
    except SpaceError:
        assert not list(admissible_rows(sizes, frozenset(forbidden)))
        return random_space(seed + 1000)


def admissible_rows(
    sizes: tuple[int, ...], forbidden: Iterable[tuple[Level, Level]]
) -> Iterable[Row]:
    for row in product(*map(range, sizes)):
        if not any(row[f] == a and row[g] == b for (f, a), (g, b) in forbidden):
            yield row


def occurring(rows: Iterable[Row], strength: int) -> set[Combination]:
    return {chosen for row in rows for chosen in combinations(enumerate(row), strength)}


def found(listed: np.ndarray) -> list[Combination]:
    return [tuple((int(f), int(level)) for f, level in chosen) for chosen in listed]


def in_order(chosen: Iterable[Combination]) -> list[Combination]:
    """By the factors, then by the levels."""
    return sorted(chosen, key=lambda one: tuple(zip(*one, strict=True)))


def expected(space: Space, strength: int) -> set[Combination]:
    """What an array of this strength has to have, by brute force."""
    every = occurring(admissible_rows(space.sizes, space.forbidden), strength)
    if strength <= 2:
        return every
    return {chosen for chosen in every if not space.pairwise_only & set(chosen)}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_combination_is_admissible_where_a_row_has_it(seed: int) -> None:
    space = random_space(seed)
    for strength in range(1, min(4, len(space.sizes)) + 1):
        every = occurring(admissible_rows(space.sizes, space.forbidden), strength)
        assert found(admissible(space, strength).listed()) == in_order(every)
        assert admissible(space, strength).count == len(every)
        assert found(required(space, strength).listed()) == in_order(expected(space, strength))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_has_to_occur_occurs(seed: int) -> None:
    space = random_space(seed)
    for strength in range(2, min(4, len(space.sizes)) + 1):
        array = cover(space, strength, seed)
        rows = [tuple(map(int, row)) for row in array]
        assert set(rows) <= set(admissible_rows(space.sizes, space.forbidden))
        for size in (2, strength):
            assert expected(space, size) <= occurring(rows, size)
            assert coverage(space, array, size).complete
            assert not len(uncovered(space, array, size))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_left_out_is_noticed(seed: int) -> None:
    space = random_space(seed)
    array = cover(space, 2, seed)
    for left_out in range(len(array)):
        kept = np.delete(array, left_out, axis=0)
        missing = expected(space, 2) - occurring([tuple(map(int, row)) for row in kept], 2)
        assert found(uncovered(space, kept, 2)) == in_order(missing)
        evidence = coverage(space, kept, 2)
        assert evidence.required - evidence.covered == len(missing)
    assert not coverage(space, array[:-1], 2).complete  # the last was added for a reason


def test_the_random_spaces_are_hard_enough() -> None:
    """In some, a combination is impossible though none of its pairs is forbidden."""
    spaces = [random_space(seed) for seed in SEEDS]
    assert sum(admissible(space, 2).count < _unforbidden_pairs(space) for space in spaces) >= 10


def _unforbidden_pairs(space: Space) -> int:
    pairs = combinations(space.sizes, 2)
    return sum(one * other for one, other in pairs) - len(space.forbidden)


def test_impossible_by_a_third_factor() -> None:
    # Level 0 of factors 0 and 1 leaves factor 2 nothing: each forbids one of its two levels.
    space = Space((2, 2, 2), frozenset({((0, 0), (2, 0)), ((1, 0), (2, 1))}))
    assert ((0, 0), (1, 0)) not in found(admissible(space, 2).listed())
    assert admissible(space, 2).count == 12 - 2 - 1


def test_impossible_by_several_factors_together() -> None:
    # Level 0 of factor 0 leaves factors 1 to 3 two levels each, of which no two may be the same.
    clash = {((f, level), (g, level)) for f, g in ((1, 2), (1, 3), (2, 3)) for level in range(3)}
    space = Space((2, 3, 3, 3), frozenset(clash | {((0, 0), (f, 2)) for f in (1, 2, 3)}))
    assert found(admissible(space, 1).listed())[0] == ((0, 1),)


def test_expensive_levels_are_rare() -> None:
    sizes = (6, 5, 5, 5, 5)
    cheap, dear = Space(sizes), Space(sizes, pairwise_only=frozenset({(0, 5)}))
    assert np.count_nonzero(cover(cheap, 3, 0)[:, 0] == 5) >= 25
    assert np.count_nonzero(cover(dear, 3, 0)[:, 0] == 5) < 12


def test_few_rows() -> None:
    # No row has two pairs of the same factors, and 3^13 is known to take 15 rows at least.
    assert len(cover(Space((9, 8, 7, 6, 5)), 2, 0)) <= 76
    assert len(cover(Space((3,) * 13), 2, 0)) <= 20


def test_the_seed_decides() -> None:
    space = random_space(7)
    assert np.array_equal(cover(space, 2, 1), cover(space, 2, 1))
    big = Space((4, 4, 4, 4))
    assert not np.array_equal(cover(big, 2, 1), cover(big, 2, 2))


def test_an_array_begins_with_the_first_rows() -> None:
    space = Space((3, 3, 3, 3), frozenset({((0, 0), (1, 0))}))
    first = cover(space, 2, 0)
    array = cover(space, 3, 0, first_rows=first)
    assert np.array_equal(array[: len(first)], first)
    assert coverage(space, array, 3).complete
    assert np.array_equal(cover(space, 2, 5, first_rows=first), first)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "0 factors, not 1 to 64"),
        (((2, 0),), r"sizes is \(2, 0\)"),
        (((2, 2), {((0, 0), (0, 1))}), "a pair is of different factors"),
        (((2, 2), {((0, 0), (1, 2))}), r"forbidden has \(1, 2\), no level"),
        (((2, 2), {((0, 0), (-1, 0))}), r"forbidden has \(-1, 0\), no level"),
        (((2, 2), frozenset(), {(2, 0)}), r"pairwise_only has \(2, 0\), no level"),
        (((1, 1), {((0, 0), (1, 0))}), "every row has a forbidden pair"),
    ],
)
def test_a_space_that_cannot_be(arguments: tuple, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Space(*arguments)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 0, 0]], r"rows has shape \(1, 3\), not \[calls, 2 levels\]"),
        ([[0, 0], [0, 2]], "row 1 has level 2 of factor 1, which has 2"),
        ([[0, -1]], "row 0 has level -1"),
        ([[1, 1], [0, 1]], r"row 1 has the forbidden pair \(0, 0\), \(1, 1\)"),
    ],
)
def test_rows_that_are_not_of_the_space(rows: list, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        coverage(Space((2, 2), frozenset({((0, 0), (1, 1))})), rows, 2)


def test_more_levels_than_factors() -> None:
    with pytest.raises(SpaceError, match="strength is 3; a space of 2 factors has no such"):
        cover(Space((2, 2)), 3, 0)


def test_evidence() -> None:
    space = Space((40 // 2, 20, 20))
    array = cover(space, 2, 0)
    assert str(coverage(space, array, 2)) == "1,200 of 1,200 pairs"
    assert str(coverage(space, array[:1], 3)) == "1 of 8,000 triples"

"""Shapes of drawn calls: of each level of the factors about shapes, many.

Guarantees that the lengths at which loops change are met, and those beside them: multiples of
vectors, warps, blocks and chunks, powers of two, indices beyond 16, 18 and 20 bits.
"""

from __future__ import annotations

from itertools import combinations
from math import prod

import numpy as np

from .factors import Combination

Shape = tuple[int, ...]
Random = np.random.Generator

DISTINCT = 127  # elements of a call that differ, a prime: no row of a matrix is like another
LARGE_FROM = 65_536  # elements
_WIDTHS = (8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129)
SMALL = 999  # the most elements of the size ``small``
_BLOCK = 1_024
_HUGE = 2**18  # elements, from which on a size is ``huge``
_FEW = range(2, 9)  # elements beside a side of a block or more
_MANY_ROWS = 65_536
_PROPOSALS = 1_000  # many more than are needed
_WITH_ONE = ("column", "row")


def shape_of(levels: Combination, random: Random) -> Shape:
    """A shape of the levels of the factors ``shape`` and ``size``.

    Raises:
        ValueError: the levels do not go together.
    """
    if levels["size"] == "small":
        return _small(levels["shape"], random)
    for _ in range(_PROPOSALS):
        repeats = "overlapping" in levels.values()
        found = _proposed(levels["shape"], levels["size"], repeats, random)
        if size_of(found) == levels["size"] and (1 not in found or levels["shape"] in _WITH_ONE):
            return found
    raise ValueError(f"size is {levels['size']!r}, which does not go with {levels['shape']!r}")


def size_of(shape: Shape) -> str:
    """The level of the factor ``size`` that a shape has."""
    elements, rows = prod(shape), shape[0] if len(shape) > 1 else 1
    beyond = "huge" if elements >= _HUGE else "many rows" if rows >= _MANY_ROWS else "large"
    by_condition = {
        "small": elements <= SMALL,
        beyond: elements >= LARGE_FROM,
        "square": len(shape) == 2 and rows == shape[1],
        "tall": rows >= _BLOCK and elements // rows in _FEW,
        "wide": len(shape) > 1 and shape[-1] >= _BLOCK and elements // shape[-1] in _FEW,
        "blocks": elements % _BLOCK == 0,
        "beside blocks": elements % _BLOCK in (1, _BLOCK - 1),
        "rest": True,
    }
    return next(level for level, holds in by_condition.items() if holds)


def _small(level: str, random: Random) -> Shape:
    side = _either(random, int(random.integers(2, 40)), length(random, 2, SMALL))
    by_level = {
        "0-d": (),
        "one": (1,) * int(random.integers(1, 5)),
        "few": (int(random.integers(2, 8)),),
        "vector": (_either(random, int(random.choice(_WIDTHS)), length(random, 8, SMALL)),),
        "column": (side, 1),
        "row": (1, side),
        "matrix": _matrix(random),
        "3-d": _sides(random, 3, 5),
        "4-d": _sides(random, 4, 4),
        "5-d": _sides(random, 5, 3),
        "6-d": _sides(random, int(random.integers(6, 9)), 2),
        "empty": ((0,), (0, 3), (3, 0), (2, 0, 3))[random.integers(4)],
    }
    return by_level[level]


def length(random: Random, least: int, most: int) -> int:
    """A number from ``least`` to ``most``: often a multiple of a power of two, or one beside it."""
    kind = random.random()
    powers = [2**k for k in range(1, 12) if 2**k <= most]
    if kind < 0.4 or not powers:
        return int(random.integers(least, most + 1))
    power = int(random.choice(powers[-6:]))
    found = power * int(random.integers(1, most // power + 1))
    beside = int(random.integers(-1, 2)) if kind > 0.8 else 0
    return int(np.clip(found + beside, least, most))


def _either(random: Random, one: int, other: int) -> int:
    return one if random.random() < 0.5 else other


def _matrix(random: Random) -> Shape:
    kind = random.random()
    if kind < 0.4:
        return int(random.integers(2, 10)), int(random.integers(2, 10))
    if kind < 0.55:
        return (int(random.integers(2, 32)),) * 2
    columns = length(random, 2, 256)
    rows = max(2, min(length(random, 2, 256), SMALL // columns))
    return (rows, columns) if random.random() < 0.5 else (columns, rows)


def _sides(random: Random, count: int, largest: int) -> Shape:
    """A shape of some dimensions, one of them of length 1 at times, or a long one."""
    drawn = [int(side) for side in random.integers(2, largest + 1, count)]
    at = int(random.integers(count))
    if random.random() < 0.2:
        drawn[max(at, 1)] = 1
    elif random.random() < 0.6:
        drawn[at] = 1
        drawn[at] = length(random, 2, max(2, SMALL // prod(drawn)))
    return tuple(drawn)


def _proposed(shape: str, size: str, repeats: bool, random: Random) -> Shape:
    """A shape that may be of a size: one dimension, or several with one of rows and one more."""
    elements = _elements(size, random)
    if shape in ("vector", "column", "row"):
        return {"vector": (elements,), "column": (elements, 1), "row": (1, elements)}[shape]
    between = {"matrix": 0, "3-d": 1, "4-d": 2, "5-d": 3, "6-d": int(random.integers(4, 7))}[shape]
    if size in ("blocks", "beside blocks"):
        return _factors(elements, between + 2, random)
    if size == "square":
        return (int(random.integers(48, 111)),) * 2
    if size == "many rows":
        return elements, int(random.integers(2, 4))
    if size in ("tall", "wide"):
        few = int(random.integers(3, 9)) if not between else 2 ** (between + 1)
        sides, longest = _factors(few, between + 1, random), length(random, _BLOCK, 1_600)
        if not repeats and random.random() < 0.25:
            longest = int(random.integers(longest, (LARGE_FROM - 1) // few + 1))
        return (longest, *sides) if size == "tall" else (*sides, longest)
    inner = [int(side) for side in random.choice((2, 3, 4, 8) if between < 4 else (2, 3), between)]
    widest = elements // (2 * prod(inner))
    if repeats:
        widest = min(widest, DISTINCT)  # equal rows have as many distinct elements as one is long
    elif random.random() < 0.75:
        widest = min(widest, 4_096)
    columns = length(random, 2, max(2, widest))
    return (max(2, elements // (columns * prod(inner))), *inner, columns)


def _elements(size: str, random: Random) -> int:
    """How many elements a size may have; of several rows that many rows."""
    if size in ("blocks", "beside blocks"):
        powers = random.random() < 0.5
        blocks = 2 ** int(random.integers(1, 5)) if powers else int(random.integers(1, 13))
        return _BLOCK * blocks + (0 if size == "blocks" else int(random.choice((-1, 1))))
    if size == "many rows":
        return int(random.integers(_MANY_ROWS, 70_000))
    if size == "large":
        whole = _BLOCK * int(random.integers(70, 140))
        return _either(random, whole, int(random.integers(70_000, 140_000)))
    if size == "huge":
        least = 4 * _HUGE if random.random() < 0.2 else _HUGE
        return least + int(random.integers(1, 5_000))
    return int(random.integers(2_000, 12_000))


def _factors(elements: int, count: int, random: Random) -> Shape:
    """Some dimensions of so many elements in all, none of length 1 if there are primes enough."""
    primes = []
    rest, prime = elements, 2
    while rest > 1:
        if rest % prime:
            prime = prime + 1 if prime * prime <= rest else rest
        else:
            primes.append(prime)
            rest //= prime
    places = [*range(count), *random.integers(0, count, max(len(primes) - count, 0))]
    sides = np.ones(count, np.int64)
    for place, factor in zip(places, random.permutation(primes), strict=False):
        sides[place] *= factor
    return tuple(int(side) for side in sides)


def broadcast_shape(level: str, shape: Shape, random: Random) -> Shape:
    """A shape of the level of a factor about a weight's shape, which broadcasts to ``shape``."""
    if level == "0-d":
        return ()
    if level == "full":
        return shape
    if level == "ones":
        return (1,) * int(random.integers(1, len(shape) + 1))
    if level == "last":
        return _last(shape, random)
    if level == "lead":
        return (shape[0], *(1,) * (len(shape) - 1))
    if level == "channels":
        return (shape[1], *(1,) * (len(shape) - 2))
    return _inner(shape, random)


def _last(shape: Shape, random: Random) -> Shape:
    """The last dimensions; those before them are missing, or 1: [C] or [1, C]."""
    if len(shape) == 1:
        return shape
    start = int(random.integers(1, len(shape)))
    ones = int(random.integers(0, start + 1))
    if ones == start and prod(shape[:start]) == 1:
        ones = 0  # it would be as many elements in the same dimensions
    return (*(1,) * ones, *shape[start:])


def _inner(shape: Shape, random: Random) -> Shape:
    """Some dimensions of length 1, but not the first or last ones only: [1, M, 1], [N, 1, C]."""
    wide = [axis for axis, side in enumerate(shape) if side > 1]
    parts = [kept for count in range(1, len(wide)) for kept in combinations(wide, count)]
    found = [tuple(n if axis in kept else 1 for axis, n in enumerate(shape)) for kept in parts]
    with_gaps = [one for one in found if not _is_lead_or_last(one, shape)]
    among = with_gaps or found  # of [N, C, 1] the parts are [N, 1, 1] and [1, C, 1]
    return among[int(random.integers(len(among)))]


def _is_lead_or_last(shape: Shape, whole: Shape) -> bool:
    """Whether all that is not 1 is the first dimension of the whole, or its last ones."""
    start = next(axis for axis, side in enumerate(shape) if side > 1)
    return prod(shape[1:]) == 1 or shape[start:] == whole[start:]

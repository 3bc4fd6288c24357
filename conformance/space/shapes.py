"""Shapes of drawn calls: of each level of the factors about shapes, many.

Guarantees that the lengths at which loops change are met, and those beside them: multiples of
vectors, warps, blocks and chunks, powers of two, indices beyond 16 and 20 bits.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .factors import Combination

Shape = tuple[int, ...]
Random = np.random.Generator

DISTINCT = 997  # elements of a call that differ, a prime: no row of a matrix is like another
LARGE_FROM = 100_000  # elements
_WIDTHS = (8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129)
_SMALL = 999  # the most elements of a shape that is neither a chunk nor large
_CHUNK = 2_000, 9_000
_LARGE = LARGE_FROM, 150_000
_BLOCK = 1_024


def shape_of(levels: Combination, random: Random) -> Shape:
    """A shape of the level of the factor ``shape``, with which the other levels can be."""
    level = levels["shape"]
    side = _either(random, int(random.integers(2, 40)), length(random, 2, _SMALL))
    by_level = {
        "0-d": (),
        "one": (1,) * int(random.integers(1, 5)),
        "few": (int(random.integers(2, 8)),),
        "vector": (_either(random, int(random.choice(_WIDTHS)), length(random, 8, _SMALL)),),
        "column": (side, 1),
        "row": (1, side),
        "matrix": _matrix(random),
        "3-d": _sides(random, 3, 5),
        "4-d": _sides(random, 4, 4),
        "5-d": _sides(random, 5, 3),
        "empty": ((0,), (0, 3), (3, 0), (2, 0, 3))[random.integers(4)],
    }
    return by_level[level] if level in by_level else _many(levels, random)


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
    rows = max(2, min(length(random, 2, 256), _SMALL // columns))
    return (rows, columns) if random.random() < 0.5 else (columns, rows)


def _sides(random: Random, count: int, largest: int) -> Shape:
    """A shape of some dimensions, one of them of length 1 at times, or a long one."""
    drawn = [int(side) for side in random.integers(2, largest + 1, count)]
    at = int(random.integers(count))
    if random.random() < 0.2:
        drawn[max(at, 1)] = 1
    elif random.random() < 0.6:
        drawn[at] = 1
        drawn[at] = length(random, 2, max(2, _SMALL // prod(drawn)))
    return tuple(drawn)


def _many(levels: Combination, random: Random) -> Shape:
    """A shape of many elements."""
    large = levels["shape"] == "large"
    size = _large_size(random) if large else length(random, *_CHUNK)
    broadcast = {"last", "lead"} & {levels["weight shape"], levels["pos_weight shape"]}
    repeated = "stride 0" in levels.values()
    if not broadcast and "F" not in levels.values() and not repeated and random.random() < 0.4:
        return (size,)
    rest: Shape = () if large else _rest(random)
    # A row of stride 0 has as many distinct elements as it is long.
    widest = min(DISTINCT if repeated else 4_096, size // (2 * prod(rest)))
    columns = length(random, 2, max(2, widest))
    if large and random.random() < 0.2:
        columns = 2  # rows beyond what 16 bits count
    rows = max(2, size // (columns * prod(rest)))
    return (rows, columns, *rest)


def _rest(random: Random) -> Shape:
    """What follows the first two dimensions of a chunk: nothing, or those of an image."""
    count = int(random.choice((0, 0, 1, 2)))
    return tuple(int(side) for side in random.choice((2, 3, 4, 8, 16), count))


def _large_size(random: Random) -> int:
    kind = random.random()
    if kind < 0.1:
        return 2**20 + int(random.integers(1, 5_000))
    if kind < 0.5:
        return _BLOCK * int(random.integers(_LARGE[0] // _BLOCK + 1, _LARGE[1] // _BLOCK))
    return int(random.integers(*_LARGE))


def broadcast_shape(level: str, shape: Shape, random: Random) -> Shape:
    """A shape of the level of a factor about a weight's shape, which broadcasts to ``shape``."""
    if level == "0-d":
        return ()
    if level == "full":
        return shape
    if level == "ones":
        return (1,) * int(random.integers(1, len(shape) + 1))
    if level == "last":
        return shape[int(random.integers(1, len(shape))) :] if len(shape) > 1 else shape
    if level == "lead":
        return (shape[0], *(1,) * (len(shape) - 1))
    return _inner(shape, random)


def _inner(shape: Shape, random: Random) -> Shape:
    """Some dimensions of length 1: of channels only, [1, C, 1, 1] or [C, 1, 1], or of others."""
    channels = [axis for axis, side in enumerate(shape[1:-1], 1) if side > 1]
    if channels and random.random() < 0.4:
        axis = int(random.choice(channels))
        ones = (1,) * (len(shape) - 1 - axis)
        return (*(1,) * (axis * int(random.random() < 0.5)), shape[axis], *ones)
    inner = list(shape)
    last = max(axis for axis, side in enumerate(shape) if side > 1)
    inner[last if random.random() < 0.5 else 0] = 1
    if random.random() < 0.5:
        inner[0] = 1
        inner[-1] = 1
    return tuple(inner)

"""Usual calls: what most users ask for, in every way to put it together with every size.

Real mistakes need several things at once, each of them common: a matrix of many elements, a weight
for each class, none for each sample, and the mean. Guarantees that the levels of usual calls are
levels of the whole space, so that a usual call is a call like any other.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from bce_conformance.conformance.covering.combinations import Space
from bce_conformance.conformance.covering.files import read, write

from .factors import FACTORS
from .rules import ARRAYS, combination, space

STRENGTHS = {"float32": 4, "float64": 3, "float16": 3, "bfloat16": 3}
"""How many levels of usual calls occur together in each format, in every combination."""
FOLDER = ARRAYS / "usual"
# The levels of usual calls; of each other factor the plainest, or that nothing is given.
_LEVELS = {
    "shape": ("matrix", "vector", "column", "3-d", "4-d"),
    "size": ("blocks", "beside blocks", "rest", "tall", "wide", "square"),
    "weight shape": ("none", "full", "0-d", "last", "lead"),
    "weight format": ("absent", "same"),
    "weight layout": ("absent", "C"),
    "weight": ("absent", "moderate"),
    "pos_weight shape": ("none", "full", "ones", "last", "channels"),
    "pos_weight format": ("absent", "same"),
    "pos_weight layout": ("absent", "C"),
    "pos_weight": ("absent", "moderate"),
    "targets format": ("same", "bool", "int"),
    "targets": ("hard", "soft", "soft at the end"),
    "targets layout": ("C", "F", "permuted"),
    "logits layout": ("C", "F", "permuted"),
    "reduction": ("none", "sum", "mean"),
    "quantities": ("loss and gradients",),
    "cotangent": ("not given", "moderate"),
    "tangent": ("absent",),
}


def _kept() -> list[list[int]]:
    """The numbers of the levels that each factor has in usual calls."""
    names = ((factor, _LEVELS.get(factor.name, factor.names[:1])) for factor in FACTORS)
    return [[factor.names.index(name) for name in levels] for factor, levels in names]


@cache
def usual_space() -> Space:
    """The space of usual calls, for a generator of covering arrays."""
    kept = _kept()
    renumbered = {(f, old): (f, new) for f, ours in enumerate(kept) for new, old in enumerate(ours)}
    return Space(
        tuple(len(ours) for ours in kept),
        frozenset(
            (renumbered[one], renumbered[other])
            for one, other in space().forbidden
            if one in renumbered and other in renumbered
        ),
    )


def write_usual(seed: int) -> list[Path]:
    """Write the arrays of usual calls anew; returns their paths."""
    strengths = sorted(set(STRENGTHS.values()))
    return [write(usual_space(), strength, seed, FOLDER) for strength in strengths]


@cache
def usual(dtype: str) -> tuple[dict[str, str], ...]:
    """Combinations of a format in which every ``STRENGTHS[dtype]`` levels occur together.

    Raises:
        ArrayFileError: the file is not of this space.
    """
    kept, rows = _kept(), read(usual_space(), STRENGTHS[dtype], FOLDER)
    found = (combination(tuple(_numbers(kept, row))) for row in rows.tolist())
    return tuple({**levels, "dtype": dtype} for levels in found)


def _numbers(kept: list[list[int]], row: list[int]) -> list[int]:
    """The numbers that levels have in the whole space."""
    return [ours[level] for ours, level in zip(kept, row, strict=True)]

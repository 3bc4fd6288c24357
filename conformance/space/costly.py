"""Calls that take long: those of many elements, of which few are drawn and each has to tell much.

Guarantees that every pair of levels with a costly one occurs several times, and every costly level
with each value that spoils results once where nothing else does; and the large ones with each pair
of ways to broadcast the weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, product

import numpy as np

from bce_conformance.conformance.covering.arrays import cover
from bce_conformance.conformance.covering.combinations import Rows

from .factors import FACTORS, Combination
from .rules import repaired, space

# Values that spoil results of their own element, or of all, by operand.
SPOILING = {
    "weight": ("infinite", "NaN"),
    "pos_weight": ("infinite", "NaN"),
    "targets": ("NaN",),
    "logits": ("infinite", "NaN"),
}
WEIGHTS = ("weight", "pos_weight")
# The plainest way to give a weight, by what the factors about it say.
GIVEN = {"shape": "full", "format": "same", "layout": "C"}


def costly_rows(seeds: Iterable[int]) -> Rows:
    """Rows with a costly level in which every pair with it occurs, once more for each seed.

    One call may not show a wrong element, as where all its results are NaN.
    """
    arrays = [cover(space(), 2, seed) for seed in seeds]
    costly = sorted(space().pairwise_only)
    return np.concatenate(
        [rows[np.any([rows[:, f] == v for f, v in costly], axis=0)] for rows in arrays]
    )


def telling_rows() -> Rows:
    """Rows with a costly level and one that spoils results, and else the plainest levels.

    Where others spoil more results, one that is wrong may be among those that are NaN anyway.
    """
    plain = {factor.name: factor.names[0] for factor in FACTORS}
    costly = [(f.name, level.name) for f in FACTORS for level in f.levels if level.costly]
    rows = []
    for name, level in costly:
        for operand, values in SPOILING.items():
            for value in values:
                given = GIVEN if "weight" in operand else {}
                own = {f"{operand} {what}": how for what, how in given.items()}
                levels = {**plain, **own, operand: value, name: level, "shape": "matrix"}
                rows.append([f.names.index(levels[f.name]) for f in FACTORS])
    return np.array(rows)


def broadcast_rows() -> Rows:
    """Rows of usual large calls with each way to broadcast a weight beside each of a pos_weight.

    The targets of one in three are whole numbers, as masks are.

    What is split among threads or blocks finds a row's weight in one way and a column's in another.
    """
    plain = {factor.name: factor.names[0] for factor in FACTORS}
    usual = {"size": "large", "quantities": "loss and gradients", "cotangent": "not given"}
    ways = [next(f.names for f in FACTORS if f.name == f"{w} shape") for w in WEIGHTS]
    rows = []
    turns = zip(cycle(("none", "mean")), cycle(("same", "same", "uint")), strict=False)
    for pair, (reduction, masks) in zip(product(*ways), turns, strict=False):
        shape = "4-d" if {"channels", "inner"} & set(pair) else "matrix"
        levels = {**plain, **usual, "shape": shape, "reduction": reduction}
        levels |= {"targets format": masks}
        for operand, broadcast in zip(WEIGHTS, pair, strict=True):
            if broadcast not in ("none", "weight's"):
                levels |= {f"{operand} {what}": how for what, how in GIVEN.items()}
                levels |= {operand: "moderate"}
            levels |= {f"{operand} shape": broadcast}
        found = repaired(levels, keep="pos_weight shape")
        if found is not None:
            rows.append([f.names.index(found[f.name]) for f in FACTORS])
    return np.unique(rows, axis=0)


def is_costly(levels: Combination) -> bool:
    """Whether a combination has a level that takes long."""
    return any(
        level.costly and levels[factor.name] == level.name
        for factor in FACTORS
        for level in factor.levels
    )

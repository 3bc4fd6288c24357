"""Calls that take long: those of many elements, of which few are drawn and each has to tell much.

Guarantees that every pair of levels with a costly one occurs several times, and every costly level
with each value that spoils results once where nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bce_conformance.conformance.covering.arrays import cover
from bce_conformance.conformance.covering.combinations import Rows

from .factors import FACTORS, Combination
from .rules import space

# Values that spoil results of their own element, or of all, by operand.
_SPOILING = {
    "weight": ("infinite", "NaN"),
    "pos_weight": ("infinite", "NaN"),
    "targets": ("NaN",),
    "logits": ("infinite", "NaN"),
}
_GIVEN = {"shape": "full", "format": "same", "layout": "C"}


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
        for operand, values in _SPOILING.items():
            for value in values:
                given = _GIVEN if "weight" in operand else {}
                own = {f"{operand} {what}": how for what, how in given.items()}
                levels = {**plain, **own, operand: value, name: level, "shape": "matrix"}
                rows.append([f.names.index(levels[f.name]) for f in FACTORS])
    return np.array(rows)


def is_costly(levels: Combination) -> bool:
    """Whether a combination has a level that takes long."""
    return any(
        level.costly and levels[factor.name] == level.name
        for factor in FACTORS
        for level in factor.levels
    )

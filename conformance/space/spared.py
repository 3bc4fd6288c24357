"""Calls with an operand that spoils most results, asked for one that it does not, else plain.

NaN and infinite weights make most results NaN or infinite, so that one that is wrong may not show:
in a covering array the levels beside two that meet are whatever the array needs, and may spoil what
is left. The gradient in an operand does not depend on it, and without a reduction a result depends
on its own element only.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from itertools import product

from bce_conformance.backends.calls import DTYPES

from .costly import GIVEN, SPOILING, WEIGHTS
from .factors import FACTORS
from .rules import repaired

# Logits are left out: every result depends on them.
_SPOILING = tuple(
    (operand, value) for operand in SPOILING if operand != "logits" for value in SPOILING[operand]
)


def spared(dtype: str) -> tuple[dict[str, str], ...]:
    """Combinations in which such an operand meets each level of each other factor.

    The four formats share them by turns, but for what only some of them have.
    """
    return tuple(levels for levels in _of_all_formats() if levels["dtype"] == dtype)


@cache
def _of_all_formats() -> tuple[dict[str, str], ...]:
    found: dict[tuple[str, ...], dict[str, str]] = {}
    formats = deque(DTYPES)
    for (operand, value), factor in product(_SPOILING, FACTORS[1:]):
        for level in factor.levels if factor.name != operand else ():
            formats.rotate()
            each = (_plain(dtype, operand, value, factor.name, level.name) for dtype in formats)
            levels = next(filter(None, each), None)
            if levels is not None:
                found.setdefault(tuple(levels.values()), levels)
    return tuple(found.values())


def _plain(dtype: str, operand: str, value: str, factor: str, level: str) -> dict[str, str] | None:
    """The plainest combination with a value of an operand and a level; None where there is none.

    Asked for is the gradient in the operand, or the loss where the level is about that alone.
    """
    levels = {each.name: each.names[0] for each in FACTORS} | {"dtype": dtype}
    for name in (operand, factor.partition(" ")[0]):
        if name in WEIGHTS:
            levels |= {f"{name} {what}": how for what, how in GIVEN.items()} | {name: "moderate"}
    wanted = {"dtype": dtype, operand: value, factor: level}
    for asked in ({"quantities": f"grad_{operand}", "cotangent": "not given"}, {}):
        found = repaired(levels | asked | wanted, keep=factor)
        if found is not None and wanted.items() <= found.items():
            return found
    return None

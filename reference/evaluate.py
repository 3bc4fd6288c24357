"""The slow path: a certified truth for every result of a problem.

Guarantees: equal elements are evaluated once, in sums as well, whatever their number. Every result
is certified (certified.py) or a special value (terms.py).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import inf, isinf, isnan

import mpmath
import numpy as np
from numpy.typing import NDArray

from .certified import Rounded, Sum, certify, certify_special, group, to_mpf
from .formats import Format
from .problem import Problem
from .terms import QUANTITIES, Dyadic, Quantity, Row, Term, reduce_finite, special_value

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """Flat arrays, one entry a result: ``nearest`` as float64, ``offset``, ``precision``."""

    nearest: NDArray[np.float64]
    offset: NDArray[np.float64]
    precision: NDArray[np.int32]


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits invertibly (an odd multiplier and two shifts)."""
    bits = (bits ^ (bits >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(bits ^ (bits >> np.uint64(29)))


def distinct(columns: list[NDArray[np.float64]]) -> tuple[Int64, Int64]:
    """Return the index of one representative of each distinct row, and each row's representative.

    Rows are equal when their bits are. They are told apart by a hash that is checked afterwards;
    rows that collide are sorted out by the full comparison.
    """
    bits = [np.ascontiguousarray(col).view(np.uint64) for col in columns]
    key = bits[0]
    for col in bits[1:]:
        key = _mixed(key) + col
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    if any(not np.array_equal(col, col[first][inverse]) for col in bits):
        table = np.stack(bits, axis=1)
        _, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.reshape(-1).astype(np.int64)


def is_special(quantity: Quantity, row: Row) -> bool:
    """Tell whether a row has a NaN, or an infinity in what the quantity depends on."""
    x, y, w, p, c = row
    if any(value is not None and isnan(value) for value in row):
        return True
    factors = quantity.factors
    reach = [x, c]
    reach += [value for name, value in (("w", w), ("p", p)) if name in factors]
    reach += [y] if "y" in factors or "n" in factors else []
    return any(value is not None and isinf(value) for value in reach)


Part = Term | float | Dyadic


def part(quantity: Quantity, row: Row) -> Part:
    """Return what one element contributes: a term, or a special value."""
    if is_special(quantity, row):
        return special_value(quantity, row)
    return reduce_finite(quantity, row)


def total(parts: list[tuple[Part, int]], count: int) -> Sum | float:
    """Add up parts with their multiplicities: a sum, or NaN or ±∞ where that is the answer.

    A single element is itself, the sign of its zero included; a sum's exact zero is +0.
    """
    if len(parts) == 1 and parts[0][1] == 1 and isinstance(parts[0][0], float):
        return parts[0][0]
    terms: list[tuple[Term, int]] = []
    infinite = 0.0
    for value, multiplicity in parts:
        if isinstance(value, float):
            infinite = infinite + value if value else infinite
        else:
            term = value if isinstance(value, Term) else Term(value, (0, 0), "bell", (0, 0))
            terms.append((term, multiplicity))
    return group(terms, count) if infinite == 0 else infinite


def nothing(problem: Problem) -> Rounded:
    """Return the result of no elements."""
    return Rounded(problem.empty, problem.empty, 0)


def settle(parts: list[tuple[Part, int]], count: int, fmt: Format) -> Rounded:
    """Round the sum of some parts."""
    value = total(parts, count)
    if isinstance(value, float):
        return certify_special(value, count, fmt)
    rounded = certify(value, fmt)
    assert rounded is not None  # only a slack leaves a value undecided
    return rounded


def certify_rows(quantity: str, rows: list[Row], count: int, fmt: Format) -> list[Rounded]:
    """Round elements, each a result of its own."""
    what = QUANTITIES[quantity]
    return [settle([(part(what, row), 1)], count, fmt) for row in rows]


def _certify_many(problem: Problem, rows: list[Row]) -> list[Rounded]:
    from .parallel import PAYS_FROM, certify_rows_parallel  # which imports this module

    certify_all = certify_rows if len(rows) < PAYS_FROM else certify_rows_parallel
    return certify_all(problem.quantity, rows, problem.count, problem.fmt)


def members(problem: Problem, results: Int64 | None = None) -> Int64:
    """Return the elements that the given results (default: all) are made of."""
    if problem.groups is None:
        return np.arange(problem.columns[0].size, dtype=np.int64) if results is None else results
    if results is None:
        return np.arange(problem.groups.size, dtype=np.int64)
    return np.flatnonzero(np.isin(problem.groups, results)).astype(np.int64)


def evaluate(problem: Problem, results: Int64 | None = None) -> Outcome:
    """Return the certified truth of the given results (default: all), in their order."""
    elements = members(problem, results)
    chosen = [col[elements] for col in problem.columns if col is not None]
    first, inverse = distinct(chosen)
    rows = [problem.row(int(elements[i])) for i in first]
    if problem.groups is None:
        return _gathered(_certify_many(problem, rows), inverse)
    quantity = QUANTITIES[problem.quantity]
    parts = [part(quantity, row) for row in rows]
    size = int(np.prod(problem.shape, dtype=np.int64))
    wanted = np.arange(size) if results is None else results
    tallies: dict[int, Counter[int]] = {int(index): Counter() for index in wanted}
    pairs, counts = np.unique(
        problem.groups[elements] * max(1, len(rows)) + inverse, return_counts=True
    )
    for pair, multiplicity in zip(pairs.tolist(), counts.tolist(), strict=True):
        index, row = divmod(pair, len(rows))
        tallies[index][row] += multiplicity
    rounded = []
    for index in wanted.tolist():
        chosen_parts = [(parts[row], many) for row, many in tallies[index].items()]
        settled = settle(chosen_parts, problem.count, problem.fmt) if chosen_parts else None
        rounded.append(settled or nothing(problem))
    return _gathered(rounded, np.arange(len(rounded), dtype=np.int64))


def _gathered(rounded: list[Rounded], inverse: Int64) -> Outcome:
    return Outcome(
        np.array([r.nearest for r in rounded], np.float64)[inverse],
        np.array([r.offset for r in rounded], np.float64)[inverse],
        np.array([r.precision for r in rounded], np.int32)[inverse],
    )


def exact_value(problem: Problem, result: int, bits: int) -> mpmath.mpf:
    """Return one result with a relative error below 2^(8 − bits)."""
    elements = members(problem, np.array([result]))
    if not elements.size:
        return mpmath.mpf(nothing(problem).nearest)
    tally = Counter(problem.row(int(i)) for i in elements)
    quantity = QUANTITIES[problem.quantity]
    value = total([(part(quantity, row), many) for row, many in tally.items()], problem.count)
    if isinstance(value, float):
        return mpmath.inf * value if value in (inf, -inf) else mpmath.mpf(value)
    return to_mpf(value, bits)

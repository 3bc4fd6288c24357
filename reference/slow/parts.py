"""The elements that a result is made of: each a term or a special value, added up and rounded.

Guarantees: special values are told from finite ones before anything is evaluated; a sum of finite
parts is exact until ``certify`` rounds it, once.
"""

from __future__ import annotations

from math import isinf, isnan

from bce_conformance.reference.formats import Format
from bce_conformance.reference.problem import Problem
from bce_conformance.reference.quantities import (
    QUANTITIES,
    Dyadic,
    Quantity,
    Row,
    Term,
    reduce_finite,
    special_value,
)

from .certified import Rounded, Sum, certify, certify_special, group


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

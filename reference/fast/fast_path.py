"""The fast path: double-double evaluation of whole arrays, with a mask of what it left undecided.

Guarantees: where it decides, ``nearest`` has the bits, and ``offset`` the sign, that the slow path
gives, by the bound proved in bound.md; elsewhere ``undecided`` is set. Sums are exact
sums of the double-double values, with the sum of their errors.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from bce_conformance.reference.problem import Int64, Outcome, Problem
from bce_conformance.reference.quantities import QUANTITIES, ZERO, Quantity, Term
from bce_conformance.reference.slow.certified import Rounded, certify, certify_special
from bce_conformance.reference.slow.parts import Part, nothing, part, total

from .kernels import (
    BELL,
    LAST_BIT,
    LIMBS,
    SIGMOID,
    SOFTPLUS,
    round_elements,
    sum_tasks,
)

PRECISION = 106
_FAMILIES = {"softplus": SOFTPLUS, "sigmoid": SIGMOID, "bell": BELL}
_TASK = 1 << 15  # elements that one thread adds up at a time
_SLAB = 1 << 12  # results whose fixed-point numbers are held at once
_MOST_APART = 1 << 12  # elements that a sum may have beyond the fast path

Columns = tuple[NDArray[np.float64], ...]
Form = tuple[float, float, float, float, float]
# By a sum and its slack, each as limbs, the elements that are left out of it, and how many it has.
Known = dict[tuple[bytes, bytes, bytes, int], Rounded | None]


@dataclass(frozen=True)
class FastOutcome:
    """An outcome, and where it is undecided: there ``nearest`` and ``offset`` are NaN."""

    outcome: Outcome
    undecided: NDArray[np.bool_]


def _form(quantity: Quantity) -> Form:
    """Return (a0, a1, y, p, s): A = W·(a0 + a1·y), B = W·s·p·y, y and p where their flags are 1."""
    if quantity.a is None:
        start, slope = 0.0, 0.0
    else:
        start, slope = float(quantity.a_sign), -1.0 if "n" in quantity.a else 0.0
    return start, slope, float("y" in quantity.b), float("p" in quantity.b), float(quantity.b_sign)


def _arguments(problem: Problem) -> tuple[int, Columns, NDArray[np.bool_], Form]:
    """Return what every kernel starts with: family, columns, which are present, and form."""
    quantity = QUANTITIES[problem.quantity]
    columns = [
        np.ones(1) if c is None else np.require(c, None, ["C", "W"]) for c in problem.columns
    ]
    present = np.array([c is not None for c in problem.columns])
    return _FAMILIES[quantity.family], tuple(columns), present, _form(quantity)


def evaluate_fast(problem: Problem) -> FastOutcome:
    """Return every result of a problem that double-double decides."""
    return _elements(problem) if problem.groups is None else _sums(problem)


def _elements(problem: Problem) -> FastOutcome:
    size = problem.columns[0].size
    nearest, offset = np.empty(size), np.empty(size)
    twos = (problem.count & -problem.count).bit_length() - 1 if problem.count else 0
    divisor = float(problem.count >> twos), twos
    limits = problem.fmt.precision, problem.fmt.emin, problem.fmt.emax
    round_elements(*_arguments(problem), divisor, limits, nearest, offset)
    undecided = np.isnan(offset)
    nearest[undecided] = nan
    precision = np.where(undecided, -1, PRECISION).astype(np.int32)
    return FastOutcome(Outcome(nearest, offset, precision), undecided)


def _sums(problem: Problem) -> FastOutcome:
    assert problem.groups is not None
    size = int(np.prod(problem.shape, dtype=np.int64))
    order, starts = _ordered(problem.groups, size)
    arguments = _arguments(problem)
    rounded: list[Rounded | None] = []
    known: Known = {}
    for first in range(0, size, _SLAB):
        rounded += _slab(problem, arguments, order, starts[first : first + _SLAB + 1], known)
    undecided = np.array([r is None for r in rounded], np.bool_)
    decided = [Rounded(nan, nan, 0) if r is None else r for r in rounded]
    outcome = Outcome(
        np.array([r.nearest for r in decided], np.float64),
        np.array([r.offset for r in decided], np.float64),
        np.where(undecided, -1, PRECISION).astype(np.int32),
    )
    return FastOutcome(outcome, undecided)


def _ordered(groups: Int64, size: int) -> tuple[Int64, Int64]:
    """Return the elements in the order of their results, and where each result's start.

    An empty order stands for the elements as they are.
    """
    lengths = np.bincount(groups, minlength=size)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if bool(np.all(groups[1:] >= groups[:-1])):
        return np.empty(0, np.int64), starts
    return np.argsort(groups, kind="stable").astype(np.int64), starts


def _slab(
    problem: Problem, arguments: tuple[Any, ...], order: Int64, starts: Int64, known: Known
) -> list[Rounded | None]:
    """Add up and round some consecutive results; ``starts`` has one entry more than there are.

    Equal sums are rounded once: ``known`` has those of this problem.
    """
    pieces = -(-np.diff(starts) // _TASK)
    owners = np.repeat(np.arange(pieces.size), pieces)
    within = np.arange(owners.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    bounds = np.append(starts[owners] + _TASK * within, starts[-1]).astype(np.int64)
    sums = np.zeros((owners.size, LIMBS + 3), np.int64)
    errors = np.zeros_like(sums)
    left_out = np.zeros(problem.columns[0].size, np.bool_)
    sum_tasks(*arguments, order, bounds, sums, errors, left_out)
    totals, slacks = (_by_owner(limbs, owners, pieces.size) for limbs in (sums, errors))
    apart, lengths = _apart(left_out, order, starts), np.diff(starts).tolist()
    keys = [
        (value.tobytes(), slack.tobytes(), members.tobytes(), length)
        for value, slack, members, length in zip(totals, slacks, apart, lengths, strict=True)
    ]
    fresh = list({key: group for group, key in enumerate(keys) if key not in known}.values())
    numbers = zip(fresh, _integers(totals[fresh]), _integers(slacks[fresh]), strict=True)
    for group, value, slack in numbers:
        known[keys[group]] = _round_sum(problem, value, slack, apart[group], lengths[group])
    return [known[key] for key in keys]


def _apart(left_out: NDArray[np.bool_], order: Int64, starts: Int64) -> list[Int64]:
    """Return the elements that are left out of each result's sum."""
    if not left_out.any():
        return [np.empty(0, np.int64)] * (starts.size - 1)
    parts = []
    for first, last in itertools.pairwise(starts.tolist()):
        members = order[first:last] if order.size else np.arange(first, last)
        parts.append(members[left_out[members]])
    return parts


def _by_owner(limbs: Int64, owners: Int64, size: int) -> Int64:
    result = np.zeros((size, limbs.shape[1]), np.int64)
    np.add.at(result, owners, limbs)
    return result


def _integers(limbs: Int64) -> list[int]:
    """Return each row's Σ limb·2^(32·i)."""
    carried = limbs.copy()
    for i in range(carried.shape[1] - 1):
        carry = carried[:, i] >> 32
        carried[:, i] -= carry << 32
        carried[:, i + 1] += carry
    top = carried.shape[1] - 1
    words = np.ascontiguousarray(carried[:, :top].astype("<u4"))
    return [
        int.from_bytes(row.tobytes(), "little") + (int(high) << (32 * top))
        for row, high in zip(words, carried[:, top], strict=True)
    ]


def _round_sum(
    problem: Problem, value: int, slack: int, apart: Int64, length: int
) -> Rounded | None:
    """Round what was added up, and the elements that were left out of it; None if undecided."""
    if not length:
        return nothing(problem)
    if apart.size == length or apart.size > _MOST_APART:
        return None
    quantity = QUANTITIES[problem.quantity]
    tally = Counter(problem.row(int(i)) for i in apart)
    parts: list[tuple[Part, int]] = [(part(quantity, row), many) for row, many in tally.items()]
    parts.append((Term((mpz(value), LAST_BIT), ZERO, "bell", ZERO), 1))
    whole = total(parts, problem.count)
    if isinstance(whole, float):
        return certify_special(whole, problem.count, problem.fmt)
    return certify(replace(whole, slack=(mpz(slack), LAST_BIT)), problem.fmt)

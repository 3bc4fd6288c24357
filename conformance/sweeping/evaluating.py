"""One piece of a sweep: evaluated by the backend, compared with the truth, and summed up.

Guarantees that every element has the level that the judge of the matrix gives it: levels that some
ulps decide are decided in the loop, all others by ``judging.judge``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array, Failure, LossCall, LossResult
from bce_conformance.conformance.inputs.bounds import as_float64, bounds_for
from bce_conformance.conformance.inputs.truths import truth_of
from bce_conformance.conformance.judging.judge import judge
from bce_conformance.reference import Format
from bce_conformance.reference.problem import read_problem

from .kernels import OPEN, measure, tally, units_of
from .plan import Group, Piece, Plan, bits_of
from .summaries import Summary, bucket_shift

_WITH_TARGETS = ("loss", "grad_logits", "grad_weight", "grad_pos_weight")


@dataclass(frozen=True)
class Exact:
    """Exact values of one quantity, shape [points] each.

    Attributes:
        nearest: rounded into the format, in float64.
        offset: as ``Truth.offset``.
        undecided: how many the fast path did not decide.
    """

    nearest: NDArray[np.float64]
    offset: NDArray[np.float64]
    undecided: int


def call_of(plan: Plan, group: Group, piece: Piece) -> LossCall:
    """The call that evaluates a piece: element by element, weights of one value where asked for."""
    logits, targets = plan.operands(group, piece)
    ones = np.ones(logits.shape, plan.format.dtype)
    weight = ones if "grad_weight" in plan.quantities else None
    pos_weight = None
    if plan.pos_weight is not None:
        each = "grad_pos_weight" in plan.quantities
        pos_weight = (ones if each else ones[:1]) * plan.format.exactly(plan.pos_weight)
    return LossCall(logits, targets, weight, pos_weight, "none", plan.quantities)


def values_of(result: LossResult | Failure, call: LossCall) -> dict[str, Array] | str:
    """The quantities of a result, or in words why there are none to judge."""
    if isinstance(result, Failure):
        return str(result)
    found: dict[str, Array] = {}
    for quantity in call.quantities:
        value = result.values.get(quantity)
        if value is None:
            return f"{quantity} is missing in the result"
        if value.shape != call.logits.shape or value.dtype != call.logits.dtype:
            return (
                f"{quantity} has shape {value.shape} and dtype {value.dtype}, not "
                f"{call.logits.shape} and {call.logits.dtype}"
            )
        found[quantity] = value
    return found


def _part(call: LossCall, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> LossCall:
    """The call with some of its elements."""
    size = call.logits.size
    operands = {name: getattr(call, name) for name in ("logits", "targets", "weight", "pos_weight")}
    parts = {
        name: operand[chosen] if operand is not None and operand.size == size > 1 else operand
        for name, operand in operands.items()
    }
    return replace(call, **parts) if size > 1 else call


def exact_of(call: LossCall, quantity: str, format_: Format) -> Exact:
    """The exact values of one quantity of a call.

    NaN logits, and NaN targets where the quantity depends on the target, are NaN by definition and
    are not evaluated.
    """
    with np.errstate(invalid="ignore"):  # signalling NaNs
        unknown = np.isnan(call.logits)
        if quantity in _WITH_TARGETS:
            unknown |= np.isnan(call.targets)
    if not unknown.any():
        return _evaluated(call, quantity, format_)
    nearest, offset = np.full(unknown.size, np.nan), np.full(unknown.size, np.nan)
    known = np.flatnonzero(~unknown)
    undecided = 0
    if known.size:
        some = _evaluated(_part(call, known), quantity, format_)
        nearest[known], offset[known], undecided = some.nearest, some.offset, some.undecided
    return Exact(nearest, offset, undecided)


def _evaluated(call: LossCall, quantity: str, format_: Format) -> Exact:
    from bce_conformance.reference.fast.fast_path import evaluate_fast

    operands = (call.logits, call.targets, call.weight, call.pos_weight)
    problem = read_problem(*operands, quantity, "none", None, format_, None)
    fast = evaluate_fast(problem)
    nearest, offset = fast.outcome.nearest, fast.outcome.offset
    left = np.flatnonzero(fast.undecided)
    if left.size:
        certified = truth_of(_part(call, left), quantity, cached=False)
        nearest[left], offset[left] = as_float64(certified.nearest), certified.offset
    return Exact(nearest, offset, left.size)


class Truths:
    """Exact values of pieces, those of target 1 taken from target 0 where they were just computed.

    loss(x, 1) = loss(−x, 0) and grad_logits(x, 1) = −grad_logits(−x, 0), exactly, without a
    pos_weight: a hard target costs half when both are swept.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._sign = 1 << (bits_of(plan.format) - 1)
        self._one = int(np.ones(1, plan.format.dtype).view(plan.format.bits_dtype)[0])
        self._mirrored: dict[tuple[int, int], dict[str, Exact]] = {}

    def of(self, call: LossCall, group: Group, piece: Piece) -> dict[str, Exact]:
        """The exact values of a piece by quantity; ``call`` is the one that evaluates it."""
        plan = self._plan
        plain = set(plan.quantities) <= {"loss", "grad_logits"} and plan.pos_weight is None
        halves = not plan.sampled and piece.first // self._sign == (piece.last - 1) // self._sign
        if plain and halves and group.patterns == (self._one,):
            kept = self._mirrored.pop((piece.first ^ self._sign, piece.last - piece.first), None)
            if kept is not None:
                return {name: _mirror(name, exact) for name, exact in kept.items()}
        found = {name: exact_of(call, name, plan.format) for name in plan.quantities}
        if plain and halves and group.patterns == (0,):
            self._mirrored = {(piece.first, piece.last - piece.first): found}
        return found


def _mirror(quantity: str, exact: Exact) -> Exact:
    if quantity == "loss":
        return exact
    return Exact(-exact.nearest, -exact.offset, exact.undecided)


def summed_up(call: LossCall, quantity: str, got: Array, exact: Exact, format_: Format) -> Summary:
    """The summary of one quantity of a piece."""
    size = got.size
    computed = as_float64(got)
    error, level = np.empty(size), np.empty(size, np.int8)
    right, left = measure(
        computed,
        exact.nearest,
        exact.nearest.view(np.int64),
        exact.offset,
        units_of(format_),
        format_.emin,
        format_.emax,
        error,
        level,
    )
    if left:
        _judge_open(call, quantity, got, level, format_)
    summary = Summary(format_, size, right, exact.undecided)
    patterns = _patterns(call.logits, format_)
    at = np.full(summary.peak.size, -1)
    summary.flushed = tally(
        error,
        error.view(np.int64),
        level,
        patterns,
        bucket_shift(format_),
        summary.bins,
        summary.lost,
        summary.first,
        summary.last,
        summary.peak,
        at,
    )
    met = np.flatnonzero(at >= 0)
    nearest = exact.nearest[at[met]].astype(format_.dtype)
    columns = (call.targets[at[met]], call.logits[at[met]], got[at[met]], nearest)
    summary.worst[met] = np.stack([_patterns(column, format_) for column in columns], axis=1)
    return summary


def _judge_open(
    call: LossCall, quantity: str, got: Array, level: NDArray[np.int8], format_: Format
) -> None:
    """Write the levels that hang on more than some ulps."""
    chosen = np.flatnonzero(level == OPEN)
    part = _part(call, chosen)
    truth = truth_of(part, quantity, cached=False)
    level[chosen] = judge(got[chosen], truth, format_, bounds_for(part, quantity)).levels


def _patterns(values: Array, format_: Format) -> NDArray[np.uint64]:
    bits = np.ascontiguousarray(values).view(format_.bits_dtype)
    return np.asarray(bits.astype(np.uint64))

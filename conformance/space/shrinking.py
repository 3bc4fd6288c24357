"""Shrinking: the smallest call that still shows what a larger one showed.

First the levels of a combination go to their plainest, as long as the finding stays; what is left
is its mechanism. Then elements are left out and values made plain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np

from bce_conformance.backends.calls import ARRAYS, Array, LossCall

from .factors import FACTORS, Combination
from .rules import IN_TURN, plainer, plainest_beside

Mechanism = frozenset[tuple[str, str]]  # factors and their levels

GIVEN = "given"  # in a mechanism: any shape that a weight can have
NOT_GIVEN = ("none", "weight's")
_ROOTS = ("shape", "weight shape", "pos_weight shape", "quantities")  # others follow from them
_TRIALS = 60  # of smaller calls, which is several times what is needed


def shrink(
    combination: Combination,
    shows: Callable[[Combination], bool],
    *,
    part: bool = False,
    trials: int = _TRIALS,
) -> dict[str, str]:
    """The combination with as many factors at their plainest level as the finding allows.

    Args:
        combination: shows the finding.
        shows: whether another combination does, too.
        part: whether the mechanism that is left must be a part of the combination, so that no level
            gives way to another that is not the plainest.
        trials: how many others are tried at most.
    """
    found, tried = dict(combination), {tuple(combination.values())}
    before = None
    while found != before:
        before = found
        for name in IN_TURN:
            for candidate in plainer(name, found):
                key = tuple(candidate[factor] for factor in combination)
                if key in tried or (part and not _is_within(candidate, combination)):
                    continue
                if len(tried) > trials:
                    return found
                tried.add(key)
                if shows(candidate):
                    found = candidate
                    break
    return found


def _is_within(candidate: Combination, combination: Combination) -> bool:
    """Whether what differs in the candidate is at the plainest level that goes with the rest.

    A weight may have another shape: whether it matters is found out in the end.
    """
    roots = {name: candidate[name] for name in _ROOTS}
    for name, level in candidate.items():
        given = "weight shape" in name and not {level, combination[name]} & set(NOT_GIVEN)
        beside = {} if name in roots else roots
        if level != combination[name] and not given and level != plainest_beside(name, beside):
            return False
    return True


def mechanism(combination: Combination, *, any_shape: Collection[str] = ()) -> Mechanism:
    """The levels of a combination that are neither the plainest nor follow from the others.

    The format of the logits is left out. What the call is asked for is told in any case.

    Args:
        combination: what ``shrink`` left.
        any_shape: factors about a weight's shape of which every level shows the finding, as long as
            the weight is given.
    """
    plain = {factor.name: factor.names[0] for factor in FACTORS}
    cause = {n: v for n, v in combination.items() if n != "dtype" and v != plain[n]}
    for name in [f.name for f in reversed(FACTORS) if f.name in cause and f.name != "quantities"]:
        rest = {other: level for other, level in cause.items() if other != name}
        if plainest_beside(name, rest) == cause[name]:
            cause = rest
    return frozenset((n, GIVEN if n in any_shape else level) for n, level in cause.items())


def is_part_of(cause: Mechanism, combination: Combination) -> bool:
    """Whether a combination has all levels of a mechanism."""
    return all(
        combination[name] == level or (level == GIVEN and combination[name] not in NOT_GIVEN)
        for name, level in cause
    )


def in_words(cause: Mechanism) -> str:
    """A mechanism as ``factor=level`` joined by ×, in the order of the factors."""
    levels = dict(cause)
    given = [f"{f.name}={levels[f.name]}" for f in FACTORS if f.name in levels]
    return " × ".join(given) or "every call"


def shrink_call(
    call: LossCall, shows: Callable[[LossCall], bool], *, trials: int = _TRIALS
) -> LossCall:
    """The call with as few elements, and as plain values, as the finding allows.

    Args:
        call: shows the finding.
        shows: whether another call does, too.
        trials: how many others are tried at most.
    """
    for steps in (_shorter, _plainer_values):
        progress = True
        while progress and trials:
            progress = False
            for candidate in steps(call):
                if not trials:
                    break
                trials -= 1
                if shows(candidate):
                    call, progress = candidate, True
                    break
    return call


def _shorter(call: LossCall) -> Iterator[LossCall]:
    """Calls with half of the elements along a dimension, or with one element less."""
    for axis, size in enumerate(call.logits.shape):
        for part in (slice(size // 2), slice(size // 2, None), slice(1, None), slice(size - 1)):
            if size > 1:
                yield _part(call, axis, part)


def _part(call: LossCall, axis: int, part: slice) -> LossCall:
    """The call on some of the elements along a dimension of the logits; layouts stay views."""
    ndim = call.logits.ndim

    def cut(operand: Array | None) -> Array | None:
        own = axis - ndim + (0 if operand is None else operand.ndim)
        if operand is None or own < 0 or operand.shape[own] == 1:
            return operand
        return operand[(slice(None),) * own + (part,)]

    return _with(call, {name: cut(getattr(call, name)) for name in ARRAYS})


def _with(call: LossCall, operands: Mapping[str, Array | None]) -> LossCall:
    return replace(call, **operands)  # type: ignore[arg-type]


def _plainer_values(call: LossCall) -> Iterator[LossCall]:
    """Calls in which an operand, or one element of it, has a plain value."""
    for name in ARRAYS:
        operand: Array | None = getattr(call, name)
        if operand is None or not operand.size:
            continue
        value = np.asarray(0.0 if name == "targets" else 1.0).astype(operand.dtype)
        if (operand != value).any():
            yield _with(call, {name: np.full(operand.shape, value)})
            for index in np.argwhere(np.asarray(operand != value))[:16]:
                changed = operand.copy()
                changed[tuple(index)] = value
                yield _with(call, {name: changed})

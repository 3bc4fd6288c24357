"""The worst of what was judged, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.conformance.inputs.inputs import Inputs, hex_of
from bce_conformance.results.cells import Level, Worst


@dataclass(frozen=True)
class WorstResult:
    """The worst result of a cell so far.

    Attributes:
        rank: its level and its negated error: the least is the worst.
        inputs: the inputs that it belongs to.
        quantity: what was judged.
        element: the operands in hex; None where the result sums over elements.
        detail: the result in words.
    """

    rank: tuple[Level, float]
    inputs: Inputs
    quantity: str
    element: Worst | None
    detail: str


def worst_of(
    inputs: Inputs,
    quantity: str,
    index: int,
    got: Array,
    exact: Array,
    rank: tuple[Level, float],
    ulp: str,
) -> WorstResult:
    """The result with an index, ``got`` being judged against ``exact``."""
    computed, right = hex_of(got.ravel()[index]), hex_of(exact.ravel()[index])
    detail = f"{quantity} {ulp} ({inputs.name}): got {computed}, exact {right}"
    if got.shape != inputs.logits.shape or inputs.reduction != "none":
        return WorstResult(rank, inputs, quantity, None, detail)

    def at(operand: Array | None) -> str | None:
        if operand is None:
            return None
        return hex_of(np.broadcast_to(operand, got.shape).ravel()[index])

    logit, target = hex_of(inputs.logits.ravel()[index]), hex_of(inputs.targets.ravel()[index])
    element = Worst(logit, target, at(inputs.weight), at(inputs.pos_weight), computed, right)
    return WorstResult(rank, inputs, quantity, element, detail)


def in_words(call: LossCall, index: int) -> str:
    """One element of a call's operands in words."""
    names = {"logits": "x", "targets": "y", "weight": "w", "pos_weight": "p"}
    operands = {names[name]: getattr(call, name) for name in names}
    shape = call.logits.shape
    words = [
        f"{name} = {hex_of(np.broadcast_to(operand, shape).ravel()[index])}"
        for name, operand in operands.items()
        if operand is not None
    ]
    return " at " + ", ".join(words)

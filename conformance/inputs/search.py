"""Search: inputs near those at which a backend is worst.

Where errors are largest is seldom where a draw falls. A search takes the elements that came out
worst, looks closely about them, and goes on from the worst of what it has found. The thorough tier
searches near what its checks draw, and a hunt near its own starts, both with ``near``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array
from bce_conformance.reference import format_of

from .inputs import Inputs, Source
from .intervals import interval
from .sampler import POOL_SIZE

PARENTS = POOL_SIZE // 10
Floats = NDArray[np.float64]


def can_search(inputs: Inputs) -> bool:
    """Whether inputs are elements of a pool, each for itself, and all finite."""
    rows = inputs.rows().values()
    return bool(inputs.source and inputs.is_row() and all(np.isfinite(row).all() for row in rows))


def near(inputs: Inputs, severity: Floats, random: np.random.Generator) -> Inputs:
    """As many elements as a draw has: the worst of the inputs, and others near them.

    The operands of a neighbour keep the signs of the element that it is near, and lie between the
    least and the largest magnitude that the inputs have of them; targets of 0 and 1 stay.

    Args:
        inputs: a row of elements.
        severity: how bad the result of each is; larger is worse.
        random: chooses the neighbours.
    """
    parents = _worst(inputs, severity)
    others = random.choice(parents, POOL_SIZE - parents.size)
    rows: dict[str, Array] = {}
    for name, operand in inputs.rows().items():
        moved = _moved(operand, operand[others], name == "targets", random)
        stays = random.integers(0, 2, others.size) > 0
        moved = moved if name == "logits" else np.where(stays, operand[others], moved)
        rows[name] = np.concatenate([operand[parents], moved])
    source = inputs.source
    assert source is not None
    near_them = Source(source.pool, lasting=False, near=True)
    return replace(inputs, source=near_them, **rows)  # type: ignore[arg-type]


def far(inputs: Inputs, random: np.random.Generator) -> Inputs:
    """The same elements, of which every eighth is taken far away: what ``near`` does not reach.

    A logit gets another exponent, or another sign, with the digits that it has; a target is that of
    another element. The first ``PARENTS`` stay.

    Args:
        inputs: a row of elements.
        random: chooses the elements and what becomes of them.
    """
    format_, size = inputs.format, inputs.logits.size
    digits = format_.precision - 1
    chosen = np.arange(PARENTS + random.integers(0, 8), size, 8)
    ordinals = format_.ordinal(inputs.logits[chosen])
    exponents = random.integers(0, format_.emax - format_.emin + 1, chosen.size) << digits
    moved = (np.abs(ordinals) & ((1 << digits) - 1)) + exponents
    signs = np.where(random.integers(0, 2, chosen.size) > 0, 1, -1)
    kind = random.integers(0, 3, chosen.size)
    logits, targets = inputs.logits.copy(), inputs.targets.copy()
    logits[chosen] = format_.from_ordinal(
        np.where(kind == 0, signs * moved, np.where(kind == 1, -ordinals, ordinals))
    )
    others = random.integers(0, size, chosen.size)
    targets[chosen] = np.where(kind == 2, targets[others], targets[chosen])
    return replace(inputs, logits=logits, targets=targets)


def _worst(inputs: Inputs, severity: Floats) -> NDArray[np.intp]:
    """The worst elements: half of them wherever they lie, half from as many places as can be."""
    order = np.argsort(-severity, kind="stable")
    places = interval(inputs.logits.astype(np.float64))[order]
    _, first_of_place = np.unique(places, return_index=True)
    spread = order[np.sort(first_of_place)[: PARENTS // 2]]
    chosen: NDArray[np.intp] = np.unique(np.concatenate([order[: PARENTS // 2], spread]))
    return chosen


def _moved(operand: Array, values: Array, are_targets: bool, random: np.random.Generator) -> Array:
    """Each of some values moved up or down, by one unit in the last place to a factor of two."""
    format_ = format_of(operand.dtype)
    drawn = np.abs(operand)
    least, largest = (int(format_.ordinal(size)) for size in (drawn.min(), drawn.max()))
    steps = np.exp2(random.uniform(0, format_.precision - 1, values.size)).astype(np.int64)
    steps *= random.choice([-1, 1], values.size)
    sizes = format_.ordinal(np.abs(values))
    moved = format_.from_ordinal(np.clip(sizes + steps, least, largest))
    moved = np.copysign(moved, values)
    hard = (values == 0) | (values == 1)
    return np.where(hard, values, moved) if are_targets else moved

"""The lattice: each combination of special values, for each quantity those of its formula.

Guarantees that a lattice is the full product of its axes, one row of elements, so that what
compiles for each shape compiles once a quantity and format; and that a lesser density tries nothing
that a greater one does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import Builder, Sampler, drawn
from bce_conformance.reference import Format, ground_truth

from .special_values import (
    BALANCES,
    DIRECTIONS,
    MAGNITUDES,
    POS_WEIGHTS,
    TARGETS,
    WEIGHTS,
    Balance,
    Depth,
    Floats,
    Special,
    rounded,
    values,
)

ASIDE, FEW, MANY, DENSE = Depth
LISTS: Mapping[str, Sequence[Special]] = {
    "logits": MAGNITUDES,
    "targets": TARGETS,
    "weight": WEIGHTS,
    "pos_weight": POS_WEIGHTS,
    "cotangent": DIRECTIONS,
    "tangent": DIRECTIONS,
}

# How deep each axis is at the densities of the quick, the default and the thorough tier. What a
# formula does not contain stays aside: a call has it all the same, or cannot do without it.
Axes = Mapping[str, tuple[Depth, Depth, Depth]]
_SWEPT, _LESS, _LEAST = (FEW, MANY, DENSE), (FEW, MANY, MANY), (FEW, FEW, FEW)
_BESIDE = (ASIDE, ASIDE, ASIDE)
_DIRECTED: Axes = {"logits": _SWEPT, "targets": _LESS, "weight": _LEAST, "pos_weight": _LEAST}
_FACTORS: Axes = {"weight": _LESS, "pos_weight": _LESS, "cotangent": _LEAST}
WEIGHTED: Mapping[str, Axes] = {
    "loss": {"logits": _SWEPT, "targets": _SWEPT, "weight": _LESS, "pos_weight": _LESS},
    "grad_logits": {**_DIRECTED, "cotangent": _LEAST},
    "grad_targets": {"logits": _SWEPT, "targets": _BESIDE, **_FACTORS},
    "grad_weight": {"logits": _SWEPT, "targets": _LESS, **_FACTORS, "weight": _BESIDE},
    "grad_pos_weight": {"logits": _SWEPT, "targets": _LESS, **_FACTORS, "pos_weight": _BESIDE},
    "jvp_logits": {**_DIRECTED, "tangent": _LEAST},
    "hvp_logits": {**_DIRECTED, "tangent": _LEAST},
}
# Without weights and cotangent implementations have other code.
_NEEDED = {"grad_weight": "weight", "grad_pos_weight": "pos_weight"}
_NEEDED |= {"jvp_logits": "tangent", "hvp_logits": "tangent"}
UNWEIGHTED: Mapping[str, Axes] = {
    quantity: {
        "logits": _SWEPT,
        "targets": _SWEPT,
        **({_NEEDED[quantity]: _BESIDE} if quantity in _NEEDED else {}),
    }
    for quantity in WEIGHTED
}


def lattices(quantity: str, density: int) -> tuple[Builder, Builder]:
    """The builders of the lattices of a quantity: with weights, and as far as can be without.

    Args:
        quantity: as in ``LossCall``.
        density: 0, 1 or 2, see ``Tier.lattice``.
    """

    @drawn(f"lattice.weighted {quantity} {density}")
    def weighted(s: Sampler) -> Inputs:
        return lattice(s.format, WEIGHTED[quantity], density)

    @drawn(f"lattice.unweighted {quantity} {density}")
    def unweighted(s: Sampler) -> Inputs:
        return lattice(s.format, UNWEIGHTED[quantity], density)

    return weighted, unweighted


@drawn("lattice.nan with a cotangent")
def nan_with_cotangent(s: Sampler) -> Inputs:
    """NaN among special values of each operand, a cotangent being one."""
    return nan_among(s.format, "cotangent")


@drawn("lattice.nan with a tangent")
def nan_with_tangent(s: Sampler) -> Inputs:
    """NaN among special values of each operand, a tangent being one."""
    return nan_among(s.format, "tangent")


@drawn("lattice.infinite logits with a cotangent")
def infinite_logits_with_cotangent(s: Sampler) -> Inputs:
    """Logits at ±∞ beside special values of all other operands, a cotangent being one."""
    return infinite_logits(s.format, "cotangent")


@drawn("lattice.infinite logits with a tangent")
def infinite_logits_with_tangent(s: Sampler) -> Inputs:
    """Logits at ±∞ beside special values of all other operands, a tangent being one."""
    return infinite_logits(s.format, "tangent")


@drawn("lattice.infinite factors")
def infinite_factors(s: Sampler) -> Inputs:
    """Infinite weights, pos_weights and cotangents among special values."""
    points = few_points(s.format, "cotangent")
    for operand in ("logits", "weight", "cotangent"):
        points[operand] = np.append(points[operand], rounded([np.inf, -np.inf], s.format))
    points["pos_weight"] = np.append(points["pos_weight"], rounded([np.inf], s.format))
    rows = product(points, (), s.format)
    factors = (rows[operand] for operand in ("weight", "pos_weight", "cotangent"))
    chosen = np.logical_or.reduce([np.isinf(factor) for factor in factors])
    return row_of("infinite factors among special values", s.format, rows, chosen)


def contains(quantity: str) -> tuple[str, ...]:
    """The operands that the formula of a quantity contains."""
    return tuple(name for name, depths in WEIGHTED[quantity].items() if depths is not _BESIDE)


def lattice(format_: Format, axes: Axes, density: int) -> Inputs:
    """The product of the special values of some operands, as one row of elements.

    Args:
        format_: that of all operands.
        axes: how deep the axis of each operand is, by density.
        density: 0, 1 or 2, see ``Tier.lattice``.
    """
    depths = {operand: depths[density] for operand, depths in axes.items()}
    points = {operand: axis(operand, format_, depth) for operand, depth in depths.items()}
    balances = [balance for balance in BALANCES if balance.depth <= depths["targets"]]
    rows: dict[str, Any] = product(points, balances, format_)
    sizes = {operand: len(found) for operand, found in points.items()}
    sizes["targets"] += len(balances)
    shape = " × ".join(f"{size} {operand}" for operand, size in sizes.items())
    return Inputs(f"all combinations of {shape}", format_, exhaustive=True, **rows)


def few_points(format_: Format, direction: str) -> dict[str, Array]:
    """A few special values of each operand, the fewest of the logits.

    Args:
        format_: that of all operands.
        direction: ``"cotangent"`` or ``"tangent"``, an operand beside logits, targets and weights.
    """
    operands = ("targets", "weight", "pos_weight", direction)
    points = {operand: axis(operand, format_, FEW) for operand in operands}
    return {"logits": axis("logits", format_, ASIDE), **points}


def nan_among(format_: Format, direction: str) -> Inputs:
    """Each combination of a few special values and NaN that has a NaN; see ``few_points``."""
    nan = rounded([np.nan], format_)
    points = {
        operand: np.append(found, nan) for operand, found in few_points(format_, direction).items()
    }
    rows = product(points, (), format_)
    chosen = np.logical_or.reduce([np.isnan(row) for row in rows.values()])
    return row_of("NaN among special values", format_, rows, chosen)


def infinite_logits(format_: Format, direction: str) -> Inputs:
    """Each combination of a logit at ±∞ and many special values; see ``few_points``."""
    points = {"logits": rounded([np.inf, -np.inf], format_)}
    for operand in ("targets", "weight", "pos_weight"):
        points[operand] = axis(operand, format_, MANY)
    points[direction] = axis(direction, format_, FEW)
    rows = product(points, (), format_)
    return row_of("x = ±∞ beside special values", format_, rows, np.ones(1, bool))


def row_of(
    name: str, format_: Format, rows: Mapping[str, Array], chosen: NDArray[np.bool_]
) -> Inputs:
    """Those elements of some rows that are chosen, as inputs that are all that there are."""
    chosen = np.broadcast_to(chosen, rows["logits"].shape)
    kept: dict[str, Any] = {operand: row[chosen] for operand, row in rows.items()}
    return Inputs(name, format_, exhaustive=True, **kept)


def product(
    points: Mapping[str, Array], balances: Sequence[Balance], format_: Format
) -> dict[str, Array]:
    """Every combination of values of each operand, a row of each.

    Args:
        points: the values of each operand.
        balances: targets after those of ``points`` that depend on the others.
        format_: that of the values.
    """
    sizes = {operand: len(found) for operand, found in points.items()}
    sizes["targets"] += len(balances)
    index = dict(zip(sizes, np.indices(tuple(sizes.values())), strict=True))
    rows = {
        operand: found[index[operand].clip(max=len(found) - 1)].ravel()
        for operand, found in points.items()
    }
    number = index["targets"].ravel() - len(points["targets"])
    for chosen, balance in enumerate(balances):
        at = number == chosen
        pos_weight = rows["pos_weight"][at] if "pos_weight" in rows else np.ones(1)
        rows["targets"][at] = balanced(balance, rows["logits"][at], pos_weight, format_)
    return rows


def axis(operand: str, format_: Format, depth: Depth) -> Array:
    """The values of an operand, each once; logits with both signs; targets that depend on nothing.

    Args:
        operand: a key of ``LISTS``.
        format_: the format of the values.
        depth: up to which they are taken.
    """
    found = values(LISTS[operand], format_, depth)
    return np.concatenate([found, -found]) if operand == "logits" else found


def balanced(balance: Balance, logits: Array, pos_weight: Array, format_: Format) -> Array:
    """Targets of a balance, rounded into the format; a half where it is a quotient of zeros."""
    with np.errstate(invalid="ignore"):
        targets = balance.of(sigmoid(logits), sigmoid(-logits), pos_weight.astype(np.float64))
    return rounded(np.where(np.isnan(targets), 0.5, targets), format_)


def sigmoid(logits: Array) -> Floats:
    """σ(x), correctly rounded to float64, so that the targets are the same on every machine."""
    distinct, inverse = np.unique(logits.astype(np.float64), return_inverse=True)
    zeros = np.zeros_like(distinct)  # there the gradient in the logits is σ
    exact = ground_truth(distinct, zeros, quantity="grad_logits", dtype="float64")
    return np.asarray(exact.nearest[inverse], np.float64)

"""All quantities of a block for results of float32 and narrower: float64 inside."""

from __future__ import annotations

from typing import Any

from ..arithmetic.functions import narrow_exp, narrow_softplus
from ..arithmetic.intrinsics import helper
from ..element.float64 import (
    NARROW_CANCELLATION,
    annihilate,
    coefficient,
    narrow_gradient,
    narrow_inner,
    narrow_slope,
    softplus_negative,
)
from ..element.quantities import (
    BEYOND,
    CANCELLED,
    GRAD_LOGITS,
    GRAD_POS_WEIGHT,
    GRAD_TARGETS,
    GRAD_WEIGHT,
    HESSIAN,
    LOSS,
)
from .block import LENGTH, MARK, RESULTS, SP, E, P, S, V, W, X, Y

# Where results go.
_LOSS = RESULTS + LENGTH * LOSS
_GRAD_LOGITS = RESULTS + LENGTH * GRAD_LOGITS
_GRAD_TARGETS = RESULTS + LENGTH * GRAD_TARGETS
_GRAD_WEIGHT = RESULTS + LENGTH * GRAD_WEIGHT
_GRAD_POS_WEIGHT = RESULTS + LENGTH * GRAD_POS_WEIGHT
_HESSIAN = RESULTS + LENGTH * HESSIAN


@helper
def _exps(b: Any, n: int) -> None:
    for i in range(n):
        b[E + i] = narrow_exp(abs(b[X + i]))


@helper
def _softpluses(b: Any, n: int) -> None:
    for i in range(n):
        b[SP + i] = narrow_softplus(b[E + i])


@helper
def _losses(b: Any, n: int) -> None:
    for i in range(n):
        b[_LOSS + i] = (
            annihilate(b[W + i], narrow_inner(b[X + i], b[Y + i], b[P + i], b[SP + i])) + 0.0
        )


@helper
def _grad_logits(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        b[_GRAD_LOGITS + i], numerator, steady = narrow_gradient(
            b[X + i], 1.0 - b[Y + i], b[P + i] * b[Y + i], b[E + i], b[S + i] * b[W + i]
        )
        needed = CANCELLED if abs(numerator) < NARROW_CANCELLATION * steady else 0
        marked += needed
        b[MARK + i] += needed
    return marked


@helper
def _grad_targets(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        slope, larger = narrow_slope(b[X + i], b[P + i], b[SP + i])
        needed = BEYOND if abs(slope) < NARROW_CANCELLATION * larger else 0
        marked += needed
        b[MARK + i] += needed
        b[_GRAD_TARGETS + i] = annihilate(b[S + i] * b[W + i], slope)
    return marked


@helper
def _grad_weight(b: Any, n: int) -> None:
    for i in range(n):
        b[_GRAD_WEIGHT + i] = annihilate(
            b[S + i], narrow_inner(b[X + i], b[Y + i], b[P + i], b[SP + i])
        )


@helper
def _grad_pos_weight(b: Any, n: int) -> None:
    for i in range(n):
        b[_GRAD_POS_WEIGHT + i] = annihilate(
            b[S + i] * b[W + i] * b[Y + i], softplus_negative(b[X + i], b[SP + i])
        )


@helper
def _hessian(b: Any, n: int) -> None:
    for i in range(n):
        c = coefficient(1.0 - b[Y + i], b[P + i], b[P + i] * b[Y + i])
        d = 1.0 + b[E + i]
        b[_HESSIAN + i] = b[S + i] * b[W + i] * b[V + i] * c * (b[E + i] / (d * d))


@helper
def narrow_stage(b: Any, n: int, wanted: Any) -> int:
    """Fill the wanted results of the first ``n`` elements; returns how many are marked."""
    marked = 0
    _exps(b, n)
    if wanted[LOSS] or wanted[GRAD_WEIGHT] or wanted[GRAD_TARGETS] or wanted[GRAD_POS_WEIGHT]:
        _softpluses(b, n)
    if wanted[LOSS]:
        _losses(b, n)
    if wanted[GRAD_LOGITS]:
        marked += _grad_logits(b, n)
    if wanted[GRAD_TARGETS]:
        marked += _grad_targets(b, n)
    if wanted[GRAD_WEIGHT]:
        _grad_weight(b, n)
    if wanted[GRAD_POS_WEIGHT]:
        _grad_pos_weight(b, n)
    if wanted[HESSIAN]:
        _hessian(b, n)
    return marked

"""All quantities of a block for float64 results: loops over the functions of one element."""

from __future__ import annotations

from typing import Any

from ..arithmetic.functions import wide_exp, wide_softplus
from ..arithmetic.intrinsics import helper
from ..element.double_double import (
    VANISHED,
    WEIGHTED_VANISHED,
    unsafe,
    wide_grad_logits,
    wide_grad_pos_weight,
    wide_grad_targets,
    wide_grad_weight,
    wide_hessian,
    wide_loss,
)
from ..element.quantities import (
    GRAD_LOGITS,
    GRAD_POS_WEIGHT,
    GRAD_TARGETS,
    GRAD_WEIGHT,
    HESSIAN,
    LOSS,
)
from .block import E_REST, LENGTH, MARK, RESTS, RESULTS, S_REST, SP, SP_REST, E, P, S, V, W, X, Y

# Where results go.
_LOSS = RESULTS + LENGTH * LOSS
_LOSS_REST = RESTS + LENGTH * LOSS
_GRAD_LOGITS = RESULTS + LENGTH * GRAD_LOGITS
_GRAD_LOGITS_REST = RESTS + LENGTH * GRAD_LOGITS
_GRAD_TARGETS = RESULTS + LENGTH * GRAD_TARGETS
_GRAD_TARGETS_REST = RESTS + LENGTH * GRAD_TARGETS
_GRAD_WEIGHT = RESULTS + LENGTH * GRAD_WEIGHT
_GRAD_WEIGHT_REST = RESTS + LENGTH * GRAD_WEIGHT
_GRAD_POS_WEIGHT = RESULTS + LENGTH * GRAD_POS_WEIGHT
_GRAD_POS_WEIGHT_REST = RESTS + LENGTH * GRAD_POS_WEIGHT
_HESSIAN = RESULTS + LENGTH * HESSIAN
_HESSIAN_REST = RESTS + LENGTH * HESSIAN


@helper
def _exps(b: Any, n: int) -> None:
    for i in range(n):
        b[E + i], b[E_REST + i] = wide_exp(abs(b[X + i]))


@helper
def _softpluses(b: Any, n: int) -> None:
    for i in range(n):
        b[SP + i], b[SP_REST + i] = wide_softplus(b[E + i], b[E_REST + i])


@helper
def _ranges(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        needed = (
            unsafe(b[W + i]) + unsafe(b[P + i]) + unsafe(b[P + i] * b[Y + i]) + unsafe(b[S + i])
        )
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _losses(b: Any, n: int, vanished: float) -> int:
    marked = 0
    for i in range(n):
        b[_LOSS + i], b[_LOSS_REST + i], needed = wide_loss(
            b[X + i], b[Y + i], b[W + i], b[P + i], b[SP + i], b[SP_REST + i], vanished
        )
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _grad_logits(b: Any, n: int, vanished: float) -> int:
    marked = 0
    for i in range(n):
        b[_GRAD_LOGITS + i], b[_GRAD_LOGITS_REST + i], needed = wide_grad_logits(
            b[X + i],
            b[Y + i],
            b[W + i],
            b[P + i],
            b[E + i],
            b[E_REST + i],
            b[S + i],
            b[S_REST + i],
            vanished,
        )
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _grad_targets(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        b[_GRAD_TARGETS + i], b[_GRAD_TARGETS_REST + i], needed = wide_grad_targets(
            b[X + i], b[W + i], b[P + i], b[SP + i], b[SP_REST + i], b[S + i], b[S_REST + i]
        )
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _grad_weight(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        b[_GRAD_WEIGHT + i], b[_GRAD_WEIGHT_REST + i], needed = wide_grad_weight(
            b[X + i], b[Y + i], b[P + i], b[SP + i], b[SP_REST + i], b[S + i], b[S_REST + i]
        )
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _grad_pos_weight(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        b[_GRAD_POS_WEIGHT + i], b[_GRAD_POS_WEIGHT_REST + i], needed = wide_grad_pos_weight(
            b[X + i], b[Y + i], b[W + i], b[SP + i], b[SP_REST + i], b[S + i], b[S_REST + i]
        )
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def _hessian(b: Any, n: int) -> int:
    marked = 0
    for i in range(n):
        b[_HESSIAN + i], b[_HESSIAN_REST + i], needed = wide_hessian(
            b[X + i],
            b[Y + i],
            b[W + i],
            b[P + i],
            b[E + i],
            b[E_REST + i],
            b[S + i],
            b[S_REST + i],
            b[V + i],
        )
        b[MARK + i] += needed
        marked += needed
    return marked


@helper
def wide_stage(b: Any, n: int, wanted: Any, weighted: bool) -> int:
    """Fill the wanted results of the first ``n`` elements; returns how many are marked."""
    vanished = WEIGHTED_VANISHED if weighted else VANISHED
    marked = 0
    _exps(b, n)
    if weighted:
        marked += _ranges(b, n)
    if wanted[LOSS] or wanted[GRAD_WEIGHT] or wanted[GRAD_TARGETS] or wanted[GRAD_POS_WEIGHT]:
        _softpluses(b, n)
    if wanted[LOSS]:
        marked += _losses(b, n, vanished)
    if wanted[GRAD_LOGITS]:
        marked += _grad_logits(b, n, vanished)
    if wanted[GRAD_TARGETS]:
        marked += _grad_targets(b, n)
    if wanted[GRAD_WEIGHT]:
        marked += _grad_weight(b, n)
    if wanted[GRAD_POS_WEIGHT]:
        marked += _grad_pos_weight(b, n)
    if wanted[HESSIAN]:
        marked += _hessian(b, n)
    return marked

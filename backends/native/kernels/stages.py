"""The first rung of a block: loops over the functions of one element, all quantities.

``narrow_stage`` is for results of float32 and narrower, ``wide_stage`` for float64 results.
"""

from __future__ import annotations

import math
from typing import Any

from ..arithmetic.functions import (
    NARROW_CLAMPING,
    narrow_exp,
    narrow_softplus,
    wide_exp,
    wide_softplus,
)
from ..arithmetic.intrinsics import as_bits, helper, inlined, out_of_line
from ..element import quantities as q
from ..element.double_double import (
    VANISHED,
    out_of_range,
    range_signs,
    unsafe,
    unsafe_product,
    wide_element,
)
from ..element.float64 import narrow_element, suspicion
from .block import (
    ALL,
    ASIDE,
    E_REST,
    GRADIENTS,
    LENGTH,
    MARK,
    MARKED,
    RESTS,
    RESULTS,
    S_REST,
    SP,
    SP_REST,
    E,
    P,
    S,
    V,
    W,
    X,
    Y,
    element_at,
)

# What a call has to be checked for: see ``general.evaluate``.
NOTHING, HARMLESS, WEIGHTS, ALL_FACTORS, WIDE_OPERANDS = range(5)


@inlined
def _needs_softplus(wanted: Any) -> bool:
    return (
        wanted[q.LOSS]
        or wanted[q.GRAD_WEIGHT]
        or wanted[q.GRAD_TARGETS]
        or wanted[q.GRAD_POS_WEIGHT]
    )


@helper
def _ranges(b: Any, n: int, limit: float) -> int:
    """Mark the quantities for which coefficients are out of range, and logits beyond ``limit``."""
    marked = 0
    for i in range(n):
        of = element_at(b, i)
        needed = ALL if out_of_range(of) or abs(of.x) > limit else 0
        needed += GRADIENTS if unsafe(b[S + i]) | unsafe(of.v) else 0
        b[MARK + i] += needed
        marked |= needed
    if marked:
        _set_aside(b, n)
    return marked


@helper
def _set_aside(b: Any, n: int) -> None:
    """Keep the operands of what is marked, and replace them by ordinary numbers.

    Arithmetic with subnormal numbers is slow, and these results are not used.
    """
    out_of_line()
    b[ASIDE:] = b[:E]
    for i in range(n):
        if b[MARK + i] != 0.0:
            b[S + i] = b[V + i] = 1.0
            b[S_REST + i] = 0.0
        if b[MARK + i] >= ALL:
            b[X + i] = b[Y + i] = b[W + i] = b[P + i] = 1.0


@helper
def _bring_back(b: Any) -> None:
    """Undo ``_set_aside``."""
    out_of_line()
    b[:E] = b[ASIDE:]


@helper
def _wide_ranges(b: Any, n: int) -> int:
    """As ``_ranges``, which is not asked where it would find nothing."""
    signs = 0
    unsafe_products = 0
    for i in range(n):
        of = element_at(b, i)
        signs |= range_signs(of.w) | range_signs(of.p) | range_signs(b[S + i]) | range_signs(of.v)
        signs |= as_bits(of.p)
        unsafe_products |= unsafe_product(of)
    return _ranges(b, n, math.inf) if signs < 0 or unsafe_products else 0


@helper
def _narrow_ranges(b: Any, n: int, checks: int) -> int:
    """As ``_ranges``, where that is needed: see ``general.evaluate``."""
    if checks == WIDE_OPERANDS:
        return _ranges(b, n, NARROW_CLAMPING)
    signs = 0
    for i in range(n):
        of = element_at(b, i)
        signs |= suspicion(of.w) | suspicion(of.p) | as_bits(of.p)
    if checks == ALL_FACTORS:
        for i in range(n):
            of = element_at(b, i)
            signs |= suspicion(of.c) | suspicion(of.v)
    return _ranges(b, n, math.inf) if signs < 0 else 0


def _narrow(quantity: int) -> Any:
    """The loop that fills one quantity; not 0 where an element is marked.

    Compiled for itself with its quantity, so that it becomes vector code.
    """

    @helper
    def fill(b: Any, n: int) -> int:
        marked = 0
        for i in range(n):
            value, needed = narrow_element(
                quantity, element_at(b, i), b[E + i], b[SP + i], b[S + i]
            )
            b[RESULTS + quantity * LENGTH + i] = value
            if quantity == q.GRAD_LOGITS or quantity == q.GRAD_TARGETS:  # others are decided
                needed *= MARKED << 2 * quantity
                b[MARK + i] += needed
                marked |= needed
        return marked

    return fill


_narrow_loss, _narrow_grad_logits, _narrow_grad_targets = map(
    _narrow, (q.LOSS, q.GRAD_LOGITS, q.GRAD_TARGETS)
)
_narrow_grad_weight, _narrow_grad_pos_weight, _narrow_hessian = map(
    _narrow, (q.GRAD_WEIGHT, q.GRAD_POS_WEIGHT, q.HESSIAN)
)


@helper
def narrow_stage(b: Any, n: int, wanted: Any, checks: int) -> int:
    """Fill the wanted results of the first ``n`` elements; not 0 where one is marked."""
    aside = _narrow_ranges(b, n, checks) if checks >= WEIGHTS else 0
    marked = aside
    for i in range(n):
        b[E + i] = narrow_exp(abs(b[X + i]))
    if _needs_softplus(wanted):
        for i in range(n):
            b[SP + i] = narrow_softplus(b[E + i])
    if wanted[q.LOSS]:
        marked |= _narrow_loss(b, n)
    if wanted[q.GRAD_LOGITS]:
        marked |= _narrow_grad_logits(b, n)
    if wanted[q.GRAD_TARGETS]:
        marked |= _narrow_grad_targets(b, n)
    if wanted[q.GRAD_WEIGHT]:
        marked |= _narrow_grad_weight(b, n)
    if wanted[q.GRAD_POS_WEIGHT]:
        marked |= _narrow_grad_pos_weight(b, n)
    if wanted[q.HESSIAN]:
        marked |= _narrow_hessian(b, n)
    if aside:
        _bring_back(b)
    return marked


def _wide(quantity: int) -> Any:
    """As ``_narrow``, with rests."""

    @helper
    def fill(b: Any, n: int, vanished: float) -> int:
        marked = 0
        for i in range(n):
            e, sp, s = (
                (b[E + i], b[E_REST + i]),
                (b[SP + i], b[SP_REST + i]),
                (b[S + i], b[S_REST + i]),
            )
            value, rest, needed = wide_element(quantity, element_at(b, i), e, sp, s, vanished)
            b[RESULTS + quantity * LENGTH + i] = value
            b[RESTS + quantity * LENGTH + i] = rest
            needed *= MARKED << 2 * quantity
            b[MARK + i] += needed
            marked |= needed
        return marked

    return fill


_wide_loss, _wide_grad_logits, _wide_grad_targets = map(
    _wide, (q.LOSS, q.GRAD_LOGITS, q.GRAD_TARGETS)
)
_wide_grad_weight, _wide_grad_pos_weight, _wide_hessian = map(
    _wide, (q.GRAD_WEIGHT, q.GRAD_POS_WEIGHT, q.HESSIAN)
)


@helper
def wide_stage(b: Any, n: int, wanted: Any, weighted: bool) -> int:
    """Fill the wanted results of the first ``n`` elements; not 0 where one is marked."""
    vanished = math.inf if weighted else VANISHED
    aside = _wide_ranges(b, n) if weighted else 0
    marked = aside
    for i in range(n):
        b[E + i], b[E_REST + i] = wide_exp(abs(b[X + i]))
    if _needs_softplus(wanted):
        for i in range(n):
            b[SP + i], b[SP_REST + i] = wide_softplus(b[E + i], b[E_REST + i])
    if wanted[q.LOSS]:
        marked |= _wide_loss(b, n, vanished)
    if wanted[q.GRAD_LOGITS]:
        marked |= _wide_grad_logits(b, n, vanished)
    if wanted[q.GRAD_TARGETS]:
        marked |= _wide_grad_targets(b, n, vanished)
    if wanted[q.GRAD_WEIGHT]:
        marked |= _wide_grad_weight(b, n, vanished)
    if wanted[q.GRAD_POS_WEIGHT]:
        marked |= _wide_grad_pos_weight(b, n, vanished)
    if wanted[q.HESSIAN]:
        marked |= _wide_hessian(b, n, vanished)
    if aside:
        _bring_back(b)
    return marked

"""Sums that may cancel or leave float64's range: decided by two rungs of their own.

The first adds products in extended precision, each with an exponent of its own. What that does not
decide, such as a sum of which all that is above 2^-9000 cancels, is added up as integers times
log(1 + exp(−a)) or exp(−a)/(1 + exp(−a)), equal logits together, so that what cancels exactly is
gone (``arithmetic/exact_sums.py``). Guarantees each sum's sign and one rounding.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import Array
from ..arithmetic.double_double import two_sum
from ..arithmetic.exact_sums import UNIT, exact_sum, integer
from ..arithmetic.half import narrow, sticky
from ..arithmetic.intrinsics import helper, inlined, power
from ..arithmetic.quad_double import normal, over, rounded
from ..compiled import default_mode, in_default_mode, kernel, restore_mode
from ..element.addends import Scaled, addends
from ..element.quantities import (
    GRAD_LOGITS,
    GRAD_POS_WEIGHT,
    GRAD_TARGETS,
    GRAD_WEIGHT,
    QUANTITIES,
    Element,
)
from ..element.special import is_finite, is_nan, relevant, special
from ..memory.plans import plans_of
from ..memory.threads import share
from .block import LENGTH, SIZE, V, element_at
from .general import CHUNK, gather

# The state of a sum: three float64 of falling size and the size of all terms, times 2^EXPONENT; the
# sum of what is not finite; which signs there were at all, and of faint products.
HIGH, MIDDLE, LOW, MAGNITUDE, EXPONENT, SPECIAL, POSITIVE, NEGATIVE, FAINT = range(9)
STATE = 9
# Terms of 2^-90, added to 2^-53 of what is left: at most so much of the terms' size may cancel.
_CANCELLATION = 2.0**-30
# Beside a sum of such an exponent, faint products are nothing.
_ABOVE_FAINT = -8000.0
# Of a state that nothing has been added to.
_EMPTY = -1.0e9
# Sums are kept for so many elements of the operand at a time; where it has fewer, for each of a few
# parts of the logits.
PIECE = 8192
_PARTS = 8
# Further apart in exponents, the smaller of two is nothing beside the larger.
_APART = -1000.0


@inlined
def _shift(exponent: float) -> float:
    """2^exponent for an integer up to 0; 0 where that is nothing."""
    return power(int(exponent)) if exponent > _APART else 0.0


@helper
def _place(state: Any, exponent: float) -> float:
    """Bring the state to at least this exponent; what a term of it is to be multiplied by."""
    behind = state[EXPONENT] - exponent
    if behind >= 0.0:
        return _shift(-behind)
    down = _shift(behind)
    for i in range(MAGNITUDE + 1):
        state[i] *= down
    state[EXPONENT] = exponent
    return 1.0


@helper
def _add(state: Any, high: float, low: float) -> None:
    """Add a pair to the three numbers of a state."""
    state[HIGH], first = two_sum(state[HIGH], high)
    middle, second = two_sum(state[MIDDLE], low)
    state[MIDDLE], third = two_sum(middle, first)
    state[LOW] += second + third


@helper
def _note(state: Any, sign: float) -> None:
    if sign > 0.0:
        state[POSITIVE] = 1.0
    if sign < 0.0:
        state[NEGATIVE] = 1.0


@helper
def _take(state: Any, product: Scaled, faint: float) -> None:
    """Add a product, or note one that is faint by its sign."""
    _note(state, product[0])
    if faint != 0.0:
        _note(state, faint)
        state[FAINT] = 1.0
    if product[0] != 0.0:
        scale = _place(state, float(product[2]))
        _add(state, product[0] * scale, product[1] * scale)
        state[MAGNITUDE] += abs(product[0]) * scale


@kernel
def accumulate_carefully(
    plans: Any,
    shape: Any,
    quantity: int,
    first: int,
    last: int,
    undecided: Any,
    states: Any,
) -> None:
    """Add the products of elements ``first`` to ``last`` up into ``states``, where undecided.

    The vector is read as indices into ``states``: that of the broadcast operand's element.
    """
    mode = default_mode()
    b = np.ones(SIZE)
    for start in range(first, last, LENGTH):
        n = min(LENGTH, last - start)
        gather(plans, shape, start, n, b)
        for i in range(n):
            at = int(b[V + i])
            if not undecided[at]:
                continue
            of = relevant(quantity, element_at(b, i))
            state = states[at]
            if is_nan(of):
                state[SPECIAL] = math.nan
                continue
            x = 0.0 if quantity == GRAD_LOGITS else of.x  # whose function has limits
            if not is_finite(Element(x, of.y, of.w, of.p, of.c, of.v)):
                value, _ = special(quantity, of, 1.0, np.int64(53))
                state[SPECIAL] += value
                continue
            up, down, up_faint, down_faint = addends(quantity, of)
            _take(state, up, up_faint)
            _take(state, down, down_faint)
    restore_mode(mode)


@helper
def _merge(state: Any, other: Any) -> None:
    """Add another part's state to this one."""
    scale = _place(state, other[EXPONENT])
    _add(state, other[HIGH] * scale, other[MIDDLE] * scale)
    _add(state, other[LOW] * scale, 0.0)
    state[MAGNITUDE] += other[MAGNITUDE] * scale
    state[SPECIAL] += other[SPECIAL]
    for i in range(POSITIVE, STATE):
        state[i] = max(state[i], other[i])


@helper
def _settled(state: Any, count: float, like: Any) -> tuple[float, bool]:
    """A sum over ``count`` to be rounded to the format of ``like``, and whether it is decided."""
    if not abs(state[SPECIAL]) < math.inf:
        return state[SPECIAL], True
    one_sign = state[POSITIVE] + state[NEGATIVE] < 2.0
    if state[POSITIVE] + state[NEGATIVE] == 0.0:
        return 0.0, True
    left = state[HIGH] + state[MIDDLE] + state[LOW]
    exponent = float(math.frexp(left)[1]) + state[EXPONENT]
    if state[FAINT] != 0.0 and (left == 0.0 or exponent < _ABOVE_FAINT):
        return (-0.0 if state[NEGATIVE] else 0.0), one_sign
    if abs(left) <= _CANCELLATION * state[MAGNITUDE]:
        return 0.0, False
    total = normal(state[HIGH], state[MIDDLE], state[LOW], 0.0, 0.0, int(state[EXPONENT]))
    value, rest = rounded(over(total, count))
    wide = narrow(1.0 + 2.0**-50, like) != narrow(1.0, like)
    return (value if wide else sticky(value, rest)), True


@kernel
def settle_carefully(states: Any, count: float, undecided: Any, out: Any) -> None:
    """Round sums over ``count`` into ``out`` where undecided, and unmark those that it decides.

    ``states`` has a row for each part of the elements; the first is used up.
    """
    mode = default_mode()
    for i in range(out.size):
        if undecided[i]:
            for part in range(1, states.shape[0]):
                _merge(states[0, i], states[part, i])
            value, decided = _settled(states[0, i], count, out[i])
            out[i] = narrow(value, out[i])
            undecided[i] = not decided
    restore_mode(mode)


@kernel
def write(values: Any, places: Any, out: Any) -> None:
    """Round ``values`` into ``out`` at ``places``."""
    mode = default_mode()
    for i in range(values.size):
        out[places[i]] = narrow(values[i], out[places[i]])
    restore_mode(mode)


@dataclass(frozen=True)
class Terms:
    """Which terms are summed: views of one shape, and the element of the operand that each is for.

    Attributes:
        inputs: logits, targets, weight, pos_weight and cotangent, of the shape of the logits; None
            is 1.
        index: of the same shape, the flat index of the operand's element.
        size: how many elements the operand has.
        alone: whether no other operand's elements are summed at the same time, so that threads are
            there for parts of the terms.
    """

    inputs: list[Array | None]
    index: Array
    size: int
    alone: bool

    @property
    def bounds(self) -> list[int]:
        """Where the parts of the terms begin, and the last one ends."""
        blocks = -(-self.index.size // CHUNK)
        parts = min(_PARTS, blocks, PIECE // self.size) if self.alone else 1
        return [part * blocks // parts * CHUNK for part in range(parts)] + [self.index.size]

    def plans(self) -> tuple[Array, Array]:
        """Their descriptor, with the index as the vector, and the merged dimensions."""
        rows = [*self.inputs, self.index, *[None] * QUANTITIES]
        return plans_of(rows, self.index.shape)


def sum_carefully(quantity: int, terms: Terms, count: float, undecided: Array, out: Array) -> None:
    """Sum one gradient into ``out``, whatever cancels, over- or underflows.

    Args:
        quantity: which; the loss is the gradient in a weight of 1 with the weight as cotangent.
        terms: of the sums.
        count: what the sums are divided by.
        undecided: a boolean for each sum, whether it is wanted; used up.
        out: flat, as the kernels see it.
    """
    bounds = terms.bounds
    plans, dimensions = terms.plans()
    states = np.zeros((len(bounds) - 1, terms.size, STATE))
    states[:, :, EXPONENT] = _EMPTY

    def work(first: int, last: int) -> None:
        for part in range(first, last):
            ends = bounds[part], bounds[part + 1]
            accumulate_carefully(plans, dimensions, quantity, *ends, undecided, states[part])

    share(work, len(bounds) - 1)
    settle_carefully(states, count, undecided, out)
    if undecided.any():
        found = _exact_sums(quantity, terms, count, undecided)
        write(np.array(list(found.values())), np.array(list(found), np.int64), out)


class _Tally:
    """A sum as a constant and a coefficient for each size of logit, in units of 2^(−5·UNIT)."""

    def __init__(self) -> None:
        self.constant = 0
        self.coefficients: defaultdict[float, int] = defaultdict(int)

    def add(self, quantity: int, x: float, y: float, w: float, p: float, c: float) -> None:
        """Add the term of one element."""
        common = integer(c) * integer(1.0 if quantity == GRAD_WEIGHT else w)
        if quantity == GRAD_POS_WEIGHT:
            up, down = 0, common * integer(y) << UNIT
        elif quantity == GRAD_TARGETS:
            up, down = -common << 2 * UNIT, common * integer(p) << UNIT
        else:
            up = common * (integer(1.0) - integer(y)) << UNIT
            down = common * integer(p) * integer(y)
        if quantity == GRAD_LOGITS:
            down = -down
        near, far = (up, down) if x >= 0.0 else (down, up)
        a = abs(x)
        if quantity == GRAD_LOGITS:  # 1 − f(a) and f(a), with f(∞) = 0
            self.constant += near << UNIT
            if a < math.inf:
                self.coefficients[a] += far - near << UNIT
        elif near or far:  # a + f(a) and f(a)
            self.constant += near * integer(a)
            self.coefficients[a] += near + far << UNIT


@in_default_mode()
def _exact_sums(quantity: int, terms: Terms, count: float, undecided: Array) -> dict[int, float]:
    """The undecided sums, by index."""
    tallies: defaultdict[int, _Tally] = defaultdict(_Tally)
    index, *inputs = [
        None if row is None else np.atleast_1d(row) for row in (terms.index, *terms.inputs)
    ]
    assert index is not None
    for start in range(0, index.size, CHUNK):
        at = np.unravel_index(np.arange(start, min(index.size, start + CHUNK)), index.shape)
        places = index[at]
        chosen = np.flatnonzero(undecided[places])
        rows = [
            [1.0] * chosen.size if row is None else row[at][chosen].astype(np.float64).tolist()
            for row in inputs
        ]
        for place, x, y, w, p, c in zip(places[chosen].tolist(), *rows, strict=True):
            tallies[place].add(quantity, x, y, w, p, c)
    logarithm = quantity != GRAD_LOGITS
    return {
        place: exact_sum(tally.constant, tally.coefficients, 5 * UNIT, count, logarithm=logarithm)
        for place, tally in tallies.items()
    }

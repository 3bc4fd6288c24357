"""Shapes drawn by hypothesis: of logits, with an operand that broadcasts to them or does not.

Guarantees that the same seed draws the same shapes, however many threads ask.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache
from threading import Lock
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

Shape = tuple[int, ...]
Pair = tuple[Shape, Shape]  # of the logits, of the operand

SOME = 61  # elements: several vectors and a rest, of any width; one size, since backends compile
_LARGEST_SIDE = 5
_LOGITS = array_shapes(min_dims=1, max_dims=4, max_side=_LARGEST_SIDE)
# A backend compiles what it does before it looks at the operand, for each shape of the logits.
_MISFITS_A_SHAPE = 4
_LOCK = Lock()
_T = TypeVar("_T")


@st.composite
def _fitting(draw: st.DrawFn) -> Pair:
    """Logits, and an operand that broadcasts to them."""
    logits = draw(_LOGITS)
    return logits, draw(_operand(logits))


@st.composite
def _operand(draw: st.DrawFn, logits: Shape) -> Shape:
    """An operand that has some of the dimensions of the logits, and 1 for others."""
    kept = draw(st.lists(st.booleans(), min_size=len(logits), max_size=len(logits)))
    operand = tuple(size if keep else 1 for size, keep in zip(logits, kept, strict=True))
    return operand[draw(st.integers(0, len(logits))) :]


@st.composite
def _misfitting(draw: st.DrawFn) -> tuple[Pair, ...]:
    """Logits, and some operands one of whose dimensions is neither 1 nor theirs, nor could be."""
    logits = draw(_LOGITS.filter(lambda shape: max(shape) > 1))
    count = _MISFITS_A_SHAPE
    operands = draw(st.lists(_misfit(logits), min_size=count, max_size=count, unique=True))
    return tuple((logits, operand) for operand in operands)


@st.composite
def _misfit(draw: st.DrawFn, logits: Shape) -> Shape:
    """An operand of which one dimension is wrong."""
    operand = draw(_operand(logits))
    operand = logits[: len(logits) - len(operand)] + operand
    at = draw(st.sampled_from([i for i, size in enumerate(logits) if size > 1]))
    wrong = draw(st.integers(2, _LARGEST_SIDE + 2).filter(lambda size: size != logits[at]))
    broken = (*operand[:at], wrong, *operand[at + 1 :])
    return broken[draw(st.integers(0, at)) :]


def _draw(
    strategy: st.SearchStrategy[_T], count: int, seed_: int, kind: Callable[[_T], Hashable]
) -> tuple[_T, ...]:
    """Up to ``count`` examples, no two of one kind."""
    found: dict[Hashable, _T] = {}

    @seed(seed_)
    @settings(
        max_examples=4 * max(count, 10),  # the first ones are the simplest
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: _T) -> None:
        found.setdefault(kind(value), value)

    with _LOCK:
        collect()
    return tuple(found.values())[-count:]


@cache
def fitting(count: int, seed_: int) -> tuple[Pair, ...]:
    """Up to ``count`` pairs of shapes that broadcast without enlarging the logits."""
    return _draw(_fitting(), count, seed_, lambda pair: pair)


@cache
def misfitting(count: int, seed_: int) -> tuple[Pair, ...]:
    """Up to ``count`` pairs of shapes that do not broadcast at all, of a quarter as many logits."""
    drawn = _draw(_misfitting(), count // _MISFITS_A_SHAPE, seed_, lambda pairs: pairs[0][0])
    return tuple(pair for pairs in drawn for pair in pairs)

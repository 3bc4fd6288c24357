"""Shapes drawn by hypothesis: of logits, with an operand that broadcasts to them or does not.

Guarantees that the same seed draws the same shapes, however many threads ask.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

Shape = tuple[int, ...]
Pair = tuple[Shape, Shape]  # of the logits, of the operand

_LARGEST_SIDE = 5
_LOCK = Lock()
_T = TypeVar("_T")


@st.composite
def _fitting(draw: st.DrawFn) -> Pair:
    """An operand that has some of the dimensions of the logits, and 1 for others."""
    logits = draw(array_shapes(min_dims=1, max_dims=4, max_side=_LARGEST_SIDE))
    kept = draw(st.lists(st.booleans(), min_size=len(logits), max_size=len(logits)))
    operand = tuple(size if keep else 1 for size, keep in zip(logits, kept, strict=True))
    return logits, operand[draw(st.integers(0, len(logits))) :]


@st.composite
def _misfitting(draw: st.DrawFn) -> Pair:
    """An operand one of whose dimensions is neither 1 nor that of the logits, nor could be."""
    logits, operand = draw(_fitting().filter(lambda pair: any(n > 1 for n in pair[0])))
    operand = logits[: len(logits) - len(operand)] + operand
    wide = [i for i, size in enumerate(logits) if size > 1]
    at = draw(st.sampled_from(wide))
    wrong = draw(st.integers(2, _LARGEST_SIDE + 2).filter(lambda size: size != logits[at]))
    broken = (*operand[:at], wrong, *operand[at + 1 :])
    return logits, broken[draw(st.integers(0, at)) :]


def _draw(strategy: st.SearchStrategy[_T], count: int, seed_: int) -> tuple[_T, ...]:
    found: dict[_T, None] = {}

    @seed(seed_)
    @settings(
        max_examples=4 * count,  # some come twice
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: _T) -> None:
        found[value] = None

    with _LOCK:
        collect()
    return tuple(found)[-count:]  # the first ones are the simplest


@cache
def fitting(count: int, seed_: int) -> tuple[Pair, ...]:
    """Up to ``count`` pairs of shapes that broadcast without enlarging the logits."""
    return _draw(_fitting(), count, seed_)


@cache
def misfitting(count: int, seed_: int) -> tuple[Pair, ...]:
    """Up to ``count`` pairs of shapes that do not broadcast at all."""
    return _draw(_misfitting(), count, seed_)

"""Shapes drawn at random: of logits, with an operand that broadcasts to them or does not.

Guarantees that the same seed draws the same shapes, no two of one draw equal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from numpy.random import Generator

from .sampler import generator

Shape = tuple[int, ...]
Pair = tuple[Shape, Shape]  # of the logits, of the operand

SOME = 61  # elements: several vectors and a rest, of any width; one size, since backends compile
_MOST_DIMENSIONS = 4
_LARGEST_SIDE = 5
# A backend compiles what it does before it looks at the operand, for each shape of the logits.
_MISFITS_A_SHAPE = 4
_T = TypeVar("_T")


def fitting(count: int, seed: int) -> tuple[Pair, ...]:
    """``count`` pairs of shapes that broadcast without enlarging the logits."""
    return _distinct(partial(_fitting, generator("shapes.fitting", seed)), count)


def misfitting(count: int, seed: int) -> tuple[Pair, ...]:
    """``count`` pairs of shapes that do not broadcast at all, of a quarter as many logits."""
    random = generator("shapes.misfitting", seed)
    return tuple(
        (logits, operand)
        for logits in _distinct(partial(_sided, random), count // _MISFITS_A_SHAPE)
        for operand in _distinct(partial(_misfit, random, logits), _MISFITS_A_SHAPE)
    )


def _distinct(draw: Callable[[], _T], count: int) -> tuple[_T, ...]:
    """The first ``count`` draws that differ from each other."""
    found: dict[_T, None] = {}
    while len(found) < count:
        found[draw()] = None
    return tuple(found)


def _logits(random: Generator) -> Shape:
    dimensions = random.integers(1, _MOST_DIMENSIONS, endpoint=True)
    return tuple(random.integers(1, _LARGEST_SIDE, dimensions, endpoint=True).tolist())


def _sided(random: Generator) -> Shape:
    """Logits with a dimension that an operand can miss: one of 1 takes any size."""
    while max(shape := _logits(random)) == 1:
        pass
    return shape


def _fitting(random: Generator) -> Pair:
    """Logits, and an operand that broadcasts to them."""
    logits = _logits(random)
    return logits, _operand(random, logits)


def _operand(random: Generator, logits: Shape) -> Shape:
    """An operand that has some of the dimensions of the logits, 1 for others, or lacks them."""
    kept = random.integers(0, 2, len(logits))
    operand = tuple(size if keep else 1 for size, keep in zip(logits, kept, strict=True))
    return operand[random.integers(0, len(logits), endpoint=True) :]


def _misfit(random: Generator, logits: Shape) -> Shape:
    """An operand one of whose dimensions is neither 1 nor that of the logits, nor could be."""
    operand = _operand(random, logits)
    operand = logits[: len(logits) - len(operand)] + operand
    at = random.choice([i for i, size in enumerate(logits) if size > 1])
    wrong = random.choice([n for n in range(2, _LARGEST_SIDE + 3) if n != logits[at]])
    broken = (*operand[:at], int(wrong), *operand[at + 1 :])
    return broken[random.integers(0, at, endpoint=True) :]

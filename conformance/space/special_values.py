"""Special values: the numbers of a format at which formulas of the loss change or break.

Guarantees that each list is data, one line a value with the reason for it, and that the values of
a lesser depth are also values of a greater one. Never draws: each value is the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bce_conformance.backends.calls import Array
from bce_conformance.reference import Format

Floats = NDArray[np.float64]
_LN2 = log(2.0)


class Depth(IntEnum):
    """How many values of an operand are taken: those up to a depth."""

    ASIDE = 0  # the operand does not enter the formula
    FEW = 1  # most other operands vary too
    MANY = 2
    DENSE = 3


@dataclass(frozen=True)
class Special:
    """One value, or some of a kind.

    Attributes:
        of: the value, or what it is in a format; in float64, rounded into the format.
        depth: the least depth at which it is taken.
        why: the reason to try it.
    """

    of: ArrayLike | Callable[[Format], ArrayLike]
    depth: Depth
    why: str

    def within(self, format_: Format) -> Floats:
        """The value or values in a format, as a row."""
        found = self.of(format_) if callable(self.of) else self.of
        return np.asarray(found, np.float64).ravel()


@dataclass(frozen=True)
class Balance:
    """A target that depends on the logit and on pos_weight.

    Attributes:
        of: takes σ(x), σ(−x) and p, all in float64, and gives the target.
        depth, why: as of ``Special``.
    """

    of: Callable[[Floats, Floats, Floats], Floats]
    depth: Depth
    why: str


def rounded(values: ArrayLike, format_: Format) -> Array:
    """Numbers in float64, each rounded into the format."""
    return np.asarray(values, np.float64).astype(format_.dtype)


def values(specials: Sequence[Special], format_: Format, depth: Depth) -> Array:
    """The values up to a depth, in their order, each once by its bits.

    Args:
        specials: one of the lists below.
        format_: the format to round into.
        depth: the greatest depth.
    """
    chosen = [special.within(format_) for special in specials if special.depth <= depth]
    every = rounded(np.concatenate(chosen), format_)
    _, first = np.unique(every.view(format_.bits_dtype), return_index=True)
    return every[np.sort(first)]


def powers_of_two(format_: Format, steps: int) -> Floats:
    """Powers of two from the smallest number of the format to the largest, in equal steps."""
    least = format_.emin - format_.precision + 1
    return np.exp2(np.rint(np.linspace(least, format_.emax, steps + 1)))


def neighbours(values: ArrayLike, format_: Format) -> Floats:
    """The two numbers of the format next to each of some numbers rounded into it."""
    ordinals = format_.ordinal(rounded(values, format_)).ravel()
    either = np.concatenate([ordinals - 1, ordinals + 1])
    return np.asarray(format_.from_ordinal(either)).astype(np.float64)


def loss_scale(format_: Format) -> float:
    """2¹⁶, where loss scaling starts, or the largest power of two of the format."""
    return 2.0 ** min(16, format_.emax)


def vanishing(limit: float) -> float:
    """The |x| at which e^−|x| is ``limit``, a power of two."""
    return -float(np.log2(limit)) * _LN2


def thresholds(format_: Format) -> Floats:
    """The |x| at which formulas change: each where e^−|x| passes a limit.

    In order: where 1 + e^−|x| rounds to 1 even upwards, and to nearest; where e^−|x| is subnormal,
    where it is the last number and where it is zero; where e^|x| overflows.
    """
    limits = [format_.unit_roundoff, format_.unit_roundoff / 2, format_.smallest_normal]
    limits += [format_.smallest_subnormal]
    zero = vanishing(format_.smallest_subnormal) + _LN2  # half of it is no float64
    return np.array([*map(vanishing, limits), zero, (format_.emax + 1) * _LN2])


def tiny_power(format_: Format) -> float:
    """The power of two whose square is the smallest normal number."""
    return 2.0 ** (format_.emin // 2)


def huge_power(format_: Format) -> float:
    """The power of two whose square is just no number of the format any more."""
    return 2.0 ** (format_.emax // 2 + 1)


def above_one(format_: Format) -> float:
    """The number next to 1."""
    return 1 + 2 * format_.unit_roundoff


def below_one(format_: Format) -> float:
    """The number next to 1 on the other side."""
    return 1 - format_.unit_roundoff


ASIDE, FEW, MANY, DENSE = Depth

# Logits, each with both signs; those at ±∞ have a lattice of their own.
MAGNITUDES = (
    Special(0.0, ASIDE, "max(x, 0) and |x| have no derivative, and 0 is its own negative"),
    Special(1.0, ASIDE, "σ and softplus take one formula below it and another above"),
    Special(lambda f: f.largest_finite, ASIDE, "the loss is linear, and twice the logit overflows"),
    Special(lambda f: f.smallest_subnormal, FEW, "half of it is no number"),
    Special(lambda f: f.smallest_normal, FEW, "x·y and x/4 are subnormal"),
    Special(lambda f: f.unit_roundoff, FEW, "1 + x rounds to 1"),
    Special(0.5, FEW, "tables and series begin anew at halves"),
    Special(_LN2, FEW, "e^−x is a half: the first step of a range reduction"),
    Special(2.0, FEW, "an everyday logit"),
    Special(lambda f: vanishing(f.unit_roundoff), FEW, "1 + e^−x rounds to 1"),
    Special(lambda f: vanishing(f.smallest_normal), FEW, "e^−x turns subnormal"),
    Special(lambda f: vanishing(f.smallest_subnormal), FEW, "e^−x is the last number before 0"),
    Special(lambda f: powers_of_two(f, 8), MANY, "each size meets each size of coefficients"),
    Special(lambda f: f.smallest_normal - f.smallest_subnormal, MANY, "the largest subnormal"),
    Special(lambda f: f.smallest_normal + f.smallest_subnormal, MANY, "x/2 loses its last bit"),
    Special(lambda f: 2 * f.unit_roundoff, MANY, "1 + x is the number next to 1"),
    Special(lambda f: 2.0 ** -(f.precision // 2), MANY, "the square of x is about u"),
    Special(below_one, MANY, "the last number of one formula"),
    Special(above_one, MANY, "the first number of the next"),
    Special(8.0, MANY, "σ is nearly 1, and 1 − σ has few digits left"),
    Special(thresholds, MANY, "the formulas change where e^−x passes a limit"),
    Special(lambda f: neighbours((f.emax + 1) * _LN2, f), MANY, "e^x overflows between them"),
    Special(lambda f: f.largest_finite / 2, MANY, "twice the logit is the largest number"),
    Special(lambda f: powers_of_two(f, 32), DENSE, "sizes between those of fewer steps"),
    Special(lambda f: neighbours(thresholds(f), f), DENSE, "the limits from either side"),
    Special(lambda f: neighbours(f.largest_finite / 2, f), DENSE, "twice the logit and overflow"),
    Special((0.25, 0.75, 1.5, 3.0, 4.0, 6.0), DENSE, "moderate logits"),
    Special((10.0, 12.0, 16.0, 20.0, 24.0, 32.0), DENSE, "round numbers that code tells apart"),
    Special((36.0, 40.0, 64.0, 80.0, 100.0, 200.0), DENSE, "clamps are put there"),
    Special((709.0, 710.0, 1000.0, 1e4), DENSE, "float64 overflows in e^x; others are far beyond"),
)

TARGETS = (
    Special(0.0, ASIDE, "a negative"),
    Special(1.0, ASIDE, "a positive"),
    Special(0.5, FEW, "both terms have the same coefficient"),
    Special(1 / 3, FEW, "1 − y is inexact in most formats"),
    Special(lambda f: f.unit_roundoff, FEW, "1 − y is the number next to 1"),
    Special(below_one, FEW, "1 − y is u"),
    Special(lambda f: f.smallest_normal, FEW, "p·y turns subnormal, and w·p·y"),
    Special(-0.0, MANY, "a negative with a sign that must not show"),
    Special(lambda f: f.smallest_subnormal, MANY, "p·y is zero for a p below a half"),
    Special(0.25, MANY, "p·y = 1 − y for a pos_weight of 3"),
    Special(0.9, MANY, "a smoothed positive"),
    Special(lambda f: 1 - 2 * f.unit_roundoff, MANY, "1 − y is 2u"),
    Special(lambda f: f.smallest_normal - f.smallest_subnormal, DENSE, "the largest subnormal"),
    Special(tiny_power, DENSE, "its product with a tiny weight is the smallest normal"),
    Special(lambda f: f.unit_roundoff / 2, DENSE, "1 − y rounds to 1"),
    Special(lambda f: neighbours(0.5, f), DENSE, "1 − y against y, one ulp apart"),
    Special((0.01, 0.1, 0.75, 0.99), DENSE, "labels smoothed and soft"),
)

# After the targets; a quotient of zeros is taken for a half.
BALANCES = (
    Balance(lambda s, t, p: s, FEW, "y at σ(x): the unweighted gradient vanishes"),
    Balance(lambda s, t, p: 1 / (1 + p), MANY, "p·y = 1 − y: both terms have one coefficient"),
    Balance(lambda s, t, p: s / (s + p * t), MANY, "the gradient with pos_weight vanishes"),
    Balance(lambda s, t, p: t, DENSE, "y at σ(−x): far from the balance"),
    Balance(lambda s, t, p: s * (1 - 2.0**-4), DENSE, "near the balance, on one side"),
)

WEIGHTS = (
    Special(0.0, ASIDE, "padding is masked with it: no term is left, 0·∞ neither"),
    Special(3.0, ASIDE, "a factor that is no power of two shows a weight applied twice"),
    Special(1.0, FEW, "the factor that changes nothing"),
    Special(lambda f: f.smallest_normal, FEW, "w·p and w·y underflow"),
    Special(lambda f: f.largest_finite, FEW, "w·p overflows where the result does not"),
    Special(-1.0, FEW, "a negative weight turns every sign"),
    Special(lambda f: f.smallest_subnormal, MANY, "half of it is zero"),
    Special(tiny_power, MANY, "its square is the smallest normal"),
    Special(lambda f: f.unit_roundoff, MANY, "1 + w rounds to 1"),
    Special(below_one, MANY, "next to 1"),
    Special(above_one, MANY, "next to 1 on the other side"),
    Special(huge_power, MANY, "its square overflows"),
    Special(lambda f: -f.largest_finite, MANY, "the largest, negative"),
    Special(-0.0, DENSE, "zero with a sign"),
    Special(lambda f: f.smallest_normal - f.smallest_subnormal, DENSE, "the largest subnormal"),
    Special(lambda f: powers_of_two(f, 8), DENSE, "each size meets each size of other factors"),
)

POS_WEIGHTS = (
    Special(0.0, ASIDE, "the term of the positives goes, also where softplus is infinite"),
    Special(3.0, ASIDE, "p·y = 1 − y for a target of 1/4"),
    Special(1.0, FEW, "the factor that changes nothing"),
    Special(lambda f: f.smallest_normal, FEW, "w·p and p·y underflow"),
    Special(lambda f: f.largest_finite, FEW, "w·p overflows where the result does not"),
    Special(lambda f: f.unit_roundoff, FEW, "1 + p rounds to 1"),
    Special(lambda f: f.smallest_subnormal, MANY, "half of it is zero"),
    Special(tiny_power, MANY, "its square is the smallest normal"),
    Special(below_one, MANY, "next to 1"),
    Special(above_one, MANY, "next to 1 on the other side"),
    Special(huge_power, MANY, "its square overflows"),
    Special(lambda f: 1 / f.unit_roundoff, MANY, "p + 1 is the last sum that is exact"),
    Special(-0.0, DENSE, "zero with a sign"),
    Special(lambda f: f.smallest_normal - f.smallest_subnormal, DENSE, "the largest subnormal"),
    Special(lambda f: powers_of_two(f, 8), DENSE, "each size meets each size of other factors"),
)

# Of cotangents and of tangents.
DIRECTIONS = (
    Special(1.0, ASIDE, "the factor that changes nothing"),
    Special(-1.0, FEW, "a negative one turns every sign"),
    Special(0.0, FEW, "a masked loss: no gradient, 0·∞ neither"),
    Special(loss_scale, FEW, "loss scaling in mixed precision"),
    Special(tiny_power, FEW, "c·w underflows"),
    Special(lambda f: f.smallest_subnormal, FEW, "half of it is zero"),
    Special(lambda f: f.largest_finite, MANY, "c·w overflows where the result does not"),
    Special(lambda f: f.smallest_normal, MANY, "all products with it are subnormal"),
    Special(3.0, MANY, "a factor that is no power of two shows a cotangent applied twice"),
    Special(-0.0, DENSE, "zero with a sign"),
    Special(lambda f: f.unit_roundoff, DENSE, "a small gradient"),
    Special(lambda f: -huge_power(f), DENSE, "its square overflows"),
)

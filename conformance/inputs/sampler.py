"""The sampler: random and curated values of one format, and the builders that draw inputs with it.

Guarantees that the same name, seed and format draw the same values, each of them a number of the
format.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array
from bce_conformance.reference import Format

from .bounds import Floats
from .inputs import Inputs

POOL_SIZE = 15_000  # elements that are drawn at once
# A pool as a matrix, less a few elements: a multiple of every vector's width, so that how the last
# elements of an array are treated shows only where that is asked (LAY-11).
MATRIX_SHAPE = (48, 60)


def generator(name: str, seed: int) -> np.random.Generator:
    """A generator of its own for each name of what is drawn and each seed."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


class Sampler:
    """Draws values of one format, the same ones for the same name, seed and tier.

    Args:
        format_: the format of all that is drawn.
        name: a name of what is drawn: different requirements draw independently.
        seed: the run's seed.
        size: how many elements a pool has.
    """

    def __init__(self, format_: Format, name: str, seed: int, size: int) -> None:
        self.format = format_
        self.size = size
        self.random = generator(f"{format_.name} {name}", seed)

    def cast(self, values: Any) -> Array:
        """Round values into the format."""
        with np.errstate(over="ignore"):
            return np.asarray(values, dtype=np.float64).astype(self.format.dtype)

    def fill(self, *curated: Any, random: Floats) -> Array:
        """``size`` elements: all curated values, then random ones, shuffled.

        Raises:
            ValueError: there is no room for the curated values.
        """
        edges = np.concatenate([np.asarray(values, np.float64).ravel() for values in curated])
        if len(edges) > self.size:
            raise ValueError(f"curated has {len(edges)} values, size is {self.size}")
        values = np.concatenate([edges, random.ravel()[: self.size - len(edges)]])
        return self.random.permutation(self.cast(values))

    def inputs(self, name: str, logits: Array, targets: Array, **operands: Any) -> Inputs:
        """Inputs of this format under a name for the evidence; ``operands`` as in ``Inputs``."""
        return Inputs(name, self.format, logits, targets, **operands)

    # --- magnitudes ----------------------------------------------------------------------------

    def log_uniform(self, low: float, high: float) -> Floats:
        """Magnitudes whose logarithm is uniform between those of ``low`` and ``high``."""
        draws: Floats = np.exp2(self.random.uniform(np.log2(low), np.log2(high), self.size))
        return np.minimum(draws, high)

    def uniform(self, low: float, high: float) -> Floats:
        """Magnitudes uniform between ``low`` and ``high``."""
        return self.random.uniform(low, high, self.size)

    def thresholds(self) -> Floats:
        """The |x| at which formulas of this format change: each where e^−|x| passes a limit.

        In order: where 1 + e⁻ˣ rounds to 1, where e⁻ˣ is subnormal, where it is zero, where eˣ
        overflows; each with its neighbours at distances of 2⁻¹⁰ to 1 and of one to three ulps.
        """
        f = self.format
        passed = [f.unit_roundoff, f.unit_roundoff / 2, f.smallest_normal, f.smallest_subnormal]
        limits = -np.log(passed)
        vanished = limits[-1] + np.log(2)  # e⁻ˣ is half the smallest subnormal
        limits = np.append(limits, [vanished, np.log(f.largest_finite)])
        near = np.array([0, *(s * 2.0**-k for k in range(0, 11, 2) for s in (-1, 1))])
        around = (limits[:, None] + near).ravel()
        ulps = np.arange(-3, 4) * (limits * 2 * f.unit_roundoff)[:, None] + limits[:, None]
        return np.concatenate([around, ulps.ravel()])

    def tail(self) -> Array:
        """Magnitudes from 1 to beyond the last |x| whose e^−|x| is not zero."""
        last = -np.log(self.format.smallest_subnormal) + 2
        inside = self.thresholds()
        inside = inside[(inside >= 1) & (inside <= last)]
        return self.fill([1.0, last], inside, random=self.uniform(1, last))

    def huge(self) -> Array:
        """Magnitudes from where e^−|x| is zero up to the largest finite number."""
        f = self.format
        start = -np.log(f.smallest_subnormal) + 1
        edges = self.cast(
            [
                f.largest_finite,
                f.largest_finite / 2,
                f.largest_finite * (1 - 2 * f.unit_roundoff),
                start,
            ]
        )
        return self.fill(edges, random=self.log_uniform(start, f.largest_finite))

    def tiny(self) -> Array:
        """Signed values below u in magnitude: subnormal numbers and both zeros among them."""
        f = self.format
        edges = np.array([0.0, f.smallest_subnormal, 2 * f.smallest_subnormal, f.smallest_normal])
        edges = np.append(edges, [f.smallest_normal - f.smallest_subnormal, f.unit_roundoff])
        count = self.random.integers(1, 2 ** (f.precision - 1), self.size // 3)
        spread = self.log_uniform(f.smallest_subnormal, f.unit_roundoff)
        signs = self.random.choice([-1.0, 1.0], self.size)
        subnormal = count * f.smallest_subnormal * signs[: count.size]
        return self.fill(edges, -edges, subnormal, random=spread * signs)

    def subnormal_counts(self) -> NDArray[np.int64]:
        """The magnitudes of subnormal numbers, in units of the smallest."""
        return self.random.integers(1, 2 ** (self.format.precision - 1), self.size)

    def fragile(self) -> Array:
        """Logits in [−4, 1] at which e⁻ˣ lies near the middle between two numbers of the format.

        Two ways to compute the exponential that differ in their last digits differ in what they
        round to there, if anywhere. Beyond x = 1 the difference is lost in 1 + e⁻ˣ.
        """
        candidates = self.cast(self.random.uniform(-4, 1, 32 * self.size))
        wider: Any = np.longdouble if self.format.name == "float64" else np.float64
        exponential = np.exp(-candidates.astype(wider))
        fraction = exponential / self.format.ulp(exponential) % 1
        nearest = np.argpartition(np.abs(fraction - 0.5), self.size)[: self.size]
        return self.random.permutation(candidates[nearest])

    def diverse(self) -> Array:
        """Logits of both signs: half of them moderate, half of any size, and zeros."""
        is_moderate = self.random.integers(0, 2, self.size) > 0
        magnitudes = np.where(is_moderate, self.cast(self.uniform(0, 8)), self.every_magnitude())
        zeros = self.random.permutation(self.size)[: self.size // 100]
        magnitudes[zeros] = 0
        return self.signed(magnitudes)

    def divisive(self) -> Array:
        """Logits at which implementations part: three quarters fragile, the others diverse."""
        is_fragile = self.random.integers(0, 4, self.size) > 0
        return np.where(is_fragile, self.fragile(), self.diverse())

    def every_magnitude(self) -> Array:
        """Magnitudes from the smallest subnormal to the largest finite number.

        A third log-uniform over the whole range, a third log-uniform in 2⁻¹⁰…2¹⁰, the rest around
        the thresholds of the format and uniform in bit space.
        """
        f = self.format
        bits = self.random.integers(1, f.ordinal(f.largest_finite), self.size)
        spaced = np.asarray(f.from_ordinal(bits)).astype(np.float64)
        whole = self.log_uniform(f.smallest_subnormal, f.largest_finite)
        middle = self.log_uniform(2.0**-10, 2.0**10)
        third = self.size // 3
        random = np.concatenate([whole[:third], middle[:third], spaced])
        edges = [f.largest_finite, f.smallest_normal, f.smallest_subnormal, 0.0, 1.0]
        return self.fill(edges, self.thresholds(), random=random)

    def signed(self, magnitudes: Array) -> Array:
        """The magnitudes with random signs."""
        signs = self.random.choice([-1.0, 1.0], magnitudes.shape)
        return self.cast(magnitudes.astype(np.float64) * signs)

    # --- targets and weights -------------------------------------------------------------------

    def hard(self) -> Array:
        """Targets 0 and 1."""
        return self.cast(self.random.integers(0, 2, self.size))

    def constant(self, value: float) -> Array:
        """``size`` times one value."""
        return self.cast(np.full(self.size, value))

    def soft(self) -> Array:
        """Targets uniform in the open interval (0, 1)."""
        f = self.format
        return self.cast(np.clip(self.uniform(0, 1), f.smallest_normal, 1 - f.unit_roundoff))

    def nearly_hard(self) -> Array:
        """Targets ε and 1 − ε, with ε from 0.1 down to one unit in the last place."""
        f = self.format
        epsilon = self.fill(
            [0.1, 0.05, 0.01, f.unit_roundoff, 2 * f.unit_roundoff],
            random=self.log_uniform(f.unit_roundoff, 0.1),
        )
        ones = self.random.integers(0, 2, self.size).astype(bool)
        near_one = self.cast(np.minimum(1 - epsilon.astype(np.float64), 1 - f.unit_roundoff))
        return np.where(ones, near_one, epsilon)

    def any_target(self) -> Array:
        """A quarter each: 0, 1, soft, nearly hard."""
        kinds = np.stack(
            [self.constant(0), self.constant(1), self.soft(), self.nearly_hard()], axis=0
        )
        return kinds[self.random.integers(0, 4, self.size), np.arange(self.size)]

    def balanced(self, logits: Array) -> Array:
        """Targets at and near σ(x), where the gradient in the logits nearly vanishes."""
        f = self.format
        sigmoid = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -700, 700)))
        near = sigmoid * (1 + self.random.integers(-3, 4, self.size) * 2 * f.unit_roundoff)
        return self.cast(np.clip(near, f.smallest_normal, 1 - f.unit_roundoff))

    def positive(self, low: float = 2.0**-8, high: float = 2.0**8) -> Array:
        """Positive weights, log-uniform."""
        return self.cast(self.log_uniform(low, high))

    def every_size(self) -> Array:
        """Weights of every magnitude that the format holds; one in a hundred is zero."""
        f = self.format
        edges = [f.smallest_subnormal, f.smallest_normal, f.largest_finite]
        random = self.log_uniform(f.smallest_subnormal, f.largest_finite)
        return self.fill(np.zeros(self.size // 100), edges, random=random)

    def cotangent(self) -> Array:
        """Cotangents of both signs and of sizes around 1."""
        return self.signed(self.positive(0.25, 4.0))


@dataclass(frozen=True)
class Builder:
    """Draws inputs under a name of its own.

    The name seeds the draws, and witnesses of the ledger name the pool by it: under another name
    other inputs are drawn. In which module a builder is, and what it is called there, is free.
    """

    name: str
    draw: Callable[[Sampler], Inputs]

    def __call__(self, s: Sampler) -> Inputs:
        """Draw once."""
        return self.draw(s)


def drawn(name: str) -> Callable[[Callable[[Sampler], Inputs]], Builder]:
    """Make a function the builder of that name."""
    return partial(Builder, name)


def matrix_of(s: Sampler, logits: Array, targets: Array, name: str) -> Inputs:
    """A pool's logits and targets as a matrix, with weights of their shape."""
    pools = (logits, targets, s.positive(0.25, 4.0), s.positive(0.25, 4.0))
    elements = int(np.prod(MATRIX_SHAPE))
    x, y, w, p = (pool[:elements].reshape(MATRIX_SHAPE) for pool in pools)
    return s.inputs(name, x, y, weight=w, pos_weight=p)


@drawn("inputs.assorted")
def assorted(s: Sampler) -> Inputs:
    """A matrix of logits, targets and weights of every kind."""
    return matrix_of(s, s.divisive(), s.any_target(), "a matrix of all kinds")

"""Inputs of the matrix: seeded, reproducible pools of logits, targets and weights per format.

A pool guarantees that its arrays are exactly representable in its format, that its size is as asked
(so that compiled frameworks compile one shape, not fifty) and that its truth is computed once.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array, LossCall
from bce_conformance.reference import Format, Truth, ground_truth
from bce_conformance.results.cells import OPERANDS

from .judge import Bounds, bounds_for

Floats = NDArray[np.float64]

POOL_SIZE = 15_000  # elements that are drawn at once
# A pool as a matrix, less a few elements: a multiple of every vector's width, so that how the last
# elements of an array are treated shows only where that is asked (LAY-11).
MATRIX_SHAPE = (48, 60)

# The second derivative takes the place of the HVP: the Hessian is diagonal, the tangent its factor.
_TRUTH_QUANTITY = {"hvp_logits": "hess_logits", "jvp_logits": "grad_logits"}


@dataclass(frozen=True, eq=False)
class Source:
    """Where inputs come from.

    Attributes:
        pool: the name of the builder that draws them.
        lasting: whether every run has them, whatever its seed; for a row element by element.
        draw: the name of the one draw that they are; empty where each element is for itself.
        seed: that of the draw.
        near: whether they were searched near other inputs rather than drawn.
    """

    pool: str
    lasting: bool | NDArray[np.bool_]
    draw: str = ""
    seed: int = 0
    near: bool = False


@dataclass(frozen=True, eq=False)
class Inputs:
    """The operands of a call, with their truth.

    Attributes:
        name: what they are, for the evidence.
        format: the format of the logits, and of all operands unless they are ``mixed``.
        logits, targets, weight, pos_weight, cotangent, tangent, reduction: as in ``LossCall``.
        exhaustive: whether these are all inputs that the requirement names.
        source: where they come from; None where that is not of interest.
    """

    name: str
    format: Format
    logits: Array
    targets: Array
    weight: Array | None = None
    pos_weight: Array | None = None
    cotangent: Array | None = None
    tangent: Array | None = None
    reduction: str = "none"
    exhaustive: bool = False
    source: Source | None = None
    _truths: dict[str, Truth] = field(default_factory=dict, repr=False, init=False)
    _bounds: dict[str, Bounds] = field(default_factory=dict, repr=False, init=False)
    _lock: RLock = field(default_factory=RLock, repr=False, init=False)

    def call(self, *quantities: str, device: str = "cpu") -> LossCall:
        """The call that evaluates these inputs."""
        return LossCall(
            self.logits,
            self.targets,
            self.weight,
            self.pos_weight,
            self.reduction,
            quantities or ("loss",),
            self.cotangent,
            self.tangent,
            device,
        )

    def truth(self, quantity: str) -> Truth:
        """The exact values of one quantity, computed at the first request."""
        with self._lock:
            if quantity not in self._truths:
                self._truths[quantity] = self._exact(quantity)
            return self._truths[quantity]

    def bounds(self, quantity: str) -> Bounds:
        """What the levels allow for one quantity, computed at the first request."""
        with self._lock:
            if quantity not in self._bounds:
                self._bounds[quantity] = bounds_for(self.call(quantity), quantity)
            return self._bounds[quantity]

    def with_truth(self, quantity: str, truth: Truth) -> Inputs:
        """These inputs, judged against exact values that are known in another way."""
        inputs = replace(self)
        inputs._truths[quantity] = truth
        return inputs

    def drawn_from(self, source: Source) -> Inputs:
        """These inputs, with where they come from."""
        inputs = replace(self, source=source)
        inputs._truths.update(self._truths)
        inputs._bounds.update(self._bounds)
        return inputs

    def _exact(self, quantity: str) -> Truth:
        forward = quantity in ("loss", "jvp_logits")
        directed = quantity in _TRUTH_QUANTITY
        return ground_truth(
            self.logits,
            self.targets,
            self.weight,
            self.pos_weight,
            quantity=_TRUTH_QUANTITY.get(quantity, quantity),
            reduction="none" if directed else self.reduction,
            cotangent=self.tangent if directed else None if forward else self.cotangent,
            dtype=self.format.name,
            cached=self.source is None or not self.source.near,
        )

    def given(self) -> dict[str, Array]:
        """The operands that there are, by name."""
        every = {name: getattr(self, name) for name in OPERANDS}
        return {name: operand for name, operand in every.items() if operand is not None}

    def rows(self) -> dict[str, Array]:
        """The operands that have a value for each element."""
        return {name: operand for name, operand in self.given().items() if operand.ndim}

    def is_row(self) -> bool:
        """Whether each element stands for itself."""
        shapes = {operand.shape for operand in self.rows().values()}
        return shapes == {self.logits.shape} and self.logits.ndim == 1 and not self.exhaustive

    @property
    def nbytes(self) -> int:
        """Bytes of the operands and of all that was computed of them."""
        operands = sum(operand.nbytes for operand in self.given().values())
        # Copies: other threads add to both, and hold the lock for as long as a truth takes.
        truths = sum(truth.nbytes for truth in list(self._truths.values()))
        scales = sum(bounds.scale.nbytes for bounds in list(self._bounds.values()))
        return operands + truths + scales

    @property
    def mixed(self) -> bool:
        """Whether an operand is of another type than the logits."""
        operands = (self.targets, self.weight, self.pos_weight)
        return any(array is not None and array.dtype != self.format.dtype for array in operands)

    def operand(self, quantity: str) -> Array | None:
        """The operand that a gradient belongs to."""
        operand: Array | None = getattr(self, quantity.split("_", 1)[1])
        return operand


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
        self.random = np.random.default_rng([seed, zlib.crc32(f"{format_.name} {name}".encode())])

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


def hex_of(value: object) -> str:
    """A number as C99 hex, exact; every format embeds in float64."""
    return float(np.asarray(value).astype(np.float64)).hex()


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


def every_finite_pattern(format_: Format) -> Array:
    """Every finite number of a 16-bit format, both zeros included."""
    sign = np.uint16(2**15)
    magnitudes = np.arange(int(format_.ordinal(format_.largest_finite)) + 1, dtype=np.uint16)
    return np.concatenate([magnitudes, magnitudes | sign]).view(format_.dtype)


def repeated(base: Inputs, times: int) -> Inputs:
    """``base`` as often as said, end to end, with its truth at no more cost.

    The exact sum is ``times`` that of ``base``, and the exact mean is that of ``base``.
    """
    weighted = np.float64(times) if base.reduction == "sum" else None
    truth = ground_truth(
        base.logits,
        base.targets,
        weighted,
        base.pos_weight,
        reduction=base.reduction,
        dtype=base.format.name,
    )
    inputs = replace(
        base,
        name=f"{base.name}, {base.logits.size * times:,} elements",
        logits=np.tile(base.logits, times),
        targets=np.tile(base.targets, times),
    )
    inputs._truths["loss"] = truth
    bounds = base.bounds("loss")
    growth = np.log2(times) if base.reduction == "sum" else 0.0
    inputs._bounds["loss"] = Bounds(bounds.scale + growth, None, bounds.terms * times)
    return inputs

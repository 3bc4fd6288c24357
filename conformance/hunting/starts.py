"""Starts: the elements that a hunt begins with, each time it begins anew.

Guarantees that the starts of one seed are the same in every hunt, and that their logits visit every
finite bit pattern of a 16-bit format before one comes again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array
from bce_conformance.conformance.inputs.inputs import Inputs, Source
from bce_conformance.conformance.inputs.sampler import POOL_SIZE, Sampler, generator
from bce_conformance.conformance.sweeping.plan import bits_of
from bce_conformance.reference import Format

_WALK = POOL_SIZE // 2  # elements of a start that walk through the bit patterns
_AROUND = np.arange(-2, 3)  # ulps about an edge
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Region:
    """Where a hunt looks.

    Attributes:
        format: of all operands.
        targets: the only targets; empty for all from 0 to 1.
        weighted: whether weight and pos_weight are searched too.
        edges: logits about which each start looks, such as the ends of intervals of a sweep.
    """

    format: Format
    targets: tuple[float, ...] = ()
    weighted: bool = False
    edges: tuple[float, ...] = ()

    def within(self, inputs: Inputs) -> Array:
        """The targets of elements, where only some are allowed the nearest of these."""
        if not self.targets:
            return inputs.targets
        allowed = np.sort(np.array(self.targets))
        middles = (allowed[1:] + allowed[:-1]) / 2
        nearest = allowed[np.searchsorted(middles, inputs.targets.astype(np.float64))]
        return np.asarray(nearest.astype(self.format.dtype))


class Starts:
    """The elements of one start after another.

    Half of them walk through the bit patterns in steps of the golden ratio, so that the patterns
    visited are spread evenly at any time. The others are drawn as checks draw theirs: of every
    magnitude, with the thresholds of the format, and targets near σ(x).

    Args:
        region: where to look.
        name: of what is hunted: each name has starts of its own.
        seed: of all draws.
    """

    def __init__(self, region: Region, name: str, seed: int) -> None:
        self._region, self._name, self._seed = region, name, seed
        self._count = 0

    def next(self) -> Inputs:
        """The next start: a row of ``POOL_SIZE`` finite elements."""
        format_ = self._region.format
        name = f"hunt {self._name} {self._count}"
        drawn = Sampler(format_, name, self._seed, POOL_SIZE - _WALK)
        walking = Sampler(format_, f"{name} walk", self._seed, _WALK)
        walk, turn = self._walk()
        logits = np.concatenate([walk, self._about_edges(drawn)])
        targets = np.concatenate([self._targets(walking, walk, turn), self._drawn_targets(drawn)])
        weights: dict[str, Any] = {}
        if self._region.weighted:
            for operand in ("weight", "pos_weight"):
                weights[operand] = np.concatenate([walking.positive(), drawn.every_size()])
        self._count += 1
        source = Source("hunt", lasting=False, near=True)
        return Inputs("hunt", format_, logits, targets, source=source, **weights)

    def _walk(self) -> tuple[Array, NDArray[np.uint64]]:
        """Logits on the way through the patterns, and how often each was visited before."""
        format_ = self._region.format
        bits = bits_of(format_)
        step = np.uint64(int(_GOLDEN * (1 << bits)) | 1)  # odd: every pattern comes once a round
        numbers = np.arange(_WALK, dtype=np.uint64) + np.uint64(self._count * _WALK)
        begin = np.uint64(generator(f"hunt {self._name}", self._seed).integers(1 << 63))
        with np.errstate(over="ignore"):
            patterns = numbers * step + begin
        mask = np.uint64((1 << bits) - 1)
        logits = (patterns & mask).astype(format_.bits_dtype).view(format_.dtype)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            finite = np.isfinite(logits.astype(np.float64))
        logits = np.where(finite, logits, np.zeros(1, format_.dtype))
        return logits, numbers >> np.uint64(bits) if bits < 64 else np.zeros_like(numbers)

    def _targets(self, s: Sampler, logits: Array, turn: NDArray[np.uint64]) -> Array:
        """Targets of the walk: in each round through the patterns the next of those allowed."""
        if self._region.targets:
            allowed = np.array(self._region.targets, s.format.dtype)
            return np.asarray(allowed[(turn + np.uint64(self._seed)) % np.uint64(allowed.size)])
        one = int(s.format.ordinal(1.0))
        spread = np.asarray(s.format.from_ordinal(s.random.integers(0, one + 1, s.size)))
        kinds = np.stack([s.any_target(), spread, s.balanced(logits), s.hard()])
        return np.asarray(kinds[s.random.integers(0, len(kinds), s.size), np.arange(s.size)])

    def _about_edges(self, s: Sampler) -> Array:
        """Logits of every magnitude, with those about the edges."""
        logits = s.signed(s.every_magnitude())
        edges = np.array(self._region.edges, s.format.dtype)
        if edges.size:
            last = int(s.format.ordinal(s.format.largest_finite))
            about = (s.format.ordinal(edges)[:, None] + _AROUND).ravel()
            chosen = s.random.permutation(np.clip(about, -last, last))[: s.size // 2]
            logits[: chosen.size] = s.format.from_ordinal(chosen)
        return logits

    def _drawn_targets(self, s: Sampler) -> Array:
        if not self._region.targets:
            return s.any_target()
        return s.cast(s.random.choice(np.array(self._region.targets), s.size))

"""The calls that a run draws: those that cover the space, then others at random.

Guarantees that all backends get the same calls, and that the exact results of a call are computed
once for all of them: those of small calls are kept in memory, those of large ones on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Lock

import numpy as np

from bce_conformance.backends.calls import LossCall
from bce_conformance.conformance.judging.calls import ExpectedCall, expectations
from bce_conformance.conformance.space.costly import is_costly
from bce_conformance.conformance.space.drawing import draw
from bce_conformance.conformance.space.factors import FACTORS, Combination
from bce_conformance.conformance.space.parts import MADE, USUAL
from bce_conformance.conformance.space.rules import covering, repaired
from bce_conformance.conformance.space.spared import spared
from bce_conformance.conformance.tiers import Tier

_KEPT = 4_000  # calls: more than cover the space with triples
SMALL = 1_000  # elements of calls, and of what came of them, that are kept as they are

Key = tuple[tuple[str, ...], int]  # the levels of a combination, and its number


class CallStore:
    """Draws calls once for all backends, or for all to which a new shape costs much.

    What a combination draws is the same in every run; the seed is that of the combinations beyond
    the covering array.

    Args:
        seed: the run's.
        few_shapes: whether the calls are for backends to which each new shape costs much: then they
            have as few as the levels about shapes allow.
    """

    def __init__(self, seed: int, *, few_shapes: bool = False) -> None:
        self.seed = seed
        self._few_shapes = few_shapes
        self._kept: dict[Key, ExpectedCall] = {}
        self._random: dict[tuple[str, int], list[dict[str, str]]] = {}
        self._lock = Lock()
        self._at_work: dict[Key, Lock] = {}  # held by who computes the results of a call

    def get(
        self, levels: Combination, number: int = 0, drawn: LossCall | None = None
    ) -> ExpectedCall:
        """The call of a combination, with its exact results; ``drawn`` is that call, if at hand."""
        key = (tuple(levels[factor.name] for factor in FACTORS), number)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                return found
            at_work = self._at_work.setdefault(key, Lock())
        with at_work:  # others compute other calls meanwhile
            found = self._kept.get(key)
            if found is None:
                call = drawn or self.call(levels, number)
                is_small = call.logits.size <= SMALL
                found = expectations(call, cached=not is_small)
                if is_small and len(self._kept) < _KEPT:
                    self._kept[key] = found
        with self._lock:
            self._at_work.pop(key, None)
        return found

    def call(self, levels: Combination, number: int = 0) -> LossCall:
        """The call of a combination, without exact results."""
        return draw(levels, number, few_shapes=self._few_shapes)

    def planned(self, tier: Tier, dtype: str) -> Iterator[tuple[Combination, int]]:
        """The combinations that a tier draws in a format, with the numbers of their calls.

        Numbers begin at 0 in each set: what it draws does not hang on how many calls others have.

        Args:
            tier: says how many.
            dtype: of the logits.
        """
        for combinations in self._planned_sets(tier, dtype):
            yield from numbered(combinations)

    def _planned_sets(self, tier: Tier, dtype: str) -> Iterator[Iterable[dict[str, str]]]:
        if tier.usual_calls[self._few_shapes]:
            yield USUAL.combinations(dtype)
            yield MADE.combinations(dtype)
            yield spared(dtype)
        for strength in tier.call_strengths[self._few_shapes]:
            yield (levels for levels in covering(strength) if levels["dtype"] == dtype)
        yield self.random(dtype, tier.random_calls[self._few_shapes])

    def random(self, dtype: str, count: int) -> list[dict[str, str]]:
        """Combinations at random, other ones with each seed; chosen once for all backends."""
        with self._lock:
            if (dtype, count) not in self._random:
                self._random[dtype, count] = list(_random(self.seed, dtype, count))
            return self._random[dtype, count]


def numbered(combinations: Iterable[Combination]) -> Iterator[tuple[Combination, int]]:
    """Combinations, each with the number of its call."""
    return ((levels, number) for number, levels in enumerate(combinations))


def _random(seed: int, dtype: str, count: int) -> Iterator[dict[str, str]]:
    random = np.random.default_rng([seed, count])
    while count:
        factor = FACTORS[int(random.integers(len(FACTORS)))]
        levels = {f.name: f.names[int(random.integers(len(f.names)))] for f in FACTORS}
        levels["dtype"] = dtype
        found = repaired(levels, keep=factor.name)
        if found is not None and found["dtype"] == dtype and not is_costly(found):
            count -= 1
            yield found

"""The calls that a run draws: those that cover the space, then others at random.

Guarantees that all backends get the same calls, that a call and its exact results are computed once
for all of them, and that large ones are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock

import numpy as np

from bce_conformance.conformance.judging.calls import ExpectedCall, expectations
from bce_conformance.conformance.space.drawing import draw
from bce_conformance.conformance.space.factors import FACTORS, Combination
from bce_conformance.conformance.space.rules import covering, repaired
from bce_conformance.conformance.tiers import Tier

_KEPT = 4_000  # calls: more than cover the space with triples
_SMALL = 10_000  # elements of calls that are kept


class CallStore:
    """Draws calls once for all backends.

    What a combination draws is the same in every run; the seed is that of the combinations beyond
    the covering array.

    Args:
        seed: the run's.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._kept: dict[tuple[tuple[str, ...], int], ExpectedCall] = {}
        self._lock = Lock()

    def get(self, levels: Combination, number: int = 0) -> ExpectedCall:
        """The call of a combination, with its exact results."""
        key = (tuple(levels[factor.name] for factor in FACTORS), number)
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = expectations(draw(levels, number), cached=False)
                if found.call.logits.size <= _SMALL and len(self._kept) < _KEPT:
                    self._kept[key] = found
        return found

    def planned(self, tier: Tier, dtype: str, *, compiles: bool) -> Iterator[dict[str, str]]:
        """The combinations that a tier draws in a format: those that cover the space, then others.

        Args:
            tier: says how many.
            dtype: of the logits.
            compiles: whether the backend compiles for each shape.
        """
        array = covering(tier.call_strength[compiles])
        yield from (levels for levels in array if levels["dtype"] == dtype)
        yield from self.random(dtype, tier.random_calls[compiles])

    def random(self, dtype: str, count: int) -> Iterator[dict[str, str]]:
        """Combinations at random, other ones with each seed."""
        random = np.random.default_rng([self.seed, count])
        while count:
            factor = FACTORS[int(random.integers(len(FACTORS)))]
            levels = {f.name: str(random.choice(f.names)) for f in FACTORS} | {"dtype": dtype}
            found = repaired(levels, keep=factor.name)
            if found is not None and found["dtype"] == dtype:
                count -= 1
                yield found

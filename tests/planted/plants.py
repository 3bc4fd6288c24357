"""Plants: wrong results in the place of right ones, exactly where some levels of calls meet.

An impostor that is made so is right everywhere else. It is caught when a call that it gets wrong is
judged to be wrong.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bce_conformance.backends.calls import DTYPES, Array, Failure, LossResult
from bce_conformance.conformance.covering.combinations import required
from bce_conformance.conformance.judging.calls import ExpectedCall, judge_call
from bce_conformance.conformance.space.factors import FACTORS, Combination
from bce_conformance.conformance.space.rules import covering, repaired, space
from bce_conformance.conformance.surveying.calls import CallStore
from bce_conformance.conformance.tiers import Tier
from bce_conformance.results.cells import Level

Levels = tuple[tuple[int, int], ...]  # (factor, level), by number
Plant = Callable[[Array, np.random.Generator], Array]


def _off(values: Array, random: np.random.Generator) -> Array:
    """One element is 1.5 times what it should be, and 0.25."""
    with np.errstate(over="ignore"):
        return _at_one(values, random, lambda value: 1.5 * value + 0.25)


def _nan(values: Array, random: np.random.Generator) -> Array:
    """One element is NaN."""
    return _at_one(values, random, lambda value: np.nan)


def _at_one(values: Array, random: np.random.Generator, change: Callable[[float], float]) -> Array:
    found = np.array(values)
    if found.size:
        index = int(random.integers(found.size))
        value = float(found.reshape(-1)[index].astype(np.float64))
        found.reshape(-1)[index] = np.float64(change(value)).astype(found.dtype)
    return found


def _another_format(values: Array, random: np.random.Generator) -> Array:
    """All elements in another format."""
    return values.astype(np.float32 if values.dtype == np.float64 else np.float64)


def _another_shape(values: Array, random: np.random.Generator) -> Array:
    """A dimension of 1 more."""
    return values[None]


PLANTS: dict[str, Plant] = {
    "off": _off,
    "NaN": _nan,
    "another format": _another_format,
    "another shape": _another_shape,
}
RAISES = "raises"
_SIZE = next(number for number, factor in enumerate(FACTORS) if factor.name == "size")
KINDS = (*PLANTS, RAISES)


@dataclass(frozen=True)
class Impostor:
    """An implementation that is wrong where some levels meet, in one way."""

    levels: Levels
    kind: str

    def __str__(self) -> str:
        met = " × ".join(f"{FACTORS[f].name}={FACTORS[f].names[v]}" for f, v in self.levels)
        return f"{self.kind} where {met}"

    def random(self) -> np.random.Generator:
        """What chooses the quantity and the element that are wrong."""
        return np.random.default_rng(zlib.crc32(str(self).encode()))


def wrong(right: LossResult, kind: str, random: np.random.Generator) -> LossResult | Failure:
    """A right result, one of its quantities wrong in one way."""
    if kind == RAISES:
        return Failure("raised", "RuntimeError: planted", "RuntimeError")
    quantity = str(random.choice(sorted(right.values)))
    planted = PLANTS[kind](right.values[quantity], random)
    return LossResult({**right.values, quantity: planted}, right.device)


class Recorded:
    """The calls that a tier draws, with right results: each the nearest number to the exact value.

    The exact values of a call are computed when an impostor first meets it: few calls of a large
    tier are needed to catch one.

    Args:
        tier: draws them.
        seed: the run's.

    Attributes:
        planned: of each call its combination, and its number.
        rows: of each call the numbers of its levels.
    """

    def __init__(self, tier: Tier, seed: int) -> None:
        self.store = CallStore(seed)
        self.planned = [each for dtype in DTYPES for each in self.store.planned(tier, dtype)]
        number_of = [{name: n for n, name in enumerate(f.names)} for f in FACTORS]
        self.rows = np.array(
            [
                [numbers[levels[f.name]] for f, numbers in zip(FACTORS, number_of, strict=True)]
                for levels, _ in self.planned
            ],
            np.int8,
        )

    def catches(self, impostor: Impostor) -> bool:
        """Whether some call shows that the impostor is one."""
        random = impostor.random()
        return any(self._shows(index, impostor.kind, random) for index in self.met(impostor.levels))

    def met(self, levels: Levels) -> Iterable[int]:
        """The numbers of the calls in which some levels meet, the plainest sizes first."""
        where = np.ones(len(self.rows), bool)
        for factor, level in levels:
            where &= self.rows[:, factor] == level
        found = np.flatnonzero(where)
        return found[np.argsort(self.rows[found, _SIZE], kind="stable")].tolist()

    def _shows(self, index: int, kind: str, random: np.random.Generator) -> bool:
        expected = self.store.get(*self.planned[index])
        judged = judge_call(expected, wrong(right_result(expected), kind, random))
        return judged.least < Level.AAA


def is_one(impostor: Impostor, store: CallStore) -> bool:
    """Whether the impostor is ever wrong: in none of some further calls it may differ from right.

    Where all results are NaN, none can be off.
    """
    random = np.random.default_rng(0)
    for levels in further(impostor.levels, random):
        expected = store.get(levels, number=1)
        judged = judge_call(expected, wrong(right_result(expected), impostor.kind, random))
        if judged.least < Level.AAA:
            return True
    return False


def further(levels: Levels, random: np.random.Generator, count: int = 30) -> Iterator[Combination]:
    """Combinations with some levels, the others those of rows that are chosen at random."""
    rows, met = covering(2), {FACTORS[f].name: FACTORS[f].names[v] for f, v in levels}
    for _ in range(20 * count):
        start = {**rows[int(random.integers(len(rows)))], **met}
        found = repaired(start, keep=next(iter(met)))
        if found is not None and all(found[name] == level for name, level in met.items()):
            count -= 1
            yield found
        if not count:
            return


def right_result(expected: ExpectedCall) -> LossResult:
    """What an implementation gives that rounds every result correctly."""
    found = {quantity: result.truth.nearest for quantity, result in expected.results.items()}
    return LossResult(found, expected.call.device)


def every(size: int) -> list[Levels]:
    """All combinations of levels that can meet in a call."""
    listed = required(space(), size).listed()
    return [tuple((int(f), int(v)) for f, v in levels) for levels in listed]


def impostors(levels: Iterable[Levels]) -> list[Impostor]:
    """One impostor for each combination, the ways to be wrong in turn.

    Where no element is, no value can be wrong.
    """
    shape = next(i for i, f in enumerate(FACTORS) if f.name == "shape")
    empty = (shape, FACTORS[shape].names.index("empty"))
    found = []
    for number, met in enumerate(levels):
        kinds = KINDS[2:] if empty in met else KINDS
        found.append(Impostor(met, kinds[number % len(kinds)]))
    return found

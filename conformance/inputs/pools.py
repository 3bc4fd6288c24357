"""Pools: what the builders of the checks draw, once for all backends.

Guarantees that the draws are the same for the same builder's name, seed and tier, and that what
witnesses of the ledger show is shown in every run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from threading import RLock
from typing import Any
from weakref import WeakSet

import numpy as np

from bce_conformance.conformance.tiers import TIERS, Tier
from bce_conformance.reference import FLOAT32, Format, ground_truth
from bce_conformance.results.cells import Witness

from .inputs import Inputs, Source
from .sampler import POOL_SIZE, Builder, Sampler

_COUNTED_EVERY = 0.5  # seconds
SWEEP_SIZE = 2**18  # logits of a sweep that are evaluated at once


def _swept(first: int, end: int, stride: int) -> tuple[Inputs]:
    """Logits of every ``stride``-th ordinal with both hard targets, and their truth."""
    logits = np.asarray(FLOAT32.from_ordinal(np.arange(first, end, stride))).astype(np.float32)
    logits = np.tile(logits, 2)
    targets = np.repeat(np.array([0, 1], np.float32), logits.size // 2)
    inputs = Inputs(f"one in {stride} float32 logits", FLOAT32, logits, targets)
    # So many elements that the cache would hold nothing else.
    truth = ground_truth(logits, targets, cached=False)
    return (inputs.with_truth("loss", truth),)


class PoolStore:
    """Draws inputs once for all backends; keeps the latest, since large ones are large.

    Some draws are the same whatever the seed, so that what they find is found in every run; the
    others are the seed's. Several threads may ask: they get the same inputs.

    Args:
        seed: the run's.
        tier: how much is drawn.
        witnesses: elements and draws that every run has beside its own.
        found: elements that a hunt has found, which this run has too.
        keep: the most inputs to keep.
        memory: bytes that the process may take. Half is for inputs and their truths, also those
            that checks still hold; the other half for code and for what judging takes meanwhile.
    """

    def __init__(
        self,
        seed: int,
        tier: Tier,
        witnesses: Iterable[Witness] = (),
        *,
        found: Iterable[Witness] = (),
        keep: int = 48,
        memory: int = 1 << 30,
    ) -> None:
        self.seed = seed
        self.tier = tier
        self._keep = keep
        self._room = memory // 2
        self._alive: WeakSet[Inputs] = WeakSet()
        self._kept: dict[tuple[str, str, str], tuple[Inputs, ...]] = {}
        self._lock = RLock()
        self._counted = -_COUNTED_EVERY  # when memory was counted last
        self._witnesses: dict[tuple[str, str], list[Witness]] = {}
        self._found: dict[tuple[str, str], list[Witness]] = {}
        for those, given in ((self._witnesses, witnesses), (self._found, found)):
            for witness in dict.fromkeys(given):
                those.setdefault((witness.pool, witness.dtype), []).append(witness)

    def get(self, builder: Builder, format_: Format) -> Inputs:
        """What ``builder`` draws in a format: one pool of elements, all draws end to end.

        The first of the elements that are the seed's make room for witnesses.
        Inputs that are not one row of elements, or claim to be exhaustive, are drawn once.
        """
        name = builder.name

        def build() -> tuple[Inputs, ...]:
            first = self._drawn(builder, name, format_, self.seed)
            if not first.is_row():
                return (first,)
            fixed, seeded = self.tier.pool_draws
            row = _joined([*self._draw(builder, name, format_, fixed, seeded - 1), first])
            drawn = fixed * first.logits.size
            shown = [w.element for w in self._known(name, format_) if w.element]
            found = [w.element for w in self._found.get((name, format_.name), []) if w.element]
            row = _with_elements(row, drawn, [*shown, *found])
            lasting = np.arange(row.logits.size) < drawn + len(shown)
            return (row.drawn_from(Source(name, lasting)),)

        return self._once(("pool", name, format_.name), build)[0]

    def draws(
        self, builder: Builder, format_: Format, only: int | None = None
    ) -> tuple[Inputs, ...]:
        """What ``builder`` draws in a format, draw by draw, for results that sum over a draw.

        ``only=n``: at most min(n, ``few_draws``) draws, none of which depends on the seed.
        """
        name = builder.name
        few = None if only is None else min(only, self.tier.few_draws)
        fixed, seeded = self.tier.sum_draws if few is None else (few, 0)

        def build() -> tuple[Inputs, ...]:
            known = [w for w in self._known(name, format_) if w.draw] if few is None else []
            shown = (self._one(builder, name, format_, w.draw, w.seed, lasting=True) for w in known)
            return (*self._draw(builder, name, format_, fixed, seeded), *shown)

        return self._once((f"draws {few}", name, format_.name), build)

    def _known(self, name: str, format_: Format) -> list[Witness]:
        return self._witnesses.get((name, format_.name), [])

    def float32_sweep(self) -> Iterator[Inputs]:
        """One in so many float32 logits, as the tier says, from 0 bits on and from the seed's."""
        stride, widest = self.tier.float32_stride, max(t.float32_stride for t in TIERS.values())
        last = int(FLOAT32.ordinal(FLOAT32.largest_finite))
        seeded = int(np.random.default_rng([self.seed, last]).integers(1, widest)) % stride
        for start in sorted({0, seeded}):
            for first in range(start - last, last + 1, stride * SWEEP_SIZE):
                end = min(first + stride * SWEEP_SIZE, last + 1)
                yield self._once(
                    ("sweep", f"{start} {first}", "float32"),
                    partial(_swept, first, end, stride),
                )[0]

    def _draw(
        self, builder: Builder, name: str, format_: Format, fixed: int, seeded: int
    ) -> Iterator[Inputs]:
        """Draws that are the same in every run, then those of the seed."""
        for number in range(fixed):
            yield self._one(builder, name, format_, f"fixed {number}", 0, lasting=True)
        for number in range(seeded):
            yield self._one(builder, name, format_, str(number), self.seed, lasting=False)

    def _one(
        self, builder: Builder, name: str, format_: Format, draw: str, seed: int, *, lasting: bool
    ) -> Inputs:
        inputs = self._drawn(builder, f"{name}, {draw}", format_, seed)
        return inputs.drawn_from(Source(name, lasting, draw, seed))

    @staticmethod
    def _drawn(builder: Builder, name: str, format_: Format, seed: int) -> Inputs:
        return builder(Sampler(format_, name, seed, POOL_SIZE))

    def _once(
        self, key: tuple[str, str, str], build: Callable[[], tuple[Inputs, ...]]
    ) -> tuple[Inputs, ...]:
        with self._lock:
            kept = self._kept.pop(key, None)
            found = kept or build()
            self._kept[key] = found
            self._alive.update(found)
            while len(self._kept) > self._keep:
                del self._kept[next(iter(self._kept))]
            # To count takes longer than to look up: what truths add meanwhile is counted in time.
            if kept is None or time.monotonic() > self._counted + _COUNTED_EVERY:
                while len(self._kept) > 1 and self._is_full():
                    del self._kept[next(iter(self._kept))]
                self._counted = time.monotonic()
            return found

    def _is_full(self) -> bool:
        """Whether inputs take more than there is room for, with those that checks still hold."""
        return sum(inputs.nbytes for inputs in self._alive) > self._room


def _joined(draws: Sequence[Inputs]) -> Inputs:
    """The elements of several draws as one row; a 0-d operand is that of the first draw."""
    every = [inputs.rows() for inputs in draws]
    rows: dict[str, Any] = {name: np.concatenate([r[name] for r in every]) for name in every[0]}
    return replace(draws[0], **rows)


def _with_elements(
    row: Inputs, start: int, elements: Sequence[tuple[tuple[str, str], ...]]
) -> Inputs:
    """The row with other elements from ``start`` on.

    Raises:
        ValueError: an element has other operands than the row, or there is no room.
    """
    rows = {name: operand.copy() for name, operand in row.rows().items()}
    for place, element in enumerate(elements, start):
        if [name for name, _ in element] != list(rows) or place >= row.logits.size:
            raise ValueError(f"a witness has no place among {row.name}: {dict(element)}")
        for name, value in element:
            rows[name][place] = float.fromhex(value)
    return replace(row, **rows)  # type: ignore[arg-type]

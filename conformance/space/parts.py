"""Parts of the space in which more levels meet: usual calls, and plain ones made in every way.

Real mistakes need several things at once, each of them common: a matrix of many elements, a weight
for each class, none for each sample, and the mean; or a loss without a reduction, asked for alone,
that is kept while the next call is made. Guarantees that the levels of a part are levels of the
whole space, so that its calls are calls like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bce_conformance.conformance.covering.combinations import Space
from bce_conformance.conformance.covering.files import read, write

from .costly import GIVEN
from .factors import ABSENT, FACTORS
from .rules import ARRAYS, combination, space


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the space.

    Attributes:
        name: of its folder.
        strengths: how many levels occur together in each format, in every combination.
        levels: those of some factors; of each other factor the plainest, or that nothing is given.
    """

    name: str
    strengths: Mapping[str, int]
    levels: Mapping[str, tuple[str, ...]]

    @property
    def folder(self) -> Path:
        """Where its covering arrays are."""
        return ARRAYS / self.name

    def _kept(self) -> list[list[int]]:
        """The numbers of the levels that each factor has in this part."""
        names = ((factor, self.levels.get(factor.name, factor.names[:1])) for factor in FACTORS)
        return [[factor.names.index(name) for name in levels] for factor, levels in names]

    @cache  # noqa: B019 - a part lives as long as the program
    def space(self) -> Space:
        """The part as a space of its own, for a generator of covering arrays."""
        kept = self._kept()
        renumbered = {
            (f, old): (f, new) for f, ours in enumerate(kept) for new, old in enumerate(ours)
        }
        return Space(
            tuple(len(ours) for ours in kept),
            frozenset(
                (renumbered[one], renumbered[other])
                for one, other in space().forbidden
                if one in renumbered and other in renumbered
            ),
        )

    def write(self, seed: int) -> list[Path]:
        """Write the covering arrays anew; returns their paths."""
        return [
            write(self.space(), s, seed, self.folder) for s in sorted({*self.strengths.values()})
        ]

    @cache  # noqa: B019
    def combinations(self, dtype: str) -> tuple[dict[str, str], ...]:
        """Combinations of a format in which every ``strengths[dtype]`` levels occur together.

        Raises:
            ArrayFileError: the file is not of this space.
        """
        kept = self._kept()
        rows = read(self.space(), self.strengths[dtype], self.folder).tolist()
        numbers = (tuple(ours[n] for ours, n in zip(kept, row, strict=True)) for row in rows)
        return tuple({**combination(row), "dtype": dtype} for row in numbers)


def _weights(**shapes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The levels of the factors about weights that have some shapes, and else are plain."""
    found: dict[str, tuple[str, ...]] = {}
    for operand, names in shapes.items():
        given = {f"{operand} {what}": (ABSENT, how) for what, how in GIVEN.items()}
        found |= given | {operand: (ABSENT, "moderate"), f"{operand} shape": names}
    return found


USUAL = Part(
    "usual",
    {"float32": 4, "float64": 3, "float16": 3, "bfloat16": 3},
    {
        "shape": ("matrix", "vector", "column", "3-d", "4-d"),
        "size": ("blocks", "beside blocks", "rest", "tall", "wide", "square"),
        **_weights(
            weight=("none", "full", "0-d", "last", "lead"),
            pos_weight=("none", "full", "ones", "last", "channels"),
        ),
        "targets format": ("same", "bool", "int"),
        "targets": ("hard", "soft", "soft at the end"),
        "targets layout": ("C", "F", "permuted"),
        "logits layout": ("C", "F", "permuted"),
        "reduction": ("none", "sum", "mean"),
        "quantities": ("loss and gradients",),
        "cotangent": ("not given", "moderate"),
        "tangent": ("absent",),
    },
)
"""What most users ask for, put together in every way, with every size."""

MADE = Part(
    "made",
    {"float32": 4, "float64": 3, "float16": 3, "bfloat16": 3},
    {
        "shape": ("few", "matrix", "0-d"),
        "size": ("small", "blocks"),
        **_weights(weight=("none", "full", "last"), pos_weight=("none", "full", "last")),
        **{
            factor.name: factor.names
            for factor in FACTORS
            if factor.name
            in ("reduction", "quantities", "interface", "threads", "repetition", "autograd", "mode")
        },
        "cotangent": ("absent", "not given", "moderate"),
        "tangent": ("absent", "moderate"),
    },
)
"""Plain operands, and every way to make a call: what is left of a call shows in the next."""

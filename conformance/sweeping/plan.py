"""What a sweep evaluates: groups of targets, and pieces of a group that are evaluated at once.

Guarantees that the pieces of a group together hold each of its points once, and that the same piece
holds the same points in every sweep of the same question.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.backends.calls import Array
from bce_conformance.backends.names import meant
from bce_conformance.reference import Format, format_of

PIECE = 1 << 20
"""Points of a piece."""

QUANTITIES = ("loss", "grad_logits", "grad_targets", "grad_weight", "grad_pos_weight")
"""What can be swept."""

GROUPS = ("unit", "outside", "special")
"""The names of groups of targets: from 0 to 1, other finite numbers, and infinities and NaNs."""

ALL = "all"
"""Stands for all groups."""

_WEYL = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: the increment of SplitMix64


@dataclass(frozen=True)
class Group:
    """Targets whose results are summed up together.

    Attributes:
        name: the target in decimal, or one of ``GROUPS``.
        patterns: bit patterns of the targets, ascending.
    """

    name: str
    patterns: tuple[int, ...]


@dataclass(frozen=True, order=True)
class Piece:
    """Targets [first_target, last_target) of a group with patterns [first, last) of the logits.

    Of samples, first and last count samples instead.
    """

    first_target: int
    last_target: int
    first: int
    last: int

    @property
    def points(self) -> int:
        """How many pairs of a target and a logit it holds."""
        return (self.last_target - self.first_target) * (self.last - self.first)

    def __str__(self) -> str:
        return f"{self.first_target}:{self.last_target},{self.first:#x}:{self.last:#x}"


@dataclass(frozen=True)
class Plan:
    """What is swept.

    Attributes:
        format: of the logits and targets.
        groups: the targets.
        quantities: a subset of ``QUANTITIES``.
        first, last: the bit patterns [first, last) of the logits; of samples, which of them.
        pos_weight: one number of the format for all points; None for none.
        sampled: whether the logits are uniform draws of bit patterns rather than all of them.
    """

    format: Format
    groups: tuple[Group, ...]
    quantities: tuple[str, ...]
    first: int
    last: int
    pos_weight: float | None = None
    sampled: bool = False

    @property
    def points(self) -> int:
        """How many pairs of a target and a logit there are."""
        return sum(len(group.patterns) for group in self.groups) * (self.last - self.first)

    @property
    def ends(self) -> tuple[float, float]:
        """The logits of the first and of the last bit pattern, where all between are swept."""
        first, last = _values(np.array([self.first, self.last - 1], np.uint64), self.format)
        return float(first), float(last)

    def pieces(self, group: Group) -> Iterator[Piece]:
        """The pieces of a group, in order; their bounds are multiples where the range allows."""
        single = len(group.patterns) == 1 and not self.sampled
        most = 1 << (bits_of(self.format) - single)  # a single target's end at the sign
        width = PIECE if self.sampled else min(PIECE, most)
        height = PIECE // width
        for row in range(0, len(group.patterns), height):
            last_row = min(row + height, len(group.patterns))
            for start in range(self.first - self.first % width, self.last, width):
                first, last = max(start, self.first), min(start + width, self.last)
                yield Piece(row, last_row, first, last)

    def in_order(self) -> Iterator[tuple[Group, Piece]]:
        """All pieces with their groups, in the order that lets truths serve twice.

        Those of target 1 come right after those of target 0 with the negated logits.
        """
        by_name = {group.name: group for group in self.groups}
        paired = {"0", "1"} <= by_name.keys() and not self.sampled
        rest = [group for group in self.groups if not (paired and group.name in ("0", "1"))]
        if paired:
            half = 1 << (bits_of(self.format) - 1)
            ones = {piece.first ^ half: piece for piece in self.pieces(by_name["1"])}
            for piece in self.pieces(by_name["0"]):
                yield by_name["0"], piece
                if piece.first in ones:
                    yield by_name["1"], ones.pop(piece.first)
            yield from ((by_name["1"], piece) for piece in ones.values())
        for group in rest:
            yield from ((group, piece) for piece in self.pieces(group))

    def operands(self, group: Group, piece: Piece) -> tuple[Array, Array]:
        """The logits and the targets of a piece, each of shape [points]."""
        numbers = np.arange(piece.first, piece.last, dtype=np.uint64)
        patterns = scattered(numbers) if self.sampled else numbers
        chosen = np.array(group.patterns[piece.first_target : piece.last_target], np.uint64)
        logits = np.tile(_values(patterns, self.format), chosen.size)
        return logits, np.repeat(_values(chosen, self.format), numbers.size)


def bits_of(format_: Format) -> int:
    """The bits of a format."""
    return 8 * format_.dtype.itemsize


def scattered(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The SplitMix64 hashes of numbers: bit patterns, uniformly distributed, no two the same."""
    with np.errstate(over="ignore"):
        z = (numbers + np.uint64(1)) * np.uint64(_WEYL)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


def _values(patterns: NDArray[np.uint64], format_: Format) -> NDArray[Any]:
    return patterns.astype(format_.bits_dtype).view(format_.dtype)


def plan(
    dtype: str,
    targets: str,
    quantities: str,
    range_: str | None = None,
    pos_weight: float | None = None,
    samples: int | None = None,
) -> Plan:
    """Read what is to be swept.

    Args:
        dtype: the name of a format.
        targets: numbers, separated by commas; for 16-bit formats ``GROUPS`` or ``all``.
        quantities: some of ``QUANTITIES``, separated by commas.
        range_: bit patterns ``LO:HI`` of the logits in hex, both included; None for all.
        pos_weight: one number for all points.
        samples: how many samples of float64 to take; None for another format.

    Raises:
        ValueError: one of them is not accepted.
    """
    format_ = format_of(dtype)
    wanted = _names("quantity", quantities, QUANTITIES)
    if "grad_pos_weight" in wanted and pos_weight is None:
        raise ValueError("quantity has grad_pos_weight, which needs --pos-weight")
    if pos_weight is not None:
        _pattern("pos_weight", pos_weight, format_)
    if (samples is not None) != (format_.name == "float64"):
        raise ValueError(
            f"samples is {samples}, dtype {format_.name}: --samples is needed for float64, which "
            "has too many patterns, and for no other format"
        )
    first, last = _range(range_, format_) if samples is None else (0, samples)
    if samples is not None and (range_ is not None or samples < 1):
        raise ValueError(f"samples is {samples}; accepted is a positive number without --range")
    groups = tuple(_groups(targets, format_))
    return Plan(format_, groups, wanted, first, last, pos_weight, samples is not None)


def _names(argument: str, text: str, accepted: tuple[str, ...]) -> tuple[str, ...]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or set(names) - set(accepted):
        unknown = next((name for name in names if name not in accepted), "")
        near = meant(unknown, accepted)
        raise ValueError(f"{argument} is {text!r}; accepted are {', '.join(accepted)}{near}")
    return tuple(name for name in accepted if name in names)


def _range(text: str | None, format_: Format) -> tuple[int, int]:
    end = 1 << bits_of(format_)
    if text is None:
        return 0, end
    try:
        first, last = (int(part, 16) for part in text.split(":"))
    except ValueError:
        first, last = -1, -1
    if not 0 <= first <= last < end:
        raise ValueError(
            f"range is {text!r}; accepted is LO:HI, bit patterns of a {format_.name} in hex with "
            f"LO ≤ HI ≤ {end - 1:#x}, such as 0x0:{end // 2 - 1:#x}"
        )
    return first, last + 1


def _pattern(argument: str, value: float, format_: Format) -> int:
    try:
        exact = format_.exactly(value)
    except ValueError as error:
        with np.errstate(over="ignore"):
            near = float(np.asarray(value).astype(format_.dtype).astype(np.float64))
        raise ValueError(
            f"{argument} is {value!r}, which is no {format_.name}; the nearest is {near!r}"
        ) from error
    return int(exact.reshape(1).view(format_.bits_dtype)[0])


def _groups(text: str, format_: Format) -> Iterator[Group]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if ALL in names:
        names = list(dict.fromkeys([*(name for name in names if name != ALL), *GROUPS]))
    if not names:
        raise ValueError("targets is empty; accepted are numbers such as 0,1,0.5")
    numbers = set()
    for name in names:
        if name in GROUPS:
            yield _named_group(name, format_)
            continue
        value = _number(name)
        pattern = _pattern("targets", value, format_)
        if pattern not in numbers:  # 0 and 0.0 are one target, 0 and -0 two
            numbers.add(pattern)
            yield Group(repr(value).removesuffix(".0"), (pattern,))


def _number(name: str) -> float:
    """A target in decimal or hex."""
    try:
        return float.fromhex(name) if "0x" in name.lower() else float(name)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"targets has {name!r}; accepted are numbers and {', '.join((*GROUPS, ALL))}"
            f"{meant(name, GROUPS)}"
        ) from error


def _named_group(name: str, format_: Format) -> Group:
    if bits_of(format_) != 16:
        raise ValueError(
            f"targets is {name!r}, which only formats of 16 bits have; {format_.name} takes numbers"
        )
    every = np.arange(1 << 16, dtype=np.uint64)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        values = _values(every, format_).astype(np.float64)
    finite, within = np.isfinite(values), (values >= 0) & (values <= 1)
    chosen = {"unit": within, "outside": finite & ~within, "special": ~finite}[name]
    return Group(name, tuple(every[chosen].tolist()))

"""The rules of the space of calls: which levels of its factors go together.

Guarantees that a rule is about pairs of levels only, so that a generator of covering arrays can
take them in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bce_conformance.conformance.covering.arrays import Coverage, coverage
from bce_conformance.conformance.covering.combinations import Space
from bce_conformance.conformance.covering.files import read

from .factors import ABSENT, FACTORS, Combination


@dataclass(frozen=True)
class Rule:
    """Levels of one factor that go with certain levels of another only.

    Attributes:
        factor: the first factor.
        levels: its levels that the rule is about.
        other: the second factor.
        allowed: its levels that go with them.
        why: why the others do not.
    """

    factor: str
    levels: tuple[str, ...]
    other: str
    allowed: tuple[str, ...]
    why: str


def _names(factor: str, *, but: tuple[str, ...] = ()) -> tuple[str, ...]:
    return tuple(name for name in _BY_NAME[factor].names if name not in but)


_BY_NAME = {factor.name: factor for factor in FACTORS}
_FLAT = ("C", "unaligned", "read-only")  # layouts of what has one element
_ONE_DIMENSION = ("C", "gaps", "reversed", "overlapping", "unaligned", "read-only")
_TWO_DIMENSIONS = ("F", *_ONE_DIMENSION)
_LAYOUTS_BY_SHAPE = {
    "0-d": _FLAT,
    "one": _FLAT,
    "empty": ("C",),
    "few": _ONE_DIMENSION,
    "vector": _ONE_DIMENSION,
    "column": _ONE_DIMENSION,
    "row": _ONE_DIMENSION,
    "matrix": _TWO_DIMENSIONS,
}
_IN_ONE_DIMENSION = ("small", "blocks", "beside blocks", "rest", "large", "huge")
_IN_SEVERAL = ("small", "blocks", "beside blocks", "rest", "tall", "wide", "large", "huge")
_BESIDE_LAYOUTS = {
    "targets": ("logits'", "interleaved"),
    **dict.fromkeys(("weight", "pos_weight"), (ABSENT,)),
}
_SIZES_BY_SHAPE = {
    **dict.fromkeys(("0-d", "one", "empty", "few"), ("small",)),
    "vector": _IN_ONE_DIMENSION,
    "row": _IN_ONE_DIMENSION,
    "column": ("small", "blocks", "beside blocks", "rest", "many rows", "huge"),
    "matrix": (*_IN_SEVERAL, "square", "many rows"),
    "3-d": _IN_SEVERAL,
    # Few numbers beside a multiple of 1,024 have four factors.
    "4-d": tuple(s for s in _IN_SEVERAL if s != "beside blocks"),
    **dict.fromkeys(("5-d", "6-d"), ("small", "blocks", "rest", "large", "huge")),
}
_BROADCASTS_BY_SHAPE = {
    "0-d": ("none", "0-d"),
    "one": ("none", "0-d", "ones"),
    "few": ("none", "0-d", "ones", "full"),
    "vector": ("none", "0-d", "ones", "full"),
    "column": ("none", "0-d", "ones", "full"),
    "row": ("none", "0-d", "ones", "full", "last"),
    "matrix": ("none", "0-d", "ones", "full", "last", "lead"),
    "empty": ("none", "0-d", "ones", "full", "last"),
}
_LAYOUTS_BY_BROADCAST = {
    "0-d": _FLAT,
    "ones": _FLAT,
    "last": ("C", "gaps", "reversed", "unaligned", "read-only"),
    "lead": ("C", "gaps", "reversed", "unaligned", "read-only"),
    "channels": ("C", "gaps", "reversed", "unaligned", "read-only"),
    "inner": ("C", "gaps", "reversed", "unaligned", "read-only"),
}
_VALUES_BY_FORMAT = {
    "int": ("ones", "powers", "moderate", "zeros", "negative", "balancing"),
    "uint": ("ones", "powers", "moderate", "zeros", "balancing"),
    "bool": ("ones", "zeros"),
}
_COUNTS = ("int", "uint", "bool")  # formats that have no derivative
_DIFFERENTIABLE = ("same", "narrower", "wider", "swapped")


def _rules() -> Iterator[Rule]:
    for operand in ("targets", "weight", "pos_weight"):
        ours = _names(f"{operand} format", but=("swapped",))
        yield Rule("dtype", ("bfloat16",), f"{operand} format", ours, "NumPy has no such type")
        ours = _names(f"{operand} format", but=("wider",))
        yield Rule("dtype", ("float64",), f"{operand} format", ours, "no format is wider")
    yield from _rules_of_shapes()
    for operand in ("weight", "pos_weight"):
        yield from _rules_of_weights(operand)
    yield from _rules_of_targets()
    yield from _rules_of_derivatives()


def _rules_of_shapes() -> Iterator[Rule]:
    for shape, layouts in _LAYOUTS_BY_SHAPE.items():
        for operand in ("logits", "targets", "weight", "pos_weight", "cotangent"):
            allowed = (*_BESIDE_LAYOUTS.get(operand, ()), *layouts)
            yield Rule("shape", (shape,), f"{operand} layout", allowed, "it looks the same")
        for operand in ("weight", "pos_weight"):
            allowed = (*_BROADCASTS_BY_SHAPE[shape], "weight's")
            yield Rule("shape", (shape,), f"{operand} shape", allowed, "it is another one's shape")
    for shape, sizes in _SIZES_BY_SHAPE.items():
        yield Rule("shape", (shape,), "size", sizes, "it has another number of elements")
    empty = "there is no value"
    for factor, plain in (("logits", "moderate"), ("targets", "hard")):
        yield Rule("shape", ("empty",), factor, (plain,), empty)
    for factor in ("weight", "pos_weight", "cotangent", "tangent"):
        allowed = (ABSENT, "not given", "moderate")
        yield Rule("shape", ("empty",), factor, allowed, empty)
    alone = ("0-d", "one", "empty")
    others = _names("shape", but=alone)
    yield Rule("repetition", ("other shape",), "shape", others, "it is its own half")


def _rules_of_weights(operand: str) -> Iterator[Rule]:
    shape, format_, layout = (f"{operand} {what}" for what in ("shape", "format", "layout"))
    elsewhere = ("none", "weight's") if operand == "pos_weight" else ("none",)
    for factor in (format_, layout, operand):
        given = _names(factor, but=(ABSENT,))
        yield Rule(shape, elsewhere, factor, (ABSENT,), "it is not given")
        yield Rule(shape, _names(shape, but=elsewhere), factor, given, "it is given")
    for broadcast, layouts in _LAYOUTS_BY_BROADCAST.items():
        yield Rule(shape, (broadcast,), layout, layouts, "it looks the same")
    for name, values in _VALUES_BY_FORMAT.items():
        yield Rule(format_, (name,), operand, values, "the format has no such values")
    yield Rule(
        "quantities", (f"grad_{operand}",), shape, _names(shape, but=elsewhere), "it is not given"
    )
    yield Rule("quantities", (f"grad_{operand}",), format_, _DIFFERENTIABLE, "it has no derivative")
    if operand == "pos_weight":
        given = _names("weight shape", but=("none",))
        yield Rule(shape, ("weight's",), "weight shape", given, "there is no weight")


def _rules_of_targets() -> Iterator[Rule]:
    for factor, level in (("logits", "unit"), ("targets", "soft"), ("targets format", "same")):
        yield Rule("targets layout", ("logits'",), factor, (level,), "they are the logits")
    yield Rule("targets layout", ("interleaved",), "logits layout", ("gaps",), "it is theirs")
    yield Rule("targets layout", ("interleaved",), "targets format", ("same",), "one array has one")
    for name in _COUNTS:
        yield Rule("targets format", (name,), "targets", ("hard",), "the format has no such values")
    allowed = (ABSENT, "ones", "balancing")
    yield Rule("targets", ("balanced by p",), "pos_weight", allowed, "no target balances these")
    given = _names("pos_weight shape", but=("weight's",))
    yield Rule("targets", ("balanced by p",), "pos_weight shape", given, "p is the weight")
    yield Rule(
        "quantities", ("grad_targets",), "targets format", _DIFFERENTIABLE, "it has no derivative"
    )


def _rules_of_derivatives() -> Iterator[Rule]:
    forward = ("loss", "jvp_logits")
    back = _names("cotangent", but=(ABSENT,))
    yield Rule("quantities", forward, "cotangent", (ABSENT,), "nothing is propagated back")
    backward = _names("quantities", but=forward)
    yield Rule("quantities", backward, "cotangent", back, "a gradient has one")
    for factor, levels in (("cotangent", (ABSENT, "not given")), ("reduction", ("sum", "mean"))):
        yield Rule(factor, levels, "cotangent layout", ("C",), "it has one element, or none")
    few_digits = _names("cotangent", but=("subnormal",))
    second_order = ("hvp_logits", "everything")
    yield Rule("quantities", second_order, "cotangent", few_digits, "times a tangent it is inexact")
    directed = ("jvp_logits", "hvp_logits", "everything")
    others = _names("quantities", but=directed)
    yield Rule("quantities", others, "tangent", (ABSENT,), "no direction is asked for")
    along = _names("tangent", but=(ABSENT,))
    yield Rule("quantities", directed, "tangent", along, "a direction is asked for")
    alone, without = ("usual", "off"), ("jvp_logits", "hvp_logits")
    yield Rule("quantities", ("loss",), "autograd", alone, "no gradient is asked for")
    yield Rule("quantities", without, "autograd", ("usual",), "no gradient is asked for")
    yield Rule("autograd", ("off",), "quantities", ("loss",), "there is no gradient")
    yield Rule("repetition", ("at once",), "autograd", alone, "an operand holds one gradient")
    yield Rule("repetition", ("at once",), "mode", ("usual",), "a process has one")


RULES: tuple[Rule, ...] = tuple(_rules())


@cache
def forbidden() -> frozenset[tuple[tuple[int, int], tuple[int, int]]]:
    """The pairs of levels that do not go together: ((factor, level), (factor, level)) by number.

    The factor with the smaller number comes first.
    """
    number = {factor.name: i for i, factor in enumerate(FACTORS)}
    pairs = set()
    for rule in RULES:
        a, b = number[rule.factor], number[rule.other]
        for level in rule.levels:
            for other in _names(rule.other, but=rule.allowed):
                one = (a, FACTORS[a].names.index(level))
                two = (b, FACTORS[b].names.index(other))
                pairs.add((min(one, two), max(one, two)))
    return frozenset(pairs)


@cache
def space(dtype: str = "") -> Space:
    """The space of calls, for a generator of covering arrays.

    Args:
        dtype: the only format that the logits have; all four where it is empty.
    """
    first, *others = FACTORS
    kept = [i for i, name in enumerate(first.names) if dtype in ("", name)]
    renumbered = {(0, old): (0, new) for new, old in enumerate(kept)}
    forbidden_ones = [pair for pair in forbidden() if pair[0][0] or pair[0] in renumbered]
    return Space(
        (len(kept), *(len(factor.levels) for factor in others)),
        frozenset((renumbered.get(one, one), other) for one, other in forbidden_ones),
        frozenset(
            (i, j)
            for i, factor in enumerate(FACTORS)
            for j, level in enumerate(factor.levels)
            if level.costly
        ),
    )


def covered(combinations: Iterable[Combination], dtype: str, strength: int) -> Coverage:
    """How many of the combinations of levels that can occur in a format do in some calls."""
    rows = [
        [0, *(factor.names.index(levels[factor.name]) for factor in FACTORS[1:])]
        for levels in combinations
    ]
    return coverage(space(dtype), np.array(rows, np.int64).reshape(-1, len(FACTORS)), strength)


ARRAYS = Path(__file__).parent / "arrays"


@cache
def covering(strength: int) -> tuple[dict[str, str], ...]:
    """Combinations in which every one of ``strength`` levels occurs, as they are kept on disk.

    Raises:
        ArrayFileError: the file is not of this space.
    """
    return tuple(combination(tuple(row)) for row in read(space(), strength, ARRAYS))


def combination(row: tuple[int, ...]) -> dict[str, str]:
    """The combination whose levels have these numbers."""
    return {f.name: f.names[level] for f, level in zip(FACTORS, row, strict=True)}


_TURNS = ("weight shape", "pos_weight shape", "size", "shape", "quantities")
# The factors that plainer levels are tried of, those first whose levels bring most others along.
IN_TURN = (*_TURNS, *(f.name for f in FACTORS if f.name not in (*_TURNS, "dtype")))


def plainer(name: str, given: Combination) -> Iterator[dict[str, str]]:
    """Combinations with a factor at a plainer level, and others at what goes with it.

    The plainest level, then the plainest one that leaves the other factors alone.
    """
    fitting = _with_plainer(name, given)
    alone = [each for each in fitting if _differing(each, given) == 1]
    yield from fitting[:1]
    yield from (each for each in alone[:1] if each != fitting[0])


def _with_plainer(factor: str, given: Combination) -> list[dict[str, str]]:
    """The combinations with a plainer level of a factor, the plainest first, in the same format."""
    names = _BY_NAME[factor].names
    plainer_ones = names[: names.index(given[factor])]
    found = (repaired({**given, factor: level}, keep=factor) for level in plainer_ones)
    return [each for each in found if each and each["dtype"] == given["dtype"]]


def plainest_beside(factor: str, levels: Combination) -> str:
    """The plainest level of a factor that goes with levels of some others."""
    others = [_number(other, level) for other, level in levels.items()]
    free = ~_apart()[_span(factor)][:, others].any(axis=1)
    return _BY_NAME[factor].names[int(np.argmax(free))]


def _differing(one: Combination, other: Combination) -> int:
    return sum(one[name] != other[name] for name in other)


def without(
    given: Combination, levels: Collection[tuple[str, str]], number: int
) -> dict[str, str] | None:
    """The combination with one of some levels at a plainer one; None where that cannot be.

    Args:
        given: has all of the levels.
        levels: factors and their levels.
        number: which of them becomes plainer: with each number another one, so that none of the
            rest is always lost.
    """
    names = [factor.name for factor in FACTORS if factor.name in dict(levels)]
    for name in names[number % len(names) :] + names[: number % len(names)] if names else ():
        if fitting := _with_plainer(name, given):
            return min(fitting, key=lambda each: _differing(each, given))
    return None


def repaired(given: Combination, keep: str) -> dict[str, str] | None:
    """The combination with other factors set to levels that go with that of ``keep``.

    Each is set to the first level that goes with all that stands; None where there is none.
    """
    apart, found = _bits_apart(), dict(given)
    numbers = {name: _number(name, level) for name, level in found.items()}
    tried = set[int]()
    while len(tried) < len(given):
        every = _bits(numbers.values())
        if every in tried:
            return None  # it would go round in circles
        tried.add(every)
        clashing = [name for name, at in numbers.items() if name != keep and apart[at] & every]
        if not clashing:
            return found
        first, standing = clashing[0], _bits(numbers[name] for name in found.keys() - clashing)
        for level in _BY_NAME[first].names:
            numbers[first] = _number(first, level)
            if not apart[numbers[first]] & standing:
                break
        else:
            return None
        found[first] = level
    return None


_FIRST = dict(
    zip(_BY_NAME, np.cumsum([0, *(len(f.levels) for f in FACTORS[:-1])]).tolist(), strict=True)
)


@cache
def _number(factor: str, level: str) -> int:
    """The number of a level among those of all factors."""
    return int(_FIRST[factor] + _BY_NAME[factor].names.index(level))


@cache
def _span(factor: str) -> slice:
    """The numbers of all levels of a factor."""
    return slice(_FIRST[factor], _FIRST[factor] + len(_BY_NAME[factor].levels))


@cache
def _apart() -> NDArray[np.bool_]:
    """Which levels, by their numbers, do not go together: [levels, levels]."""
    count = sum(len(factor.levels) for factor in FACTORS)
    table = np.zeros((count, count), bool)
    for (a, i), (b, j) in forbidden():
        one, two = _FIRST[FACTORS[a].name] + i, _FIRST[FACTORS[b].name] + j
        table[one, two] = table[two, one] = True
    return table


@cache
def _bits_apart() -> list[int]:
    """For each level, the bits of those that do not go with it."""
    return [_bits(np.flatnonzero(row).tolist()) for row in _apart()]


def _bits(numbers: Iterable[int]) -> int:
    """The sum of 2 to the power of each of some numbers, which are different."""
    return sum(1 << number for number in numbers)

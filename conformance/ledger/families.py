"""Requirements written short: of those of a family that follow each other the first and last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from bce_conformance.conformance.specification import requirements


def shortened(those: Iterable[str]) -> tuple[str, ...]:
    """Some requirements in the specification's order, as few names as there are gaps.

    Example:
        >>> shortened(["VAL-2", "VAL-3", "VAL-1", "VAL-5", "INF-1"])
        ('VAL-1:3', 'VAL-5', 'INF-1')
    """
    chosen, names = set(those), list(requirements())
    runs = groupby(names, lambda name: (name in chosen, name.partition("-")[0]))
    return tuple(_span(list(run)) for (wanted, _), run in runs if wanted)


def expanded(spans: Iterable[str]) -> tuple[str, ...]:
    """The requirements of what ``shortened`` made, in the specification's order.

    Raises:
        ValueError: one is not in the specification, or the last stands before the first.

    Example:
        >>> expanded(["VAL-1:3", "VAL-5"])
        ('VAL-1', 'VAL-2', 'VAL-3', 'VAL-5')
    """
    chosen = {name for span in spans for name in _within(span)}
    return tuple(name for name in requirements() if name in chosen)


def _span(run: list[str]) -> str:
    last = run[-1].partition("-")[2]
    return run[0] if len(run) == 1 else f"{run[0]}:{last}"


def _within(span: str) -> Iterator[str]:
    first, colon, last = span.partition(":")
    ends = [first, f"{first.partition('-')[0]}-{last}" if colon else first]
    names = list(requirements())
    for name in ends:
        if name not in names:
            raise ValueError(f"{span}: requirement {name!r} is not in SPEC.md")
    start, end = map(names.index, ends)
    if end < start:
        raise ValueError(f"{span}: {ends[1]} stands before {first}")
    yield from names[start : end + 1]

"""Names that are unknown: what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 4  # names
_FEW = 14  # names that are all told


def nearest(unknown: str, known: Iterable[str]) -> str:
    """What there is instead of an unknown name, in words: the nearest few, or all if they are few.

    Args:
        unknown: the name.
        known: those that there are.
    """
    every = sorted(known)
    spelled = {name.lower(): name for name in every}
    close = [spelled[n] for n in get_close_matches(unknown.lower(), spelled, _SHOWN, cutoff=0.5)]
    if close:
        return f"the nearest are {', '.join(close)}"
    if len(every) <= _FEW:
        return f"known are {', '.join(every)}"
    return f"known are {len(every)}, from {every[0]} to {every[-1]}"

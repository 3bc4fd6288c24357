"""Names that are unknown: what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

_SHOWN = 4  # names
_FEW = 14  # names that are all told
_DEVICES = ("cpu", "cuda")


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


def meant(unknown: str, known: Iterable[str]) -> str:
    """Which of a few names is probably meant, for a message that has named them all.

    Returns:
        Such as ``; perhaps float32 is meant``; empty where none is near.
    """
    spelled = {name.lower(): name for name in known}
    close = get_close_matches(unknown.lower(), spelled, 1, cutoff=0.5)
    return f"; perhaps {spelled[close[0]]} is meant" if close else ""


def meant_device(unknown: str) -> str:
    """Which device of the built-in backends is probably meant; as ``meant`` says it."""
    kind = unknown.partition(":")[0].lower()
    if kind in ("gpu", "nvidia"):
        return "; a GPU of NVIDIA is cuda"
    return "" if kind in _DEVICES else meant(kind, _DEVICES)


def similar(absent: str | Path) -> str:
    """The file or folder of a similar name beside one that is not there, in words.

    Args:
        absent: a path that does not exist; of its parts the first that is not there counts.

    Returns:
        Such as ``; there is reports/out``; empty where nothing is similar.
    """
    path = Path(absent)
    while not path.parent.is_dir() and path != path.parent:
        path = path.parent
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    close = get_close_matches(path.name, names, 1, cutoff=0.6)
    return f"; there is {path.parent / close[0]}" if close else ""

"""Releases: which of those that pip offers a history goes through.

Guarantees that those which are chosen are in the order of their versions, each once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from packaging.version import InvalidVersion, Version

BETWEEN = ":"
"""Between the first and the last version of a range."""


def chosen(offered: Iterable[str], wanted: str) -> list[str]:
    """The releases that a text names, the oldest first.

    Args:
        offered: those that there are.
        wanted: ``FIRST:LAST``, of which either may be missing, or versions with commas between
            them. ``LAST`` stands for all that begin with it: 0.10 for 0.10.2 too.

    Example: ``chosen(["0.9.0", "0.10.0", "0.10.2", "0.11"], "0.10:0.10")`` is
    ``["0.10.0", "0.10.2"]``.

    Raises:
        ValueError: it names no version, or fewer than two of those that there are.
    """
    there = {version: text for text in offered if (version := _parsed(text))}
    if BETWEEN in wanted:
        first, last = (_asked(text) for text in wanted.split(BETWEEN, 1))
        found = [v for v in there if (not first or v >= first) and (not last or _up_to(v, last))]
    else:
        asked = [_asked(text) for text in wanted.split(",")]
        found = [version for version in there if version in asked]
        absent = [str(version) for version in asked if version and version not in there]
        if absent:
            raise ValueError(f"--versions {wanted}: pip offers no {absent[0]}; {_told(there)}")
    if len(found) < 2:
        raise ValueError(
            f"--versions {wanted}: a history takes two releases at least, and pip offers "
            f"{len(found)} of these; {_told(there)}"
        )
    return [there[version] for version in sorted(found)]


def _told(there: Sequence[Version] | dict[Version, str]) -> str:
    ordered = sorted(there)
    if not ordered:
        return "it offers none at all"
    return f"it offers {len(ordered)}, {ordered[0]} to {ordered[-1]}"


def _up_to(version: Version, last: Version) -> bool:
    """Whether a version is not behind the last one, or begins with it."""
    return version <= last or version.release[: len(last.release)] == last.release


def _parsed(text: str) -> Version | None:
    """A version; None for what is none, as some old releases are called."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _asked(text: str) -> Version | None:
    """A version that was asked for; None for an end that is left open.

    Raises:
        ValueError: it is none.
    """
    if not text.strip():
        return None
    version = _parsed(text.strip())
    if version is None:
        raise ValueError(
            f"--versions: {text!r} is no version; accepted are FIRST:LAST and versions with commas "
            "between them, such as 0.2.0:0.2.8"
        )
    return version

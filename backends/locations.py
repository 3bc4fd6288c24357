"""Locations: where a backend runs, as the end of its id says, ``torch@ssh=gpu1@isa=x86-64-v3``.

Guarantees that locations which are accepted can go together. Nothing is looked for: that a host
answers, or an interpreter is there, shows when the backend starts.
"""

from __future__ import annotations

import re
from typing import Any

from . import instruction_sets

# A path may have an @ of its own, as Homebrew's python@3.11 does, and so may user@host.
_BEGIN = re.compile(r"@(?=[a-z]+=|[a-z]*$)")
_FIELDS = {
    "python": "python",
    "pip": "release",
    "ssh": "host",
    "isa": "instruction_set",
}
_HOST = re.compile(r"(?:[\w][\w.+-]*@)?[\w][\w.-]*(?::\d+)?", re.ASCII)
_ACCEPTED = (
    "accepted are python=/path/to/python or pip=VERSION, ssh=HOST, and isa=INSTRUCTION-SET, each "
    "once"
)


def without(name: str) -> str:
    """A backend's id without its locations: ``torch:compile`` of ``torch:compile@pip=2.10.0``."""
    return _BEGIN.split(name)[0]


def read(name: str) -> tuple[str, dict[str, Any]]:
    """A backend's id without its locations, and the fields of a BackendSpec that they stand for.

    Example: ``torch@ssh=gpu1`` gives ``("torch", {"host": "gpu1"})``.

    Raises:
        ValueError: a location is unknown, there twice, or does not go together with another one.
    """
    backend, *texts = _BEGIN.split(name)
    given: dict[str, Any] = {}
    for text in _whole(texts):
        key, _, value = text.partition("=")
        if key not in _FIELDS or not value or _FIELDS[key] in given:
            raise ValueError(f"backend {name!r} has location {text!r}; {_ACCEPTED}")
        given[_FIELDS[key]] = value
    _check(name, given)
    return backend, given


def _whole(texts: list[str]) -> list[str]:
    """Locations, a host with its user in one piece: ``ssh=user`` and ``host`` are one of them."""
    whole: list[str] = []
    for text in texts:
        if text and "=" not in text and whole and whole[-1].startswith("ssh="):
            whole[-1] += f"@{text}"
        else:
            whole.append(text)
    return whole


def _check(name: str, given: dict[str, Any]) -> None:
    """Check that locations are what they should be, and go together.

    Raises:
        ValueError: they do not.
    """
    host = given.get("host")
    if "python" in given and "release" in given:
        raise ValueError(f"backend {name!r} has python= and pip=; accepted is one of them")
    if host and "release" in given:
        raise ValueError(
            f"backend {name!r} has ssh= and pip=, which installs on this machine only; install the "
            "version there and name its interpreter: ssh=HOST@python=/path/to/python"
        )
    if host and not _HOST.fullmatch(host):
        raise ValueError(
            f"backend {name!r} names the host {host!r}; accepted are HOST, USER@HOST and "
            "HOST:PORT, as OpenSSH's configuration knows them"
        )
    if "instruction_set" in given:
        check = instruction_sets.check_name if host else instruction_sets.check
        check(given["instruction_set"])

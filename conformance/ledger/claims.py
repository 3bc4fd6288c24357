"""Claims: what the author of a backend says of all its cells at once, instead of cell by cell.

A claim is a level, for some formats, without some capabilities. As a file::

    level = "AA"
    dtypes = ["float32", "float64"]     # all where it is left out
    without = ["second-order", "ERR"]   # capabilities, families or requirements

A claimed cell that is worse than the level is an error, as one that is worse than its entry in a
ledger. What is not claimed is measured, shown, and never an error.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bce_conformance.backends import builtin_backends
from bce_conformance.backends.calls import DTYPES
from bce_conformance.backends.names import nearest
from bce_conformance.conformance.specification import requirements
from bce_conformance.results.cells import LEVELS, Place, Verdict

from .model import LedgerError

# Requirements about the class, with its deprecated arguments, that stands beside the function.
CLASS = ("API-1", "API-2", "API-3", "API-4", "API-5", "API-8")
_FIELDS = ("level", "dtypes", "without")


def capabilities() -> dict[str, frozenset[str]]:
    """What an implementation may lack, by name, with the requirements that are about it alone."""

    def titled(words: str) -> frozenset[str]:
        found = requirements().values()
        return frozenset(r.id for r in found if words in r.title.lower())

    return {
        "class": frozenset(CLASS),
        "forward-mode": titled("forward mode"),
        "second-order": titled("second order"),
    }


@dataclass(frozen=True)
class Claims:
    """A level, and what it is claimed for.

    Attributes:
        level: ``A``, ``AA`` or ``AAA``, which every claimed cell reaches; a requirement without
            levels is met.
        dtypes: the formats that are claimed.
        without: names of capabilities, families and requirements that are not.

    Raises:
        LedgerError: one of them is unknown.
    """

    level: Verdict
    dtypes: tuple[str, ...] = DTYPES
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        families = {requirement.family for requirement in requirements().values()}
        for name, given, accepted in (
            ("level", (self.level,), LEVELS),
            ("dtypes", self.dtypes, DTYPES),
            ("without", self.without, (*capabilities(), *families, *requirements())),
        ):
            unknown = [one for one in given if one not in accepted]
            if unknown or not (given or name == "without"):
                what = f"{unknown[0]!r}, which is unknown" if unknown else "nothing"
                near = nearest(str(unknown[0]) if unknown else "", accepted)
                raise LedgerError(f"claims: {name} has {what}; {near}")

    def is_about(self, backend: str) -> bool:
        """Whether a backend is its author's: the suite's own ledger is about the built-in ones."""
        return backend.partition("@")[0] not in {spec.id for spec in builtin_backends()}

    def left_out(self, place: Place) -> str:
        """Why a cell is not claimed, in words; empty where it is. No function has a class."""
        requirement, backend, _, dtype = place
        if requirement not in requirements():
            return "not in SPEC.md"
        if dtype not in self.dtypes:
            return dtype
        without = (*self.without, *(("class",) if "::" in backend else ()))
        return next((name for name in without if requirement in _meant(name)), "")

    def known(self, place: Place) -> Verdict:
        """The verdict that is claimed of a cell."""
        return self.level if requirements()[place.requirement].graded else "AAA"


def _meant(name: str) -> frozenset[str]:
    """The requirements that a name stands for."""
    found = requirements().values()
    return capabilities().get(name) or frozenset(r.id for r in found if name in (r.id, r.family))


def read(path: Path) -> Claims:
    """Read claims from a file.

    Raises:
        LedgerError: it is not there or not valid; says which field.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LedgerError(f"claims: {path}: {error}") from error
    unknown = sorted(set(document) - set(_FIELDS))
    if unknown or "level" not in document:
        wrong = f"unknown fields {unknown}" if unknown else "no field level"
        raise LedgerError(f"claims: {path} has {wrong}; accepted are {', '.join(_FIELDS)}")
    lists = {name: _strings(path, document, name) for name in _FIELDS[1:] if name in document}
    return Claims(document["level"], **lists)


def _strings(path: Path, document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = document[name]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise LedgerError(f"claims: {path}: {name} is {value!r}; accepted is a list of strings")
    return tuple(value)


def claimed(text: str, dtypes: Iterable[str] = (), without: Iterable[str] = ()) -> Claims:
    """The claims that a command line makes: a level with what it is for, or a file.

    Raises:
        LedgerError: they are not valid.
    """
    dtypes, without = tuple(dtypes), tuple(without)
    if text in LEVELS:
        level: Verdict = next(one for one in ("AAA", "AA", "A") if one == text)
        return Claims(level, dtypes or DTYPES, without)
    path = Path(text)
    if path.suffix != ".toml" and not path.exists():
        raise LedgerError(
            f"claims: {text!r} is no level; accepted are {', '.join(LEVELS)} or a file"
        )
    if dtypes or without:
        raise LedgerError(f"claims: {text} is a file: write dtypes and without into it")
    return read(path)

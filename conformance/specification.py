"""The specification as data: SPEC.md, parsed.

SPEC.md is the only place where a requirement is written down; this module guarantees that what the
suite checks, what the report prints and what the document says are the same sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bce_conformance.backends.calls import DTYPES

SPECIFICATION = Path(__file__).with_name("SPEC.md")
# The one value that a line Needs may have: of a requirement that compares instruction sets.
NEEDS = "a process for each lower instruction set"

_HEADING = re.compile(r"^### (?P<id>[A-Z]+-\d+) · (?P<title>.+)$", re.MULTILINE)
_FAMILY = re.compile(r"^## (?P<id>[A-Z]+) · (?P<title>.+)$", re.MULTILINE)
_FIELD = re.compile(r"^- (?P<name>[A-Z][a-z]+): (?P<value>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Requirement:
    """One numbered requirement of the specification.

    Attributes:
        id: such as ``VAL-2``.
        family: such as ``VAL``.
        title: a few words.
        text: the sentence.
        graded: whether it has the levels A, AA and AAA; else it is met (AAA) or fails.
        dtypes: the formats that it applies to.
        each_instruction_set: whether it needs the backend in a process for each instruction set
            below the processor's, which starts and compiles it once more for each.
        source: where it comes from.
        why: its rationale.
    """

    id: str
    family: str
    title: str
    text: str
    graded: bool
    dtypes: tuple[str, ...]
    each_instruction_set: bool
    source: str
    why: str


@cache
def requirements() -> dict[str, Requirement]:
    """All requirements of SPEC.md by their number, in the order of the document."""
    return {requirement.id: requirement for requirement in parse(SPECIFICATION.read_text("utf-8"))}


@cache
def families() -> dict[str, str]:
    """The families of SPEC.md: id → title, in the order of the document."""
    text = SPECIFICATION.read_text("utf-8")
    return {match["id"]: match["title"] for match in _FAMILY.finditer(text)}


def parse(text: str) -> Iterator[Requirement]:
    """Parse the requirements of a specification.

    Raises:
        ValueError: a requirement lacks a field, or one has an unknown value.
    """
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=True):
        body = re.split(r"^## ", text[heading.end() : end], flags=re.MULTILINE)[0].strip()
        yield _requirement(heading["id"], heading["title"], body)


def _requirement(identifier: str, title: str, body: str) -> Requirement:
    fields = {match["name"]: match["value"].strip() for match in _FIELD.finditer(body)}
    missing = {"Levels", "Source", "Why"} - set(fields)
    if missing:
        raise ValueError(f"{identifier} has no line {sorted(missing)}")
    if fields["Levels"] not in ("A, AA, AAA", "met"):
        raise ValueError(f"{identifier} has Levels {fields['Levels']!r}: 'A, AA, AAA' or 'met'")
    dtypes = tuple(fields.get("Dtypes", ", ".join(DTYPES)).split(", "))
    if set(dtypes) - set(DTYPES):
        raise ValueError(f"{identifier} has Dtypes {dtypes}: accepted are {DTYPES}")
    if fields.get("Needs", NEEDS) != NEEDS:
        raise ValueError(f"{identifier} has Needs {fields['Needs']!r}: accepted is {NEEDS!r}")
    sentence = " ".join(body.split("\n- ", 1)[0].split())
    return Requirement(
        identifier,
        identifier.split("-")[0],
        title.strip(),
        sentence,
        fields["Levels"] != "met",
        dtypes,
        "Needs" in fields,
        fields["Source"],
        fields["Why"],
    )

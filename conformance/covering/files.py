"""Covering arrays as files: text in which a change can be read, one row a line.

After a head of three lines that begin with ``#``, each line is a call and each character the level
of one factor, 0 to 9 and a to z.

Guarantees: rows that are read are of this very space, and everything occurs in them that has to, as
is counted anew.
"""

from __future__ import annotations

import re
import string
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from .arrays import cover, coverage
from .combinations import Rows, Space, SpaceError

COMMAND = "python -m bce_conformance.conformance.space"  # writes all files anew
_CHARACTERS = np.frombuffer((string.digits + string.ascii_lowercase).encode(), np.uint8)


class ArrayFileError(RuntimeError):
    """A file of a covering array that is missing, damaged or of another space; says what to do."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(f"{file} {why}; write it anew: {COMMAND}")


def path(strength: int, folder: Path) -> Path:
    """Return the path of the array of a strength."""
    return folder / f"strength-{strength}.txt"


def write(space: Space, strength: int, seed: int, folder: Path, first_rows: ArrayLike = ()) -> Path:
    """Generate the array of a strength (``arrays.cover``) and write its file; return the path."""
    file = path(strength, folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = cover(space, strength, seed, first_rows)
    head = (
        f"# {coverage(space, rows, strength)} of levels occur in {len(rows)} rows. Seed {seed}.\n"
        f"# One call a line, the level of one factor a character. Written by {COMMAND}\n"
        f"{_identity(space, strength)}\n"
    )
    lines = [row.tobytes().decode("ascii") + "\n" for row in _CHARACTERS[rows]]
    file.write_text(head + "".join(lines), encoding="ascii", newline="\n")
    return file


def _identity(space: Space, strength: int) -> str:
    return f"# strength {strength} space {space.digest}"


def read(space: Space, strength: int, folder: Path) -> Rows:
    """Read the array of a strength, and count whether everything occurs.

    Returns:
        [calls, factors], the level of each factor in each call.

    Raises:
        ArrayFileError: there is no such file, it is of another space or strength, a line is no row
            of the space, or some combination does not occur.
    """
    file = path(strength, folder)
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArrayFileError(file, f"cannot be read ({error})") from error
    identity = next((line for line in lines if line.startswith("# strength")), "# no array")
    if identity != _identity(space, strength):
        expected = _identity(space, strength)
        raise ArrayFileError(file, f"says {identity[2:]!r}, but this is {expected[2:]!r}")
    try:
        rows = _parsed([line for line in lines if not line.startswith("#")], space)
        found = [coverage(space, rows, size) for size in (2, strength)]
    except SpaceError as error:
        raise ArrayFileError(file, f"is damaged: {error}") from error
    for short in (each for each in found if not each.complete):
        raise ArrayFileError(file, f"is damaged: {short} of levels occur")
    return rows


def _parsed(lines: list[str], space: Space) -> Rows:
    """Return the rows of lines."""
    row = re.compile(f"[0-9a-z]{{{len(space.sizes)}}}")
    for number, line in enumerate(lines):
        if not row.fullmatch(line):
            raise SpaceError(f"row {number} is {line!r}, not {len(space.sizes)} of 0-9 and a-z")
    levels = np.zeros(128, np.int8)
    levels[_CHARACTERS] = np.arange(len(_CHARACTERS))
    codes = np.frombuffer("".join(lines).encode("ascii"), np.uint8)
    return space.rows(levels[codes].reshape(-1, len(space.sizes)))

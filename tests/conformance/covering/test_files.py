"""Files of covering arrays: what is read is what was written, and damage is noticed."""

import re
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.conformance.covering.arrays import cover
from bce_conformance.conformance.covering.combinations import Space
from bce_conformance.conformance.covering.files import COMMAND, ArrayFileError, read, write

SPACE = Space((12, 3, 2, 4), frozenset({((0, 11), (1, 0))}))


@pytest.mark.parametrize("strength", [2, 3])
def test_what_was_written_is_read(strength: int, tmp_path: Path) -> None:
    write(SPACE, strength, 5, tmp_path)
    assert np.array_equal(read(SPACE, strength, tmp_path), cover(SPACE, strength, 5))


def test_a_line_is_a_row(tmp_path: Path) -> None:
    lines = write(SPACE, 2, 0, tmp_path).read_text().splitlines()
    pairs = 12 * (3 + 2 + 4) + 3 * (2 + 4) + 2 * 4 - 1
    assert lines[0].startswith(f"# {pairs} of {pairs} pairs of levels occur in {len(lines) - 3}")
    assert all(re.fullmatch("[0-9ab][012][01][0-3]", line) for line in lines[3:])
    assert len(lines) == 3 + len(cover(SPACE, 2, 0))


@pytest.mark.parametrize(
    "changed",
    [
        Space((12, 3, 2, 5), SPACE.forbidden),
        Space(SPACE.sizes, frozenset({((0, 10), (1, 0))})),
        Space(SPACE.sizes, SPACE.forbidden, frozenset({(0, 1)})),
        Space((3, 12, 2, 4)),
    ],
)
def test_another_space_is_told(changed: Space, tmp_path: Path) -> None:
    write(SPACE, 2, 0, tmp_path)
    with pytest.raises(ArrayFileError, match=f"{SPACE.digest}.*{changed.digest}.*{COMMAND}"):
        read(changed, 2, tmp_path)


def test_the_same_space_said_otherwise(tmp_path: Path) -> None:
    write(SPACE, 2, 0, tmp_path)
    assert len(read(Space(SPACE.sizes, frozenset({((1, 0), (0, 11))})), 2, tmp_path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArrayFileError, match=r"strength-3\.txt cannot be read.*" + COMMAND):
        read(SPACE, 3, tmp_path)


@pytest.mark.parametrize(
    ("line", "replacement", "message"),
    [
        (-1, None, r"\d of \d+ pairs of levels occur"),
        (3, "00", "row 0 is .00., not 4 of 0-9 and a-z"),
        (3, "0!00", "row 0 is .0!00., not 4 of"),
        (3, "0300", "row 0 has level 3 of factor 1"),
        (3, "b000", "row 0 has the forbidden pair"),
        (2, "", "says 'no array'"),
        (2, "# strength 3 space x", "says 'strength 3 space x', but this is 'strength 2"),
        (3, "é000", "cannot be read"),
    ],
)
def test_damage_is_told(line: int, replacement: str, message: str, tmp_path: Path) -> None:
    file = write(SPACE, 2, 0, tmp_path)
    lines = file.read_text().splitlines()
    lines[line : line + 1 or None] = [] if replacement is None else [replacement]
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ArrayFileError, match=message):
        read(SPACE, 2, tmp_path)

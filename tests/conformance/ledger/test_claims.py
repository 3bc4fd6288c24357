"""Claims: one statement about all cells of a backend, where no ledger has a word of its own."""

from pathlib import Path

import pytest

from bce_conformance.backends.calls import DTYPES
from bce_conformance.conformance.ledger.claims import (
    CLASS,
    Claims,
    capabilities,
    claimed,
    read,
)
from bce_conformance.conformance.ledger.model import Deviation, LedgerError, LedgerFile, Mechanism
from bce_conformance.conformance.ledger.standing import Conditions, Ledger
from bce_conformance.conformance.specification import requirements
from bce_conformance.results.cells import Place

MINE = "my_package.my_module:MyBackend"
NOW = Conditions("1", "x86-64-v3/amd", "quick")


def place(requirement: str = "VAL-1", backend: str = MINE, dtype: str = "float32") -> Place:
    return Place(requirement, backend, "cpu", dtype)


@pytest.mark.parametrize(
    ("requirement", "verdict", "worse"),
    [
        ("VAL-1", "AAA", False),
        ("VAL-1", "AA", False),
        ("VAL-1", "A", True),
        ("VAL-1", "fails", True),
        ("VAL-1", "unsupported", True),
        ("VAL-1", "not measured", False),
        ("RED-1", "AAA", False),
        ("RED-1", "fails", True),  # it has no levels: it is met or not
    ],
)
def test_a_claimed_cell_is_worse_below_its_level(
    requirement: str, verdict: str, worse: bool
) -> None:
    standing = Ledger([], Claims("AA")).standing(place(requirement), verdict, NOW)
    assert standing.worse == worse
    assert not standing.better
    assert standing.known == ("AA" if requirements()[requirement].graded else "AAA")


@pytest.mark.parametrize(
    ("cell", "left_out"),
    [
        (place(dtype="float16"), "float16"),
        (place("GRAD-14"), "second-order"),
        (place("ERR-1"), "ERR"),
        (place("VAL-9"), "VAL-9"),
        (place("API-1", "torch::./kernel.py:loss"), "class"),
        (place("API-1"), ""),
        (place("GONE-1"), "not in SPEC.md"),
        (place("GRAD-15"), ""),
        (place("API-6", "torch::./kernel.py:loss"), ""),
    ],
)
def test_what_is_not_claimed_is_never_worse(cell: Place, left_out: str) -> None:
    claims = Claims("AA", ("float32",), ("second-order", "ERR", "VAL-9"))
    assert claims.left_out(cell) == left_out
    standing = Ledger([], claims).standing(cell, "crashed", NOW)
    assert standing.worse == (not left_out)
    assert standing.reason == (f"not claimed: {left_out}" if left_out else "")


def test_a_ledger_and_the_suites_own_have_the_last_word() -> None:
    known = Deviation(
        place(), "A", Mechanism("m", "why"), ("1",), instruction_sets=(NOW.instruction_set,)
    )
    measured = {NOW.instruction_set: ("VAL-1", "VAL-2")}
    files = [LedgerFile(MINE, deviations=(known,), versions=("1",), measured=measured)]
    ledger = Ledger(files, Claims("AA"))
    assert (
        ledger.standing(place(), "A", NOW).worse,
        ledger.standing(place(), "A", NOW).reason,
    ) == (
        False,
        "why",
    )
    assert ledger.standing(place("VAL-2"), "A", NOW).worse
    assert ledger.standing(place("VAL-1", "torch"), "AA", NOW).worse  # built in: AAA is known
    assert ledger.standing(place("VAL-1", "torch::./a.py:f"), "AA", NOW).known == "AA"


def test_the_capabilities_are_what_their_requirements_ask_for() -> None:
    found = capabilities()
    assert {"GRAD-14", "GRAD-34", "GRAD-36", "INF-23", "LAT-15", "ANY-7"} < found["second-order"]
    assert {"GRAD-15", "GRAD-33", "INF-18", "LAT-6", "ANY-6"} < found["forward-mode"]
    assert found["class"] == set(CLASS)
    assert found["second-order"] & found["forward-mode"] == {"GRAD-34"}
    for name, count in (("second-order", 12), ("forward-mode", 11)):
        assert len(found[name]) == count, name
        assert not found[name] & found["class"]


def test_a_file_says_the_same_as_the_options(tmp_path: Path) -> None:
    path = tmp_path / "claims.toml"
    path.write_text('level = "AA"\ndtypes = ["float32"]\nwithout = ["second-order"]\n', "utf-8")
    assert claimed(str(path)) == claimed("AA", ["float32"], ["second-order"])
    assert claimed("A") == Claims("A", DTYPES, ())
    with pytest.raises(LedgerError, match="is a file: write dtypes and without into it"):
        claimed(str(path), ["float32"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("level = 3", "level has 3, which is unknown; known are A, AA, AAA"),
        ('level = "B"', "level has 'B', which is unknown"),
        ('dtypes = ["float32"]', "has no field level; accepted are level, dtypes, without"),
        ('level = "A"\nbackend = "x"', r"has unknown fields \['backend'\]"),
        ('level = "A"\ndtypes = "float32"', "dtypes is 'float32'; accepted is a list of strings"),
        ('level = "A"\ndtypes = ["float31"]', "dtypes has 'float31'.*the nearest are"),
        ('level = "A"\ndtypes = []', "dtypes has nothing; known are"),
        ('level = "A"\nwithout = ["second order"]', "without has 'second order'.*second-order"),
        ("level", "Expected|Invalid"),
    ],
)
def test_a_file_that_is_not_valid(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(LedgerError, match=told):
        read(path)


@pytest.mark.parametrize("text", ["AAAA", "aa", "none.toml"])
def test_what_is_neither_a_level_nor_a_file(text: str) -> None:
    with pytest.raises(LedgerError, match=r"no level; accepted are AAA, AA, A or a file|No such"):
        claimed(text)

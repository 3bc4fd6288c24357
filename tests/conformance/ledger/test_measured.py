"""Which requirements were measured on which instruction set: what came later was not."""

from pathlib import Path

import pytest

from bce_conformance.conformance.ledger.families import expanded, shortened
from bce_conformance.conformance.ledger.model import LedgerError
from bce_conformance.conformance.ledger.reading import read_file
from bce_conformance.conformance.ledger.standing import Conditions, Ledger
from bce_conformance.conformance.ledger.updating import Found, update
from bce_conformance.conformance.specification import requirements
from bce_conformance.results.cells import Place

HERE, ELSEWHERE = "x86-64-v4/intel", "x86-64-v3/intel"
FILE = f"""\
versions = ["2.13.0"]

[measured]
"{ELSEWHERE}" = ["VAL-1"]
"{HERE}" = ["VAL-1:2"]

[mechanism.cancel]
text = "cancels"

[[mechanism.cancel.deviation]]
backends = ["torch"]
dtypes = ["float32"]
instruction_sets = ["{HERE}"]
A = ["VAL-2"]
"""


@pytest.fixture
def torch(tmp_path: Path) -> Path:
    path = tmp_path / "torch.toml"
    path.write_text(FILE, "utf-8")
    return path


def enter(path: Path, requirement: str, verdict: str, where: str = ELSEWHERE) -> None:
    """Enter a cell that was measured on an instruction set."""
    place = Place(requirement, "torch", "cpu", "float32")
    update(path.parent, [], [Found(place, verdict, "2.13.0", "default", where)])
    explained = path.read_text("utf-8").replace('text = ""', 'text = "another"')
    path.write_text(explained, "utf-8")


def standing(path: Path, requirement: str, where: str, backend: str = "torch") -> str:
    known = Ledger([read_file(path)])
    place = Place(requirement, backend, "cpu", "float32")
    return str(known.standing(place, "A", Conditions("2.13.0", where, "default")))


@pytest.mark.parametrize(("measured", "expected"), [("VAL-1", "as known"), ("VAL-1:2", "worse")])
def test_what_was_not_measured_is_known_from_the_nearest_instruction_set(
    torch: Path, measured: str, expected: str
) -> None:
    lines = FILE.replace(f'"{ELSEWHERE}" = ["VAL-1"]', f'"{ELSEWHERE}" = ["{measured}"]')
    torch.write_text(lines, "utf-8")
    assert standing(torch, "VAL-2", ELSEWHERE) == expected
    assert standing(torch, "VAL-2", HERE) == "as known"


def test_a_backend_on_request_was_measured_where_its_deviations_say(torch: Path) -> None:
    """The others of its file may have been measured on more."""
    both = FILE.replace('["VAL-1"]', '["VAL-1:2"]').replace('["torch"]', '["torch", "torch:jit"]')
    torch.write_text(both, "utf-8")
    assert standing(torch, "VAL-2", ELSEWHERE) == "worse"
    assert standing(torch, "VAL-2", ELSEWHERE, "torch:jit") == "as known"
    assert standing(torch, "VAL-1", ELSEWHERE, "torch:jit") == "worse on another instruction set"


def test_a_requirement_that_came_later_is_known_where_it_was_measured_first(torch: Path) -> None:
    """Nobody has to say that the other instruction sets lack it: it is not among theirs."""
    assert standing(torch, "VAL-3", HERE) == "worse on another instruction set"
    enter(torch, "VAL-3", "A", HERE)
    assert standing(torch, "VAL-3", HERE) == "as known"
    assert standing(torch, "VAL-3", ELSEWHERE) == "as known"
    enter(torch, "VAL-3", "AAA", ELSEWHERE)
    assert standing(torch, "VAL-3", ELSEWHERE) == "worse"


def test_what_a_run_measures_is_among_them_from_then_on(torch: Path) -> None:
    enter(torch, "VAL-3", "A")
    assert read_file(torch).measured == {ELSEWHERE: ("VAL-1", "VAL-3"), HERE: ("VAL-1", "VAL-2")}
    assert read_file(torch).sets_of("VAL-2", "torch") == (HERE,)
    enter(torch, "VAL-2", "not measured")
    assert read_file(torch).sets_of("VAL-2", "torch") == (HERE,)
    enter(torch, "VAL-2", "AAA")
    assert read_file(torch).measured[ELSEWHERE] == ("VAL-1", "VAL-2", "VAL-3")
    assert f'"{ELSEWHERE}" = [\n    "VAL-1:3",\n]' in torch.read_text("utf-8")


@pytest.mark.parametrize(
    ("other", "is_complete"),
    [
        ("VAL-2 torch float64", False),
        ("VAL-2 torch:jit float32", True),  # on request
        ("DTY-1 torch:compile float64", True),  # the default tier does not try it
    ],
)
def test_an_instruction_set_is_measured_where_all_that_the_default_tier_finds_was_tried(
    torch: Path, other: str, is_complete: bool
) -> None:
    requirement, backend, dtype = other.split()
    entry = f"""
[[mechanism.cancel.deviation]]
backends = ["{backend}"]
dtypes = ["{dtype}"]
A = ["{requirement}"]
"""
    torch.write_text(FILE + entry, "utf-8")
    enter(torch, "VAL-2", "A", "x86-64-v4/amd")
    assert ("x86-64-v4/amd" in read_file(torch).measured) == is_complete


def test_they_are_written_short_and_read_again() -> None:
    every = list(requirements())
    for step in (1, 2, 3, 7):
        some = tuple(every[::step])
        assert expanded(shortened(some)) == some
    assert len(shortened(every)) == len({name.partition("-")[0] for name in every})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"v" = ["VAL-99"]', "requirement 'VAL-99' is not in SPEC.md"),
        ('"v" = ["VAL-1:99"]', "requirement 'VAL-99' is not in SPEC.md"),
        ('"v" = ["VAL-5:2"]', "VAL-5:2: VAL-2 stands before VAL-5"),
        ('"v" = "VAL-1"', "accepted is a list of strings"),
    ],
)
def test_what_is_no_list_of_requirements_is_refused(torch: Path, line: str, message: str) -> None:
    torch.write_text(FILE.replace("[measured]", f"[measured]\n{line}"), "utf-8")
    with pytest.raises(LedgerError, match=message):
        read_file(torch)


def test_measured_is_a_table(torch: Path) -> None:
    torch.write_text('measured = ["VAL-1"]\n', "utf-8")
    with pytest.raises(LedgerError, match="accepted is a table by instruction set"):
        read_file(torch)

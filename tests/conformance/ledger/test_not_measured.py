"""Requirements that came after the instruction sets of a ledger file."""

from pathlib import Path

import pytest

from bce_conformance.conformance.ledger.model import LedgerError
from bce_conformance.conformance.ledger.reading import read_file
from bce_conformance.conformance.ledger.standing import Conditions, Ledger
from bce_conformance.conformance.ledger.updating import Found, update
from bce_conformance.results.cells import Place

HERE, ELSEWHERE = "x86-64-v4/intel", "x86-64-v3/intel"
FILE = f"""\
versions = ["2.13.0"]
instruction_sets = ["{ELSEWHERE}", "{HERE}"]

[not_measured]
"{ELSEWHERE}" = ["VAL-2", "VAL-3"]

[mechanism.cancel]
text = "cancels"

[[mechanism.cancel.deviation]]
backends = ["torch"]
dtypes = ["float32"]
instruction_sets = ["{HERE}"]
A = ["VAL-2"]
"""
MISSING = f'[not_measured]\n"{ELSEWHERE}" = ["VAL-2", "VAL-3"]\n'


@pytest.fixture
def torch(tmp_path: Path) -> Path:
    path = tmp_path / "torch.toml"
    path.write_text(FILE, "utf-8")
    return path


def enter(path: Path, requirement: str, verdict: str) -> None:
    """Enter a cell that was measured on the instruction set that lacks some."""
    place = Place(requirement, "torch", "cpu", "float32")
    update(path.parent, [], [Found(place, verdict, "2.13.0", "default", ELSEWHERE)])
    explained = path.read_text("utf-8").replace('text = ""', 'text = "another"')
    path.write_text(explained, "utf-8")


def test_it_is_known_from_the_nearest_instruction_set(torch: Path) -> None:
    """Without the list it would be known to be AAA where it has never been measured."""
    place = Place("VAL-2", "torch", "cpu", "float32")
    for text, expected in ((FILE, "as known"), (FILE.replace(MISSING, ""), "worse")):
        torch.write_text(text, "utf-8")
        known = Ledger([read_file(torch)])
        assert (
            str(known.standing(place, "A", Conditions("2.13.0", ELSEWHERE, "default"))) == expected
        )
        assert str(known.standing(place, "A", Conditions("2.13.0", HERE, "default"))) == "as known"


def test_what_a_run_measures_is_no_longer_missing(torch: Path) -> None:
    enter(torch, "VAL-3", "A")
    file = read_file(torch)
    assert file.not_measured == {ELSEWHERE: ("VAL-2",)}
    assert file.sets_of("VAL-3") == file.instruction_sets
    assert file.sets_of("VAL-2") == (HERE,)
    enter(torch, "VAL-2", "not measured")
    assert read_file(torch).not_measured == file.not_measured
    enter(torch, "VAL-2", "AAA")
    assert "not_measured" not in torch.read_text("utf-8")


def test_what_is_missing_is_a_requirement(torch: Path) -> None:
    torch.write_text(FILE.replace("VAL-3", "VAL-99"), "utf-8")
    with pytest.raises(LedgerError, match="VAL-99"):
        read_file(torch)

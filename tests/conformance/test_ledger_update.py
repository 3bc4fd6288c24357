"""Updating the ledger keeps reasons, adds what is new and drops what is stale."""

from pathlib import Path

import pytest

from bce_conformance.conformance.ledger import LEDGER, LedgerError, read_file
from bce_conformance.conformance.ledger_update import Found, update

BEFORE = """\
[reasons.cancel]
text = "cancels \\"badly\\""
link = "https://example.org/1"

[[deviation]]
requirement = "VAL-2"
dtypes = ["float32", "float64"]
level = "A"
reason = "cancel"

[[deviation]]
requirement = "VAL-1"
variant = "compile"
dtypes = ["float32"]
level = "fails"
reason = "cancel"
"""


@pytest.fixture
def torch(tmp_path: Path) -> Path:
    path = tmp_path / "torch.toml"
    path.write_text(BEFORE, "utf-8")
    return path


def entries(path: Path) -> dict[tuple[str, str, str], tuple[str, str]]:
    return {
        (entry.backend, entry.requirement, dtype): (entry.level, entry.reason)
        for entry in read_file(path)
        for dtype in entry.dtypes
    }


def test_levels_move_and_reasons_stay(torch: Path) -> None:
    known = entries(torch)
    assert update(torch.parent, [Found("VAL-2", "torch", "float32", "AA")]) == [torch]
    known["torch", "VAL-2", "float32"] = ("AA", 'cancels "badly"')
    assert entries(torch) == known


def test_a_new_format_takes_the_reason_of_its_requirement(torch: Path) -> None:
    update(torch.parent, [Found("VAL-2", "torch", "float16", "A")])
    assert entries(torch)["torch", "VAL-2", "float16"] == ("A", 'cancels "badly"')


def test_what_is_met_leaves_the_ledger(torch: Path) -> None:
    update(torch.parent, [Found("VAL-2", "torch", "float32", "AAA")])
    assert ("torch", "VAL-2", "float32") not in entries(torch)
    assert ("torch", "VAL-2", "float64") in entries(torch)


def test_what_was_not_measured_stays(torch: Path) -> None:
    assert update(torch.parent, [Found("VAL-2", "torch", "float32", "not measured")]) == []
    assert torch.read_text("utf-8") == BEFORE


def test_a_new_deviation_is_invalid_until_it_is_explained(torch: Path) -> None:
    update(torch.parent, [Found("INF-1", "torch", "float32", "fails")])
    with pytest.raises(LedgerError, match="reason 'unexplained'"):
        read_file(torch)


def test_a_file_without_entries_goes(torch: Path) -> None:
    found = [
        Found("VAL-2", "torch", "float32", "AAA"),
        Found("VAL-2", "torch", "float64", "AAA"),
        Found("VAL-1", "torch:compile", "float32", "AAA"),
    ]
    update(torch.parent, found)
    assert not torch.exists()


def test_updating_with_itself_changes_nothing(tmp_path: Path) -> None:
    """The files of the suite's own ledger are in the form that update writes."""
    for path in LEDGER.glob("*.toml"):
        copy = tmp_path / path.name
        copy.write_text(path.read_text("utf-8"), "utf-8")
        found = [
            Found(entry.requirement, entry.backend, dtype, entry.level)
            for entry in read_file(path)
            for dtype in entry.dtypes
        ]
        assert update(tmp_path, found) == [], path.name

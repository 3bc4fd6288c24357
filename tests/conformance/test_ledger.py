"""The ledger: strict both ways, and clear about damage."""

from pathlib import Path

import pytest

from bce_conformance.backends import builtin_backends
from bce_conformance.conformance import ledger
from bce_conformance.conformance.cells import VERDICTS
from bce_conformance.conformance.ledger import LEDGER, Ledger, LedgerError, read_file

ENTRY = """
[reasons.cancel]
text = "cancels"
link = "https://example.org/1"

[[deviation]]
requirement = "VAL-2"
dtypes = ["float32", "float64"]
level = "A"
reason = "cancel"
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "torch.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


def test_an_entry_is_read(write) -> None:
    (entry,) = read_file(write(ENTRY))
    assert (entry.backend, entry.requirement, entry.level) == ("torch", "VAL-2", "A")
    assert entry.dtypes == ("float32", "float64")
    assert (entry.reason, entry.link) == ("cancels", "https://example.org/1")


def test_a_variant_is_part_of_the_backend(write) -> None:
    (entry,) = read_file(write(ENTRY + 'variant = "compile"\n'))
    assert entry.backend == "torch:compile"


@pytest.mark.parametrize("verdict", VERDICTS)
def test_an_entry_expects_its_level_and_nothing_else(write, verdict: str) -> None:
    known = Ledger(read_file(write(ENTRY)))
    assert known.expects("VAL-2", "torch", "float32", verdict) is (verdict == "A")


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_tier_that_tries_less_may_find_better_but_not_worse(write, verdict: str) -> None:
    known = Ledger(read_file(write(ENTRY)))
    right = verdict in ("AAA", "AA", "A")
    assert known.expects("VAL-2", "torch", "float32", verdict, strict=False) is right


@pytest.mark.parametrize("verdict", VERDICTS)
def test_without_an_entry_aaa_or_no_measurement_is_expected(write, verdict: str) -> None:
    known = Ledger(read_file(write(ENTRY)))
    right = verdict in ("AAA", "not measured")
    assert known.expects("VAL-2", "torch", "float16", verdict) is right
    assert known.expects("VAL-2", "torch:compile", "float32", verdict) is right


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("VAL-2", "VAL-99", "torch.toml, deviation 1: requirement 'VAL-99' is not in SPEC.md"),
        ('"float32", ', '"float8", ', "dtypes"),
        ('["float32", "float64"]', "[]", "dtypes"),
        ('level = "A"', 'level = "AAA"', "level 'AAA'"),
        ('level = "A"', 'level = "not measured"', "level 'not measured'"),
        ('reason = "cancel"', 'reason = "other"', "reason 'other' is not under"),
        ('level = "A"\n', "", r"no field \['level'\]"),
        ('level = "A"', 'level = "A"\nlevels = "A"', r"unknown fields \['levels'\]"),
        ("cancels", "", "reason 'cancel'"),
        ("[[deviation]]", "[[deviation", "torch.toml"),
        ("[[deviation]]", '[reasons.more]\ntext = "x"\n[[deviation]]', "no deviation has"),
    ],
)
def test_a_damaged_file_says_where(write, old: str, new: str, message: str) -> None:
    assert old in ENTRY
    with pytest.raises(LedgerError, match=message):
        read_file(write(ENTRY.replace(old, new)))


def test_two_entries_for_a_cell_are_refused(write) -> None:
    entries = read_file(write(ENTRY))
    with pytest.raises(LedgerError, match="VAL-2 torch float32 has two entries"):
        Ledger(entries + entries)


def test_the_ledger_of_the_suite_is_valid_and_knows_its_backends() -> None:
    assert len(ledger.read()) > 0
    known = {spec.id for spec in builtin_backends()}
    for path in LEDGER.glob("*.toml"):
        assert {entry.backend for entry in read_file(path)} <= known

"""The ledger: strict both ways, and clear about damage."""

from pathlib import Path

import pytest

from bce_conformance.backends import builtin_backends
from bce_conformance.conformance import ledger
from bce_conformance.conformance.cells import VERDICTS
from bce_conformance.conformance.ledger import LEDGER, Ledger, LedgerError, read_file

ENTRY = """
measured = ["2.13.0"]

[reasons.cancel]
text = "cancels"
link = "https://example.org/1"

[[deviation]]
requirement = "VAL-2"
dtypes = ["float32", "float64"]
level = "A"
reason = "cancel"
"""

THOROUGH = ENTRY.replace('level = "A"', 'level = "A"\ntier = "thorough"')
ON_CUDA = ENTRY.replace('level = "A"', 'level = "AA"\ndevice = "cuda"')


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "torch.toml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write


def test_an_entry_is_read(write) -> None:
    (entry,) = read_file(write(ENTRY)).deviations
    assert (entry.backend, entry.requirement, entry.level) == ("torch", "VAL-2", "A")
    assert entry.dtypes == ("float32", "float64")
    assert (entry.reason, entry.link) == ("cancels", "https://example.org/1")
    assert entry.measured == ("2.13.0",)
    assert (entry.device, entry.tier) == ("cpu", "default")


def test_a_variant_is_part_of_the_backend(write) -> None:
    (entry,) = read_file(write(ENTRY + 'variant = "compile"\n')).deviations
    assert entry.backend == "torch:compile"


def test_an_entry_may_name_versions_of_its_own(write) -> None:
    (entry,) = read_file(write(ENTRY + 'measured = ["2.11.0", "2.12.1"]\n')).deviations
    assert entry.measured == ("2.11.0", "2.12.1")


def standing(ledger: Ledger, verdict: str, *, tier: str = "default", **other: str) -> str:
    cell = {"requirement": "VAL-2", "backend": "torch", "dtype": "float32", "version": "2.13.0"}
    return ledger.standing(**(cell | other), verdict=verdict, tier=tier)


@pytest.fixture
def known(write) -> Ledger:
    return Ledger(read_file(write(ENTRY)).deviations)


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("version", ["2.13.0", "2.13.0+cpu", "2.14.0", ""])
def test_an_entry_is_strict_both_ways_on_its_versions(
    known: Ledger, verdict: str, version: str
) -> None:
    above = "stale" if version.startswith("2.13.0") else "better"
    right = {"AAA": above, "AA": above, "A": "as expected"}.get(verdict, "worse")
    assert standing(known, verdict, version=version) == right


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize(
    ("entry", "tier", "strict"),
    [
        (ENTRY, "quick", False),
        (ENTRY, "default", True),
        (ENTRY, "thorough", True),
        (THOROUGH, "quick", False),
        (THOROUGH, "default", False),
        (THOROUGH, "thorough", True),
    ],
)
def test_a_tier_that_tries_less_may_find_better_but_not_worse(
    write, verdict: str, entry: str, tier: str, strict: bool
) -> None:
    better = "stale" if strict else "as expected"
    right = {"AAA": better, "AA": better, "A": "as expected"}.get(verdict, "worse")
    known = Ledger(read_file(write(entry)).deviations)
    assert standing(known, verdict, tier=tier) == right


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("version", ["2.13.0", "2.14.0"])
def test_without_an_entry_aaa_or_no_measurement_is_expected(
    known: Ledger, verdict: str, version: str
) -> None:
    right = "as expected" if verdict in ("AAA", "not measured") else "worse"
    assert standing(known, verdict, version=version, dtype="float16") == right
    assert standing(known, verdict, version=version, backend="torch:compile") == right


@pytest.mark.parametrize("verdict", VERDICTS)
def test_on_a_device_without_an_entry_a_better_cell_is_news(known: Ledger, verdict: str) -> None:
    right = {"AAA": "better", "AA": "better", "A": "as expected"}.get(verdict, "worse")
    assert standing(known, verdict, device="cuda:1") == right


@pytest.mark.parametrize("order", [(ENTRY, ON_CUDA), (ON_CUDA, ENTRY)])
def test_a_device_has_its_own_entry(write, order: tuple[str, str]) -> None:
    files = (write(text, f"{number}/torch.toml") for number, text in enumerate(order))
    both = Ledger(entry for path in files for entry in read_file(path).deviations)
    assert standing(both, "AA", device="cuda:1") == "as expected"
    assert standing(both, "AAA", device="cuda") == "stale"
    assert standing(both, "A", device="cuda") == "worse"
    assert standing(both, "A") == "as expected"
    assert standing(both, "AA", device="tpu") == "better"


def test_an_entry_for_another_device_only_applies_to_the_cpu_too(write) -> None:
    known = Ledger(read_file(write(ON_CUDA)).deviations)
    assert standing(known, "AA") == "as expected"
    assert standing(known, "AAA") == "better"


def test_an_entry_is_about_a_backend_wherever_it_lives(known: Ledger) -> None:
    assert standing(known, "A", backend="torch@python=/other/python") == "as expected"


def test_a_ledger_of_ones_own_wins_for_its_backend(write) -> None:
    ours = write(ENTRY)
    other = 'backend = "jax"\n' + ENTRY
    mine = write('backend = "torch"\n' + ENTRY.replace("VAL-2", "VAL-3"), "mine.txt")
    write(other.replace("VAL-2", "VAL-4"), "jax.toml")
    found = ledger.read([mine], ours.parent)
    assert found.deviation("VAL-3", "torch", "float32") is not None
    assert found.deviation("VAL-2", "torch", "float32") is None
    assert found.deviation("VAL-4", "jax", "float32") is not None
    assert len(ledger.read([ours.parent / "none.toml"], ours.parent)) == 4
    with pytest.raises(LedgerError, match="two ledger files are about torch"):
        ledger.read([mine, ours], ours.parent)


def test_a_ledger_of_ones_own_may_be_about_an_import_path(write) -> None:
    path = write('backend = "my.module:Mine"\n' + ENTRY)
    assert {entry.backend for entry in read_file(path).deviations} == {"my.module:Mine"}


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
        ('level = "A"', 'level = "A"\ntier = "quick"', "tier 'quick': accepted are"),
        ('measured = ["2.13.0"]', "", "torch.toml, deviation 1: measured"),
        ('measured = ["2.13.0"]', "measured = [2.13]", "torch.toml, deviation 1: measured"),
        ('measured = ["2.13.0"]', 'version = "2.13.0"', r"torch.toml: unknown fields"),
        ("[[deviation]]", "[[deviation", "torch.toml"),
        ("[[deviation]]", '[reasons.more]\ntext = "x"\n[[deviation]]', "no deviation has"),
        ("[[deviation]]", '[[witness]]\npool = "m.f"\n[[deviation]]', "witness 1: the fields"),
    ],
)
def test_a_damaged_file_says_where(write, old: str, new: str, message: str) -> None:
    assert old in ENTRY
    with pytest.raises(LedgerError, match=message):
        read_file(write(ENTRY.replace(old, new)))


def test_two_entries_for_a_cell_are_refused(write) -> None:
    entries = read_file(write(ENTRY)).deviations
    with pytest.raises(LedgerError, match="VAL-2 torch float32 has two entries"):
        Ledger(entries + entries)


def test_the_ledger_of_the_suite_is_valid_and_knows_its_backends() -> None:
    assert len(ledger.read()) > 0
    known = {spec.id for spec in builtin_backends()}
    for path in LEDGER.glob("*.toml"):
        assert {entry.backend for entry in read_file(path).deviations} <= known

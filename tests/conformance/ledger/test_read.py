"""The ledger: strict both ways, and clear about damage."""

from dataclasses import replace
from pathlib import Path

import pytest

from bce_conformance.backends import builtin_backends
from bce_conformance.conformance.ledger.read import (
    LEDGER,
    Conditions,
    Ledger,
    LedgerError,
    LedgerFile,
    nearest,
    read,
    read_file,
)
from bce_conformance.results.cells import VERDICTS

HERE, ELSEWHERE = "x86-64-v4/intel", "x86-64-v3/amd"
ENTRY = f"""
measured = ["2.13.0"]
instruction_sets = ["{HERE}"]

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


def standing(ledger: Ledger, verdict: str, **other: str) -> str:
    cell = {"requirement": "VAL-2", "backend": "torch", "dtype": "float32"}
    given = {name: other.pop(name, value) for name, value in cell.items()}
    usual = {"version": "2.13.0", "instruction_set": HERE, "tier": "default", "device": "cpu"}
    return str(ledger.standing(**given, verdict=verdict, conditions=Conditions(**(usual | other))))


@pytest.fixture
def known(write) -> Ledger:
    return Ledger([read_file(write(ENTRY))])


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("version", ["2.13.0", "2.13.0+cpu", "2.14.0", ""])
def test_an_entry_is_strict_both_ways_on_its_versions(
    known: Ledger, verdict: str, version: str
) -> None:
    where = "" if version.startswith("2.13.0") else " on another version"
    above = f"better{where}" if where else "stale"
    right = {"AAA": above, "AA": above, "A": "as known"}.get(verdict, f"worse{where}")
    assert standing(known, verdict, version=version) == right


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("version", ["2.13.0", "2.14.0"])
def test_another_instruction_set_is_told_apart_from_another_version(
    known: Ledger, verdict: str, version: str
) -> None:
    both = "" if version == "2.13.0" else "version and "
    where = f" on another {both}instruction set"
    right = {"AAA": f"better{where}", "AA": f"better{where}", "A": "as known"}
    found = standing(known, verdict, version=version, instruction_set=ELSEWHERE)
    assert found == right.get(verdict, f"worse{where}")


@pytest.mark.parametrize("version", ["2.13.0", "2.14.0"])
@pytest.mark.parametrize("instruction_set", [HERE, ELSEWHERE])
def test_an_entry_is_stale_only_where_it_was_measured(
    known: Ledger, version: str, instruction_set: str
) -> None:
    conditions = Conditions(version, instruction_set, "default")
    found = known.standing("VAL-2", "torch", "float32", "AAA", conditions)
    assert found.better
    assert found.stale == ((version, instruction_set) == ("2.13.0", HERE))


OF_SETS = ENTRY.replace(f'["{HERE}"]', f'["{HERE}", "{ELSEWHERE}"]')


def test_an_entry_of_one_instruction_set_leaves_the_others_alone(write) -> None:
    text = OF_SETS.replace('level = "A"', f'level = "A"\ninstruction_sets = ["{HERE}"]')
    known = Ledger([read_file(write(text))])
    assert standing(known, "A") == "as known"
    assert standing(known, "A", instruction_set=ELSEWHERE) == "worse"
    assert standing(known, "AAA", instruction_set=ELSEWHERE) == "as known"
    unseen = standing(known, "AAA", instruction_set="aarch64")
    assert unseen == "better on another instruction set"
    other_maker = HERE.replace("intel", "amd")
    assert standing(known, "A", instruction_set=other_maker) == "as known"
    assert standing(known, "AAA", instruction_set=other_maker) == unseen
    less = ELSEWHERE.replace("amd", "intel")  # the level that is AAA on another maker's
    assert standing(known, "AAA", instruction_set=less) == "as known"
    assert standing(known, "A", instruction_set=less) == "worse on another instruction set"
    assert standing(known, "A", instruction_set="aarch64") == "as known"


def test_on_an_unseen_instruction_set_the_worst_entry_is_known(write) -> None:
    one = OF_SETS.replace('level = "A"', f'level = "A"\ninstruction_sets = ["{HERE}"]')
    start = one.index("[[deviation]]")
    two = one[start:].replace('"A"', '"AA"').replace(HERE, ELSEWHERE)
    for text in (one + two, one[:start] + two + one[start:]):
        known = Ledger([read_file(write(text))])
        assert standing(known, "AA", instruction_set=ELSEWHERE) == "as known"
        assert standing(known, "AA") == "stale"
        assert standing(known, "A", instruction_set=ELSEWHERE) == "worse"
        assert standing(known, "A", instruction_set="aarch64") == "as known"


def test_what_a_larger_tier_found_elsewhere_is_known_here(write) -> None:
    text = OF_SETS.replace(
        'level = "A"', f'level = "A"\ntier = "thorough"\ninstruction_sets = ["{HERE}"]'
    )
    known = Ledger([read_file(write(text))])
    assert standing(known, "A", instruction_set=ELSEWHERE, tier="thorough") == "as known"
    assert standing(known, "AAA", instruction_set=ELSEWHERE) == "as known"
    better = standing(known, "AAA", instruction_set=ELSEWHERE, tier="thorough")
    assert better == "better on another instruction set"


def test_an_entry_may_have_no_instruction_set(write) -> None:
    known = Ledger([read_file(write(ENTRY.replace(f'instruction_sets = ["{HERE}"]', "")))])
    assert standing(known, "A") == "as known"
    assert standing(known, "AAA") == "better on another instruction set"


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
    better = "stale" if strict else "as known"
    right = {"AAA": better, "AA": better, "A": "as known"}.get(verdict, "worse")
    known = Ledger([read_file(write(entry))])
    assert standing(known, verdict, tier=tier) == right


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("version", ["2.13.0", "2.14.0"])
def test_without_an_entry_aaa_or_no_measurement_is_expected(
    known: Ledger, verdict: str, version: str
) -> None:
    where = "" if version == "2.13.0" else " on another version"
    right = "as known" if verdict in ("AAA", "not measured") else f"worse{where}"
    assert standing(known, verdict, version=version, dtype="float16") == right
    assert standing(known, verdict, version=version, backend="torch:compile") == right


@pytest.mark.parametrize("verdict", VERDICTS)
def test_on_a_device_without_an_entry_a_better_cell_is_news(known: Ledger, verdict: str) -> None:
    where = "on another device"
    right = {"AAA": f"better {where}", "AA": f"better {where}", "A": "as known"}
    assert standing(known, verdict, device="cuda:1") == right.get(verdict, f"worse {where}")


@pytest.mark.parametrize("order", [(ENTRY, ON_CUDA), (ON_CUDA, ENTRY)])
def test_a_device_has_its_own_entry(write, order: tuple[str, str]) -> None:
    files = (write(text, f"{number}/torch.toml") for number, text in enumerate(order))
    entries = tuple(entry for path in files for entry in read_file(path).deviations)
    both = Ledger([LedgerFile("torch", entries, (), ("2.13.0",), (HERE,))])
    assert standing(both, "AA", device="cuda:1") == "as known"
    assert standing(both, "AAA", device="cuda") == "stale"
    assert standing(both, "A", device="cuda") == "worse"
    assert standing(both, "A") == "as known"
    assert standing(both, "AA", device="tpu") == "better on another device"


def test_an_entry_for_another_device_only_applies_to_the_cpu_too(write) -> None:
    known = Ledger([read_file(write(ON_CUDA))])
    assert standing(known, "AA") == "as known"
    assert standing(known, "AAA") == "better on another device"


def test_an_entry_is_about_a_backend_wherever_it_lives(known: Ledger) -> None:
    assert standing(known, "A", backend="torch@python=/other/python@isa=x86-64-v2") == "as known"


def test_a_ledger_of_ones_own_wins_for_its_backend(write) -> None:
    ours = write(ENTRY)
    other = 'backend = "jax"\n' + ENTRY
    mine = write('backend = "torch"\n' + ENTRY.replace("VAL-2", "VAL-3"), "mine.txt")
    write(other.replace("VAL-2", "VAL-4"), "jax.toml")
    found = read([mine], ours.parent)
    on = ("float32", "cpu", HERE)
    assert found.deviation("VAL-3", "torch", *on) is not None
    assert found.deviation("VAL-2", "torch", *on) is None
    assert found.deviation("VAL-4", "jax", *on) is not None
    assert len(read([ours.parent / "none.toml"], ours.parent)) == 4
    with pytest.raises(LedgerError, match="two ledger files are about torch"):
        read([mine, ours], ours.parent)


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
        (f'["{HERE}"]', "[4]", "torch.toml, deviation 1: instruction_sets"),
        (f'["{HERE}"]', f'"{HERE}"', "torch.toml, deviation 1: instruction_sets"),
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
    file = read_file(write(ENTRY))
    twice = replace(file, deviations=file.deviations * 2)
    with pytest.raises(LedgerError, match="VAL-2 torch float32 has two entries for cpu x86-64-v4"):
        Ledger([twice])


def test_the_ledger_of_the_suite_is_valid_and_knows_its_backends() -> None:
    assert len(read()) > 0
    known = {spec.id for spec in builtin_backends()}
    for path in LEDGER.glob("*.toml"):
        assert {entry.backend for entry in read_file(path).deviations} <= known


@pytest.mark.parametrize(
    ("instruction_set", "others", "near"),
    [
        ("x86-64-v3/amd", ["x86-64-v2/intel", "x86-64-v3/intel"], ["x86-64-v3/intel"]),
        ("x86-64-v3/amd", ["x86-64-v2/a", "x86-64-v4/a", "x86-64-v4/b"], [0, 1, 2]),
        ("x86-64-v2/amd", ["x86-64-v3/a", "x86-64-v4/a"], [0]),
        ("x86-64-v4-fp16/amd", ["x86-64-v3/a", "x86-64-v2/a"], [0]),
        ("aarch64", ["x86-64-v3/a", "x86-64-v2/a"], [0, 1]),
        ("x86-64-v3/amd", ["aarch64"], [0]),
        ("x86-64-v3/amd", [], []),
    ],
)
def test_the_nearest_instruction_sets(
    instruction_set: str, others: list[str], near: list[str | int]
) -> None:
    expected = {others[one] if isinstance(one, int) else one for one in near}
    assert nearest(instruction_set, others) == expected

"""The ledger: strict both ways, and clear about damage."""

from dataclasses import replace
from pathlib import Path

import pytest

from bce_conformance.backends import builtin_backends
from bce_conformance.conformance.ledger.model import LedgerError, LedgerFile
from bce_conformance.conformance.ledger.reading import LEDGER, read, read_file
from bce_conformance.conformance.ledger.standing import Conditions, Ledger, nearest
from bce_conformance.results.cells import VERDICTS, Place

HERE, ELSEWHERE = "x86-64-v4/intel", "x86-64-v3/amd"
ENTRY = f"""
versions = ["2.13.0"]

[measured]
"{HERE}" = ["VAL-1:13"]

[mechanism.cancel]
text = "cancels"
link = "https://example.org/1"

[[mechanism.cancel.deviation]]
backends = ["torch"]
dtypes = ["float32", "float64"]
A = ["VAL-2"]
"""
DEVIATION = "[[mechanism.cancel.deviation]]"
LEVEL = 'A = ["VAL-2"]'

THOROUGH = ENTRY.replace(LEVEL, f'tier = "thorough"\ninstruction_sets = ["{HERE}"]\n{LEVEL}')
ON_CUDA = ENTRY.replace(LEVEL, 'device = "cuda"\nAA = ["VAL-2"]')


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "torch.toml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write


def test_an_entry_is_read(write) -> None:
    entries = read_file(write(ENTRY)).deviations
    assert [entry.place for entry in entries] == [
        Place("VAL-2", "torch", "cpu", "float32"),
        Place("VAL-2", "torch", "cpu", "float64"),
    ]
    for entry in entries:
        mechanism = entry.mechanism
        assert (mechanism.text, mechanism.link) == ("cancels", "https://example.org/1")
        assert (entry.level, entry.versions, entry.tier) == ("A", ("2.13.0",), "default")
        assert entry.instruction_sets == (HERE,)


def test_an_entry_stands_for_each_requirement_backend_and_dtype(write) -> None:
    text = ENTRY.replace('["torch"]', '["torch", "torch:compile"]')
    text = text.replace(LEVEL, 'A = ["VAL-2", "VAL-1"]\nfails = ["INF-1"]')
    assert {(entry.place, entry.level) for entry in read_file(write(text)).deviations} == {
        (Place(requirement, backend, "cpu", dtype), level)
        for requirement, level in (("VAL-1", "A"), ("VAL-2", "A"), ("INF-1", "fails"))
        for backend in ("torch", "torch:compile")
        for dtype in ("float32", "float64")
    }


def test_an_entry_may_name_versions_of_its_own(write) -> None:
    entry, _ = read_file(write(ENTRY + 'versions = ["2.11.0", "2.12.1"]\n')).deviations
    assert entry.versions == ("2.11.0", "2.12.1")


def test_an_entry_of_the_thorough_tier_does_not_take_the_instruction_sets_of_the_file(
    write,
) -> None:
    entry, _ = read_file(write(ENTRY + 'tier = "thorough"\n')).deviations
    assert entry.instruction_sets == ()
    entry, _ = read_file(write(THOROUGH)).deviations
    assert entry.instruction_sets == (HERE,)


PLACE = Place("VAL-2", "torch", "cpu", "float32")


def standing(ledger: Ledger, verdict: str, **other: str) -> str:
    place = PLACE._replace(**{name: other.pop(name) for name in Place._fields if name in other})
    usual = {"version": "2.13.0", "instruction_set": HERE, "tier": "default"}
    return str(ledger.standing(place, verdict, Conditions(**(usual | other))))


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
    right = {"AAA": above, "AA": above, "A": "as known", "not measured": "as known"}
    assert standing(known, verdict, version=version) == right.get(verdict, f"worse{where}")


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("version", ["2.13.0", "2.14.0"])
def test_another_instruction_set_is_told_apart_from_another_version(
    known: Ledger, verdict: str, version: str
) -> None:
    both = "" if version == "2.13.0" else "version and "
    where = f" on another {both}instruction set"
    right = {"AAA": f"better{where}", "AA": f"better{where}"}
    right |= dict.fromkeys(("A", "not measured"), "as known")
    found = standing(known, verdict, version=version, instruction_set=ELSEWHERE)
    assert found == right.get(verdict, f"worse{where}")


@pytest.mark.parametrize("version", ["2.13.0", "2.14.0"])
@pytest.mark.parametrize("instruction_set", [HERE, ELSEWHERE])
def test_an_entry_is_stale_only_where_it_was_measured(
    known: Ledger, version: str, instruction_set: str
) -> None:
    conditions = Conditions(version, instruction_set, "default")
    found = known.standing(PLACE, "AAA", conditions)
    assert found.better
    assert found.stale == ((version, instruction_set) == ("2.13.0", HERE))


ON_HERE = f'"{HERE}" = ["VAL-1:13"]\n'
ON_BOTH = f'{ON_HERE}"{ELSEWHERE}" = ["VAL-1:13"]\n'
OF_SETS = ENTRY.replace(ON_HERE, ON_BOTH)


def test_an_entry_of_one_instruction_set_leaves_the_others_alone(write) -> None:
    text = OF_SETS.replace(LEVEL, f'{LEVEL}\ninstruction_sets = ["{HERE}"]')
    known = Ledger([read_file(write(text))])
    assert standing(known, "A") == "as known"
    assert standing(known, "A", instruction_set=ELSEWHERE) == "worse"
    assert standing(known, "AAA", instruction_set=ELSEWHERE) == "as known"
    unseen = standing(known, "AAA", instruction_set="aarch64")
    assert unseen == "better on another instruction set"
    other_maker = HERE.replace("intel", "amd")
    assert standing(known, "A", instruction_set=other_maker) == "as known"
    assert standing(known, "AAA", instruction_set=other_maker) == unseen
    less = ELSEWHERE.replace("amd", "via")  # the level that is AAA on another maker's
    assert standing(known, "AAA", instruction_set=less) == "as known"
    assert standing(known, "A", instruction_set=less) == "worse on another instruction set"
    less = ELSEWHERE.replace("amd", "intel")  # that, but the maker's own next level is A
    assert standing(known, "AAA", instruction_set=less) == unseen
    assert standing(known, "A", instruction_set=less) == "as known"
    assert standing(known, "A", instruction_set="aarch64") == "as known"


def test_on_an_unseen_instruction_set_the_worst_entry_is_known(write) -> None:
    one = OF_SETS.replace(LEVEL, f'{LEVEL}\ninstruction_sets = ["{HERE}"]')
    start = one.index(DEVIATION)
    two = one[start:].replace("A = ", "AA = ").replace(HERE, ELSEWHERE)
    for text in (one + two, one[:start] + two + one[start:]):
        known = Ledger([read_file(write(text))])
        assert standing(known, "AA", instruction_set=ELSEWHERE) == "as known"
        assert standing(known, "AA") == "stale"
        assert standing(known, "A", instruction_set=ELSEWHERE) == "worse"
        assert standing(known, "A", instruction_set="aarch64") == "as known"


@pytest.mark.parametrize("first", [HERE, ELSEWHERE])
def test_of_entries_as_bad_as_each_other_that_of_the_first_instruction_set_holds(
    write, first: str
) -> None:
    """Whatever their order in the file."""
    other = ELSEWHERE if first == HERE else HERE
    text = f'versions = ["2.13.0"]\n[measured]\n{ON_BOTH}'
    for name, where in (("one", first), ("two", other)):
        entry = ENTRY[ENTRY.index("[mechanism") :].replace("cancel", name)
        text += f'{entry}instruction_sets = ["{where}"]\n'
    known = Ledger([read_file(write(text))]).deviation(PLACE, "aarch64")
    assert known is not None
    assert known.instruction_sets == (min(HERE, ELSEWHERE),)


def test_what_a_larger_tier_found_elsewhere_is_known_here(write) -> None:
    known = Ledger([read_file(write(THOROUGH.replace(ON_HERE, ON_BOTH)))])
    assert standing(known, "A", instruction_set=ELSEWHERE, tier="thorough") == "as known"
    assert standing(known, "AAA", instruction_set=ELSEWHERE) == "as known"
    better = standing(known, "AAA", instruction_set=ELSEWHERE, tier="thorough")
    assert better == "better on another instruction set"


def test_an_entry_may_have_no_instruction_set(write) -> None:
    known = Ledger([read_file(write(ENTRY.replace(ON_HERE, "")))])
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
    right = {"AAA": better, "AA": better, "A": "as known", "not measured": "as known"}
    known = Ledger([read_file(write(entry))])
    assert standing(known, verdict, tier=tier) == right.get(verdict, "worse")


@pytest.mark.parametrize("verdict", VERDICTS)
def test_what_was_refused_is_worse_where_it_is_wrong(write, verdict: str) -> None:
    known = Ledger([read_file(write(ENTRY.replace("\nA = ", "\nunsupported = ")))])
    right = dict.fromkeys(("AAA", "AA", "A"), "stale")
    right |= dict.fromkeys(("unsupported", "not measured"), "as known")
    assert standing(known, verdict) == right.get(verdict, "worse")


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
    right = {"AAA": f"better {where}", "AA": f"better {where}"}
    right |= dict.fromkeys(("A", "not measured"), "as known")
    assert standing(known, verdict, device="cuda:1") == right.get(verdict, f"worse {where}")


@pytest.mark.parametrize("order", [(ENTRY, ON_CUDA), (ON_CUDA, ENTRY)])
def test_a_device_has_its_own_entry(write, order: tuple[str, str]) -> None:
    files = (write(text, f"{number}/torch.toml") for number, text in enumerate(order))
    entries = tuple(entry for path in files for entry in read_file(path).deviations)
    both = Ledger(
        [LedgerFile("torch", (), entries, versions=("2.13.0",), measured={HERE: ("VAL-2",)})]
    )
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
    other = 'backend = "jax"\n' + ENTRY.replace("torch", "jax")
    mine = write('backend = "torch"\n' + ENTRY.replace("VAL-2", "VAL-3"), "mine.txt")
    write(other.replace("VAL-2", "VAL-4"), "jax.toml")
    found = read([mine], ours.parent)
    assert found.deviation(PLACE._replace(requirement="VAL-3"), HERE) is not None
    assert found.deviation(PLACE, HERE) is None
    assert found.deviation(Place("VAL-4", "jax", "cpu", "float32"), HERE) is not None
    assert len(read([ours.parent / "none.toml"], ours.parent)) == 4
    with pytest.raises(LedgerError, match="two ledger files are about torch"):
        read([mine, ours], ours.parent)


def test_a_ledger_of_ones_own_may_be_about_an_import_path(write) -> None:
    path = write('backend = "my.module:Mine"\n' + ENTRY.replace("torch", "my.module:Mine"))
    assert {entry.place.backend for entry in read_file(path).deviations} == {"my.module:Mine"}


FIRST = "torch.toml, mechanism cancel, deviation 1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("VAL-2", "VAL-99", f"{FIRST}: A: requirement 'VAL-99' is not in SPEC.md"),
        ('"float32", ', '"float8", ', f"{FIRST}: dtypes"),
        ('["float32", "float64"]', "[]", f"{FIRST}: dtypes"),
        ('["torch"]', '["jax"]', f"{FIRST}: backends .*the file is about torch"),
        ('["torch"]', "[]", f"{FIRST}: backends"),
        ("A =", "AAA =", f"{FIRST}: unknown fields .'AAA'."),
        (LEVEL, "A = []", f"{FIRST}: A names no requirement"),
        (LEVEL, 'A = "VAL-2"', f"{FIRST}: A 'VAL-2': accepted is a list of strings"),
        (LEVEL, "", f"{FIRST}: no level"),
        ("backends =", "backend =", f"{FIRST}: unknown fields .'backend'."),
        ('backends = ["torch"]', "", f"{FIRST}: no field .'backends'."),
        ('"cancels"', '""', "torch.toml, mechanism cancel: text is empty"),
        ('text = "cancels"', "", "torch.toml, mechanism cancel: no field .'text'."),
        (LEVEL, f'{LEVEL}\ntier = "quick"', f"{FIRST}: tier 'quick': accepted are"),
        ('versions = ["2.13.0"]', "", f"{FIRST}: versions"),
        ('versions = ["2.13.0"]', "versions = [2.13]", "torch.toml: versions"),
        ('versions = ["2.13.0"]', 'version = "2.13.0"', r"torch.toml: unknown fields"),
        ("A = ", "instruction_sets = [4]\nA = ", "instruction_sets"),
        ("A = ", f'instruction_sets = "{HERE}"\nA = ', "instruction_sets"),
        (DEVIATION, "[[mechanism.cancel.deviation", "torch.toml"),
        (DEVIATION, f'[mechanism.more]\ntext = "x"\n{DEVIATION}', "more: no field .'deviation'."),
        (ENTRY, 'mechanism = "x"', "torch.toml: mechanism is 'x'; accepted is a table of tables"),
        (ENTRY, "witness = 3", "torch.toml: witness is 3; accepted is a table of tables"),
        (ENTRY, "backend = 3", "torch.toml: backend is 3; accepted is a text"),
        (ENTRY, '[mechanism.a]\ntext = "x"\ndeviation = [3]', r"deviation is \[3\]; accepted is a"),
        (ENTRY, '[witness."m.f"]\nfloat32 = [3]', r"witness is \[3\]; accepted is a list of tab"),
        ('"cancels"', "3", "mechanism cancel: text is 3; accepted is a text"),
        (LEVEL, f"{LEVEL}\ndevice = 3", f"{FIRST}: device is 3; accepted is a text"),
        (
            DEVIATION,
            f'[witness."m.f"]\nfloat32 = [{{}}]\n{DEVIATION}',
            "witness 1 of m.f in float32",
        ),
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
        assert {entry.place.backend for entry in read_file(path).deviations} <= known


@pytest.mark.parametrize(
    ("instruction_set", "others", "near"),
    [
        ("x86-64-v3/amd", ["x86-64-v2/intel", "x86-64-v3/intel"], ["x86-64-v3/intel"]),
        ("x86-64-v3/amd", ["x86-64-v2/a", "x86-64-v4/a", "x86-64-v4/b"], [0, 1, 2]),
        ("x86-64-v3/amd", ["x86-64-v3/a", "x86-64-v4/a", "x86-64-v4/amd"], [0, 2]),
        ("x86-64-v3/amd", ["x86-64-v3/a", "x86-64-v2/amd", "x86-64-v4-fp16/amd"], [0, 1, 2]),
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


def test_a_mechanism_names_the_defects_that_it_is(write) -> None:
    named = 'defects = ["torch-loss-cancels", "torch-compile-running-sum"]\nlink = '
    file = read_file(write(ENTRY.replace("link = ", named)))
    assert file.mechanisms[0].defects == ("torch-loss-cancels", "torch-compile-running-sum")
    conditions = Conditions("2.13.0", HERE, "default")
    place = Place("VAL-2", "torch", "cpu", "float32")
    standing = Ledger([file]).standing(place, "A", conditions)
    assert standing.defects == ("torch-loss-cancels",)  # the other is one of torch:compile
    with pytest.raises(LedgerError, match="'torch-loss' is unknown; the nearest are torch-loss-"):
        read_file(write(ENTRY.replace("link = ", 'defects = ["torch-loss"]\nlink = ')))

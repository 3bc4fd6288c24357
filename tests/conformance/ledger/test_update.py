"""Updating the ledger keeps reasons, adds what is new and drops what is stale."""

from dataclasses import replace
from pathlib import Path

import pytest

from bce_conformance.conformance.ledger.read import LEDGER, LedgerError, read, read_file
from bce_conformance.conformance.ledger.update import Found, Moved, update
from bce_conformance.results.cells import Witness

BEFORE = """\
measured = ["2.13.0"]

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


def bring_up_to_date(folder: Path, *cells: tuple[str, str, str, str], version: str = "2.13.0+cpu"):
    """Update the files of a folder; those that changed."""
    return update(folder, [], [Found(*cell, version, "default") for cell in cells])[0]


def entries(path: Path) -> dict[tuple[str, str, str], tuple[str, str]]:
    return {
        (entry.backend, entry.requirement, dtype): (entry.level, entry.reason)
        for entry in read_file(path).deviations
        for dtype in entry.dtypes
    }


def test_levels_move_and_reasons_stay(torch: Path) -> None:
    known = entries(torch)
    changed, moves = update(
        torch.parent, [], [Found("VAL-2", "torch", "float32", "AA", "2.13.0+cpu", "default")]
    )
    assert changed == [torch]
    assert moves == [Moved("VAL-2", "torch", "float32", "A", "AA", "cancel")]
    known["torch", "VAL-2", "float32"] = ("AA", 'cancels "badly"')
    assert entries(torch) == known


def test_a_new_format_takes_the_reason_of_its_requirement(torch: Path) -> None:
    bring_up_to_date(torch.parent, ("VAL-2", "torch", "float16", "A"))
    assert entries(torch)["torch", "VAL-2", "float16"] == ("A", 'cancels "badly"')


def test_what_is_met_leaves_the_ledger(torch: Path) -> None:
    bring_up_to_date(torch.parent, ("VAL-2", "torch", "float32", "AAA"))
    assert ("torch", "VAL-2", "float32") not in entries(torch)
    assert ("torch", "VAL-2", "float64") in entries(torch)


def test_what_was_not_measured_stays(torch: Path) -> None:
    cell = ("VAL-2", "torch", "float32", "not measured")
    assert bring_up_to_date(torch.parent, cell, version="") == []
    assert torch.read_text("utf-8") == BEFORE


def test_a_new_deviation_is_invalid_until_it_is_explained(torch: Path) -> None:
    bring_up_to_date(torch.parent, ("INF-1", "torch", "float32", "fails"))
    with pytest.raises(LedgerError, match="reason 'unexplained'"):
        read_file(torch)


def test_a_file_without_entries_goes(torch: Path) -> None:
    bring_up_to_date(
        torch.parent,
        ("VAL-2", "torch", "float32", "AAA"),
        ("VAL-2", "torch", "float64", "AAA"),
        ("VAL-1", "torch:compile", "float32", "AAA"),
    )
    assert not torch.exists()


def test_updating_with_itself_changes_nothing(tmp_path: Path) -> None:
    """The files of the suite's own ledger are in the form that update writes."""
    for path in LEDGER.glob("*.toml"):
        copy = tmp_path / path.name
        copy.write_text(path.read_text("utf-8"), "utf-8")
        found = [
            Found(
                *(entry.requirement, entry.backend, dtype, entry.level, version, entry.tier),
                instruction_set=name,
            )
            for entry in read_file(path).deviations
            for dtype in entry.dtypes
            for version in entry.measured
            for name in entry.instruction_sets
        ]
        assert update(tmp_path, [], found) == ([], []), path.name


def versions(path: Path) -> dict[tuple[str, str, str], tuple[str, ...]]:
    return {
        (entry.backend, entry.requirement, dtype): entry.measured
        for entry in read_file(path).deviations
        for dtype in entry.dtypes
    }


def test_an_entry_gains_the_versions_on_which_it_still_holds(torch: Path) -> None:
    bring_up_to_date(
        torch.parent,
        ("VAL-2", "torch", "float32", "A"),
        ("VAL-2", "torch", "float64", "fails"),
        version="2.14.0",
    )
    assert versions(torch) == {
        ("torch", "VAL-2", "float32"): ("2.13.0", "2.14.0"),
        ("torch", "VAL-2", "float64"): ("2.14.0",),
        ("torch:compile", "VAL-1", "float32"): ("2.13.0",),
    }


def test_an_entry_is_about_the_device_on_which_it_was_measured(torch: Path) -> None:
    known = entries(torch)
    cells = [
        Found("VAL-2", "torch", "float32", verdict, "2.13.0", "default", device)
        for verdict, device in (("A", "cpu"), ("AA", "cuda:1"))
    ]
    _, moves = update(torch.parent, [], cells)
    assert moves == [Moved("VAL-2", "torch", "float32", "AAA", "AA", "cancel", "cuda:1")]
    by_device = {entry.device: entry for entry in read_file(torch).deviations[:2]}
    assert (by_device["cuda"].level, by_device["cuda"].dtypes) == ("AA", ("float32",))
    assert (by_device["cpu"].level, by_device["cpu"].dtypes) == ("A", ("float32", "float64"))
    assert update(torch.parent, [], cells) == ([], [])
    met = Found("VAL-2", "torch", "float32", "AAA", "2.13.0", "default", "cuda")
    update(torch.parent, [], [met])
    assert entries(torch) == known


@pytest.mark.parametrize(
    ("tier", "verdict", "after"),
    [
        ("thorough", "A", ("A", "default")),
        ("thorough", "fails", ("fails", "thorough")),
        ("thorough", "AA", ("AA", "thorough")),
        ("default", "fails", ("fails", "default")),
    ],
)
def test_an_entry_names_the_tier_that_found_it_first(
    torch: Path, tier: str, verdict: str, after: tuple[str, str]
) -> None:
    cell = Found("VAL-2", "torch", "float32", verdict, "2.13.0", tier)
    update(torch.parent, [], [cell])
    assert found_by(torch) == after
    assert update(torch.parent, [], [cell]) == ([], [])


@pytest.mark.parametrize(
    ("tier", "verdict", "after"),
    [
        ("default", "AAA", ("fails", "thorough")),
        ("default", "A", ("fails", "thorough")),
        ("default", "fails", ("fails", "thorough")),
        ("default", "crashed", ("crashed", "default")),
        ("thorough", "fails", ("fails", "thorough")),
        ("thorough", "A", ("A", "thorough")),
        ("thorough", "AAA", None),
    ],
)
def test_a_tier_that_tries_less_takes_nothing_back(
    torch: Path, tier: str, verdict: str, after: tuple[str, str] | None
) -> None:
    update(torch.parent, [], [Found("VAL-2", "torch", "float32", "fails", "2.13.0", "thorough")])
    update(torch.parent, [], [Found("VAL-2", "torch", "float32", verdict, "2.13.0", tier)])
    assert found_by(torch) == after


ELEMENT = Witness("m.f", "float32", element=(("logits", "0x1.0p+0"), ("targets", "0x0.0p+0")))
DRAW = Witness("m.f", "float32", "3", 7)


def test_what_shows_a_deviation_is_kept_and_every_tier_finds_it(torch: Path) -> None:
    cell = Found("VAL-2", "torch", "float32", "fails", "2.13.0", "thorough", witness=ELEMENT)
    update(torch.parent, [], [cell])
    assert found_by(torch) == ("fails", "default")
    assert read_file(torch).witnesses == (ELEMENT,)
    assert update(torch.parent, [], [cell]) == ([], [])
    again = replace(cell, witness=None)  # every run has it now
    assert update(torch.parent, [], [again]) == ([], [])
    update(torch.parent, [], [replace(cell, dtype="float64", witness=DRAW)])
    assert set(read_file(torch).witnesses) == {ELEMENT, DRAW}
    assert read([torch], torch.parent).witnesses == read_file(torch).witnesses


def test_a_witness_brings_an_entry_to_the_default_tier(torch: Path) -> None:
    cell = Found("VAL-2", "torch", "float32", "fails", "2.13.0", "thorough")
    update(torch.parent, [], [cell])
    assert found_by(torch) == ("fails", "thorough")
    update(torch.parent, [], [replace(cell, witness=ELEMENT)])
    assert found_by(torch) == ("fails", "default")


def test_a_witness_that_the_default_tier_does_not_try_leaves_the_tier(tmp_path: Path) -> None:
    cell = Found("DTY-8", "jax:jit", "float16", "A", "0.10.2", "thorough", witness=ELEMENT)
    update(tmp_path, [], [cell])
    assert 'tier = "thorough"' in (tmp_path / "jax.toml").read_text("utf-8")


def test_what_meets_the_requirement_leaves_no_witness(torch: Path) -> None:
    cell = Found("VAL-2", "torch", "float32", "AAA", "2.13.0", "thorough", witness=ELEMENT)
    update(torch.parent, [], [cell])
    assert read_file(torch).witnesses == ()


def found_by(path: Path) -> tuple[str, str] | None:
    """Level and tier of VAL-2 in float32."""
    for entry in read_file(path).deviations:
        if entry.requirement == "VAL-2" and "float32" in entry.dtypes:
            return entry.level, entry.tier
    return None


HERE, ELSEWHERE = "x86-64-v4/intel", "x86-64-v3/intel"
# All that the default tier finds in BEFORE.
MEASURED = (("VAL-2", "torch", "float32"), ("VAL-2", "torch", "float64"))
ALL_MEASURED = (*MEASURED, ("VAL-1", "torch:compile", "float32"))


def on(instruction_set: str, *levels: str) -> list[Found]:
    """A run of all that is in BEFORE on an instruction set."""
    return [
        Found(*cell, level, "2.13.0", "default", instruction_set=instruction_set)
        for cell, level in zip(ALL_MEASURED, levels, strict=True)
    ]


def by_set(path: Path) -> dict[tuple[str, str, str], str]:
    """Level by requirement, format and instruction set; the latter empty where none is named."""
    return {
        (entry.requirement, dtype, name): entry.level
        for entry in read_file(path).deviations
        for dtype in entry.dtypes
        for name in entry.instruction_sets or [""]
    }


def test_a_run_writes_down_on_which_instruction_set_entries_hold(torch: Path) -> None:
    found = on(HERE, "A", "A", "fails")
    assert update(torch.parent, [], found) == ([torch], [])
    assert read_file(torch).instruction_sets == (HERE,)
    assert {name for _, _, name in by_set(torch)} == {HERE}
    assert update(torch.parent, [], found) == ([], [])


def test_an_entry_of_no_known_instruction_set_goes_where_a_measured_one_says_the_same(
    torch: Path,
) -> None:
    """Also where the measured one is of another version, so that the two are not one entry."""
    found = [replace(cell, version="2.14.0") for cell in on(HERE, "A", "A", "fails")]
    update(torch.parent, [], found)
    assert {name for _, _, name in by_set(torch)} == {HERE}


def test_what_differs_between_instruction_sets_has_an_entry_for_each(torch: Path) -> None:
    update(torch.parent, [], on(HERE, "A", "A", "fails"))
    _, moves = update(torch.parent, [], on(ELSEWHERE, "AA", "A", "AAA"))
    assert {(m.requirement, m.before, m.after, m.instruction_set) for m in moves} == {
        ("VAL-2", "A", "AA", ELSEWHERE),
        ("VAL-1", "fails", "AAA", ELSEWHERE),
    }
    assert read_file(torch).instruction_sets == (ELSEWHERE, HERE)
    assert by_set(torch) == {
        ("VAL-2", "float32", HERE): "A",
        ("VAL-2", "float32", ELSEWHERE): "AA",
        ("VAL-2", "float64", HERE): "A",
        ("VAL-2", "float64", ELSEWHERE): "A",
        ("VAL-1", "float32", HERE): "fails",
    }
    assert update(torch.parent, [], on(ELSEWHERE, "AA", "A", "AAA")) == ([], [])
    read([torch], torch.parent)  # no cell has two entries


def test_what_a_larger_tier_found_elsewhere_has_not_moved(torch: Path) -> None:
    thorough = Found(*ALL_MEASURED[0], "fails", "2.13.0", "thorough", instruction_set=ELSEWHERE)
    update(torch.parent, [], [thorough])
    _, moves = update(torch.parent, [], on(HERE, "A", "A", "fails"))
    assert moves == []
    assert by_set(torch)["VAL-2", "float32", ELSEWHERE] == "fails"


def test_a_part_of_a_run_does_not_make_an_instruction_set_measured(torch: Path) -> None:
    update(torch.parent, [], on(HERE, "A", "A", "fails")[:2])
    assert read_file(torch).instruction_sets == ()
    assert by_set(torch) == {
        ("VAL-2", "float32", HERE): "A",
        ("VAL-2", "float64", HERE): "A",
        ("VAL-1", "float32", ""): "fails",
    }


def test_what_no_instruction_set_was_written_down_for_stays_known(torch: Path) -> None:
    """The machine that it was measured on may be one that nobody has now."""
    update(torch.parent, [], on(HERE, "AA", "AAA", "fails"))
    assert by_set(torch) == {
        ("VAL-2", "float32", ""): "A",
        ("VAL-2", "float32", HERE): "AA",
        ("VAL-2", "float64", ""): "A",
        ("VAL-1", "float32", HERE): "fails",
    }


def test_a_ledger_of_ones_own_leaves_the_suites_alone(torch: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "ledger.toml"
    mine.parent.mkdir()
    backend = "my.module:Mine"
    found = [
        Found("VAL-1", backend, "float32", "AA", "1.0", "default"),
        Found("VAL-2", "torch", "float32", "fails", "2.13.0", "default"),
    ]
    assert update(torch.parent, [mine], found)[0] == [mine]
    assert torch.read_text("utf-8") == BEFORE
    assert f'backend = "{backend}"' in mine.read_text("utf-8")
    mine.write_text(mine.read_text("utf-8").replace('text = ""', 'text = "rounds"'), "utf-8")
    assert versions(mine) == {(backend, "VAL-1", "float32"): ("1.0",)}
    assert update(torch.parent, [mine], found) == ([], [])
    met = [Found("VAL-1", backend, "float32", "AAA", "1.0", "default")]
    assert update(torch.parent, [mine], met)[0] == [mine]
    assert read_file(mine).deviations == ()


def test_a_new_ledger_must_be_about_one_backend(tmp_path: Path) -> None:
    found = [Found("VAL-1", name, "float32", "AA", "1.0", "default") for name in ("a:B", "c:D")]
    with pytest.raises(LedgerError, match="has 2 backends that are not built in: a:B, c:D"):
        update(tmp_path, [tmp_path / "new.toml"], found)

"""Updating the ledger keeps reasons, adds what is new and drops what is stale."""

from dataclasses import replace
from pathlib import Path

import pytest

from bce_conformance.conformance.ledger.model import LedgerError
from bce_conformance.conformance.ledger.reading import LEDGER, read, read_file
from bce_conformance.conformance.ledger.updating import Found, Moved, update, updated
from bce_conformance.conformance.ledger.writing import HEADER
from bce_conformance.results.cells import Place, Witness

BEFORE = (
    "".join(f"# {line}\n" for line in HEADER)
    + """\
versions = ["2.13.0"]

[mechanism.cancel]
text = "cancels \\"badly\\""
link = "https://example.org/1"

[[mechanism.cancel.deviation]]
backends = ["torch"]
dtypes = ["float32", "float64"]
A = ["VAL-2"]

[[mechanism.cancel.deviation]]
backends = ["torch:compile"]
dtypes = ["float32"]
fails = ["VAL-1"]
"""
)


def found(requirement: str, backend: str, dtype: str, verdict: str, *conditions: str, **more):
    """A cell on the CPU, or on another ``device``; conditions: version, tier, instruction set."""
    place = Place(requirement, backend, more.pop("device", "cpu"), dtype)
    return Found(place, verdict, *conditions, **more)


@pytest.fixture
def torch(tmp_path: Path) -> Path:
    path = tmp_path / "torch.toml"
    path.write_text(BEFORE, "utf-8")
    return path


def bring_up_to_date(folder: Path, *cells: tuple[str, str, str, str], version: str = "2.13.0+cpu"):
    """Update the files of a folder; those that changed."""
    return update(folder, [], [found(*cell, version, "default") for cell in cells])[0]


def entries(path: Path) -> dict[tuple[str, str, str], tuple[str, str]]:
    return {
        (entry.place.backend, entry.place.requirement, entry.place.dtype): (
            entry.level,
            entry.mechanism.text,
        )
        for entry in read_file(path).deviations
    }


def test_levels_move_and_reasons_stay(torch: Path) -> None:
    known = entries(torch)
    changed, moves = update(
        torch.parent, [], [found("VAL-2", "torch", "float32", "AA", "2.13.0+cpu", "default")]
    )
    assert changed == [torch]
    assert moves == [Moved(Place("VAL-2", "torch", "cpu", "float32"), "A", "AA", "cancel")]
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
    with pytest.raises(LedgerError, match="mechanism unexplained: text is empty"):
        read_file(torch)


def test_a_text_written_for_one_new_deviation_does_not_explain_the_next(torch: Path) -> None:
    bring_up_to_date(torch.parent, ("INF-1", "torch", "float32", "fails"))
    torch.write_text(torch.read_text("utf-8").replace('text = ""', 'text = "∞ − ∞"'), "utf-8")
    bring_up_to_date(torch.parent, ("INF-2", "torch", "float32", "fails"))
    with pytest.raises(LedgerError, match="mechanism unexplained-2: text is empty"):
        read_file(torch)
    assert bring_up_to_date(torch.parent, ("INF-2", "torch", "float32", "fails")) == []


def test_a_new_deviation_is_explained_by_moving_it(torch: Path) -> None:
    bring_up_to_date(torch.parent, ("INF-1", "torch", "float32", "fails"))
    head = '[mechanism.unexplained]\ntext = ""\n\n'
    text = torch.read_text("utf-8")
    assert head in text
    text = text.replace(head, "").replace("mechanism.unexplained", "mechanism.cancel")
    torch.write_text(text, "utf-8")
    assert entries(torch)["torch", "INF-1", "float32"] == ("fails", 'cancels "badly"')


def test_a_file_without_entries_goes(torch: Path) -> None:
    bring_up_to_date(
        torch.parent,
        ("VAL-2", "torch", "float32", "AAA"),
        ("VAL-2", "torch", "float64", "AAA"),
        ("VAL-1", "torch:compile", "float32", "AAA"),
    )
    assert not torch.exists()


@pytest.mark.slow
def test_updating_with_itself_changes_nothing(tmp_path: Path) -> None:
    """The files of the suite's own ledger are in the form that update writes."""
    for path in LEDGER.glob("*.toml"):
        copy = tmp_path / path.name
        copy.write_text(path.read_text("utf-8"), "utf-8")
        cells = [
            Found(entry.place, entry.level, version, entry.tier, name)
            for entry in read_file(path).deviations
            for version in entry.versions
            for name in entry.instruction_sets
        ]
        assert cells
        assert update(tmp_path, [], cells) == ([], []), path.name


@pytest.mark.parametrize("where", ["x86-64-v2/intel", "x86-64-v4/intel", "x86-64-v3/amd"])
def test_what_moves_is_what_was_known(where: str) -> None:
    """An update takes a cell for what ``Ledger.deviation`` does, also where it has no entry."""
    ledger = read()
    for path in LEDGER.glob("*.toml"):
        file = read_file(path)
        places = dict.fromkeys(entry.place for entry in file.deviations)
        cells = [Found(place, "timeout", "9", "thorough", where) for place in places]
        known = {place: ledger.deviation(place, where) for place in places}
        assert {move.place: move.before for move in updated(file, cells)[1]} == {
            place: entry.level if entry else "AAA"
            for place, entry in known.items()
            if entry is None or entry.level != "timeout"
        }, path.name


def versions(path: Path) -> dict[tuple[str, str, str], tuple[str, ...]]:
    return {
        (entry.place.backend, entry.place.requirement, entry.place.dtype): entry.versions
        for entry in read_file(path).deviations
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
        found("VAL-2", "torch", "float32", verdict, "2.13.0", "default", device=device)
        for verdict, device in (("A", "cpu"), ("AA", "cuda:1"))
    ]
    _, moves = update(torch.parent, [], cells)
    assert moves == [Moved(Place("VAL-2", "torch", "cuda:1", "float32"), "AAA", "AA", "cancel")]
    found_now = {
        (entry.place.device, entry.place.dtype, entry.level)
        for entry in read_file(torch).deviations
        if entry.place.requirement == "VAL-2"
    }
    assert found_now == {
        ("cuda", "float32", "AA"),
        ("cpu", "float32", "A"),
        ("cpu", "float64", "A"),
    }
    assert update(torch.parent, [], cells) == ([], [])
    met = found("VAL-2", "torch", "float32", "AAA", "2.13.0", "default", device="cuda")
    update(torch.parent, [], [met])
    assert entries(torch) == known


@pytest.mark.parametrize(
    ("tier", "verdict", "after"),
    [
        ("thorough", "A", ("A", "default")),
        ("thorough", "fails", ("fails", "thorough")),
        ("thorough", "AA", ("AA", "thorough")),
        *((tier, "fails", ("fails", "default")) for tier in ("default", "quick")),
    ],
)
def test_an_entry_names_the_tier_that_found_it_first(
    torch: Path, tier: str, verdict: str, after: tuple[str, str]
) -> None:
    cell = found("VAL-2", "torch", "float32", verdict, "2.13.0", tier)
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
    update(torch.parent, [], [found("VAL-2", "torch", "float32", "fails", "2.13.0", "thorough")])
    update(torch.parent, [], [found("VAL-2", "torch", "float32", verdict, "2.13.0", tier)])
    assert found_by(torch) == after


ELEMENT = Witness("m.f", "float32", element=(("logits", "0x1.0p+0"), ("targets", "0x0.0p+0")))
DRAW = Witness("m.f", "float32", "3", 7)


def test_what_shows_a_deviation_is_kept_and_every_tier_finds_it(torch: Path) -> None:
    cell = found("VAL-2", "torch", "float32", "fails", "2.13.0", "thorough", witness=ELEMENT)
    update(torch.parent, [], [cell])
    assert found_by(torch) == ("fails", "default")
    assert read_file(torch).witnesses == (ELEMENT,)
    assert update(torch.parent, [], [cell]) == ([], [])
    again = replace(cell, witness=None)  # every run has it now
    assert update(torch.parent, [], [again]) == ([], [])
    update(
        torch.parent, [], [replace(cell, place=cell.place._replace(dtype="float64"), witness=DRAW)]
    )
    assert set(read_file(torch).witnesses) == {ELEMENT, DRAW}
    assert read([torch], torch.parent).witnesses == read_file(torch).witnesses


def test_a_witness_brings_an_entry_to_the_default_tier(torch: Path) -> None:
    cell = found("VAL-2", "torch", "float32", "fails", "2.13.0", "thorough")
    update(torch.parent, [], [cell])
    assert found_by(torch) == ("fails", "thorough")
    update(torch.parent, [], [replace(cell, witness=ELEMENT)])
    assert found_by(torch) == ("fails", "default")


def test_a_witness_that_the_default_tier_does_not_try_leaves_the_tier(tmp_path: Path) -> None:
    cell = found("DTY-8", "jax:jit", "float16", "A", "0.10.2", "thorough", witness=ELEMENT)
    update(tmp_path, [], [cell])
    assert 'tier = "thorough"' in (tmp_path / "jax.toml").read_text("utf-8")


def test_what_meets_the_requirement_leaves_no_witness(torch: Path) -> None:
    cell = found("VAL-2", "torch", "float32", "AAA", "2.13.0", "thorough", witness=ELEMENT)
    update(torch.parent, [], [cell])
    assert read_file(torch).witnesses == ()


def found_by(path: Path) -> tuple[str, str] | None:
    """Level and tier of VAL-2 in float32."""
    for entry in read_file(path).deviations:
        if (entry.place.requirement, entry.place.dtype) == ("VAL-2", "float32"):
            return entry.level, entry.tier
    return None


HERE, ELSEWHERE = "x86-64-v4/intel", "x86-64-v3/intel"
# All that the default tier finds in BEFORE.
MEASURED = (("VAL-2", "torch", "float32"), ("VAL-2", "torch", "float64"))
ALL_MEASURED = (*MEASURED, ("VAL-1", "torch:compile", "float32"))


def on(instruction_set: str, *levels: str) -> list[Found]:
    """A run of all that is in BEFORE on an instruction set."""
    return [
        found(*cell, level, "2.13.0", "default", instruction_set)
        for cell, level in zip(ALL_MEASURED, levels, strict=True)
    ]


def by_set(path: Path) -> dict[tuple[str, str, str], str]:
    """Level by requirement, format and instruction set; the latter empty where none is named."""
    return {
        (entry.place.requirement, entry.place.dtype, name): entry.level
        for entry in read_file(path).deviations
        for name in entry.instruction_sets or [""]
    }


def test_a_run_writes_down_on_which_instruction_set_entries_hold(torch: Path) -> None:
    cells = on(HERE, "A", "A", "fails")
    assert update(torch.parent, [], cells) == ([torch], [])
    assert read_file(torch).instruction_sets == (HERE,)
    assert {name for _, _, name in by_set(torch)} == {HERE}
    assert update(torch.parent, [], cells) == ([], [])


def test_an_entry_of_no_known_instruction_set_goes_where_a_measured_one_says_the_same(
    torch: Path,
) -> None:
    """Also where the measured one is of another version, so that the two are not one entry."""
    cells = [replace(cell, version="2.14.0") for cell in on(HERE, "A", "A", "fails")]
    update(torch.parent, [], cells)
    assert {name for _, _, name in by_set(torch)} == {HERE}


def test_what_differs_between_instruction_sets_has_an_entry_for_each(torch: Path) -> None:
    update(torch.parent, [], on(HERE, "A", "A", "fails"))
    _, moves = update(torch.parent, [], on(ELSEWHERE, "AA", "A", "AAA"))
    assert {(m.place.requirement, m.before, m.after, m.instruction_set) for m in moves} == {
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
    thorough = found(*ALL_MEASURED[0], "fails", "2.13.0", "thorough", ELSEWHERE)
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
    cells = [
        found("VAL-1", backend, "float32", "AA", "1.0", "default"),
        found("VAL-2", "torch", "float32", "fails", "2.13.0", "default"),
    ]
    assert update(torch.parent, [mine], cells)[0] == [mine]
    assert torch.read_text("utf-8") == BEFORE
    assert f'backend = "{backend}"' in mine.read_text("utf-8")
    mine.write_text(mine.read_text("utf-8").replace('text = ""', 'text = "rounds"'), "utf-8")
    assert versions(mine) == {(backend, "VAL-1", "float32"): ("1.0",)}
    assert update(torch.parent, [mine], cells) == ([], [])
    met = [found("VAL-1", backend, "float32", "AAA", "1.0", "default")]
    assert update(torch.parent, [mine], met)[0] == [mine]
    assert read_file(mine).deviations == ()


def test_a_new_ledger_must_be_about_one_backend(tmp_path: Path) -> None:
    cells = [found("VAL-1", name, "float32", "AA", "1.0", "default") for name in ("a:B", "c:D")]
    with pytest.raises(LedgerError, match="has 2 backends that are not built in: a:B, c:D"):
        update(tmp_path, [tmp_path / "new.toml"], cells)

"""A release that was measured is read, and not measured again."""

from dataclasses import replace
from pathlib import Path

import pytest

from bce_conformance.conformance.settings import Settings
from bce_conformance.conformance.specification import requirements
from bce_conformance.results.model import Requirement, Results
from bce_conformance.results.reading import from_document
from bce_conformance.results.writing import write
from bce_conformance.terminal.progress import Silent
from bce_conformance.upgrades import measuring
from bce_conformance.upgrades.measuring import Plan
from tests.reports.conftest import build

SETTINGS = Settings(("torch",), dtypes=("float32",), tier="quick")


def plan(*requirements: str) -> Plan:
    def say(text: str) -> None:
        pytest.fail(f"something is measured: {text}")

    return Plan(replace(SETTINGS, requirements=requirements), Silent, say)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """All requirements of a release, as a history has left them."""
    monkeypatch.setenv("BCE_CONFORMANCE_CACHE", str(tmp_path))
    name = "torch@pip=2.10.0"
    run = from_document(build())
    entries = tuple(replace(entry, id=name) for entry in run.backends if entry.id == "torch")
    cells = tuple(replace(cell, backend=name) for cell in run.cells if cell.backend == "torch")
    maps = tuple(replace(one, backend=name) for one in run.maps if one.backend == "torch")
    found = replace(run, backends=entries, cells=cells, curves=(), maps=maps, timings=None)
    write(found, measuring._folder(replace(SETTINGS, backends=(name,))) / "results.json")
    return found


def test_what_is_kept_is_read_under_the_name_without_a_version(kept: Results) -> None:
    found = plan().measure("2.10.0")
    assert isinstance(found, Results)
    assert [cell.verdict for cell in found.cells] == [cell.verdict for cell in kept.cells]
    assert {cell.backend for cell in found.cells} == {"torch"}
    assert len(found.maps) == len(kept.maps)
    assert {one.backend for one in found.maps} <= {"torch"}


@pytest.mark.parametrize("asked", ["VAL-2", "GRAD"])
def test_a_part_of_what_is_kept_is_not_measured_again(kept: Results, asked: str) -> None:
    found = plan(asked).measure("2.10.0")
    assert isinstance(found, Results)
    expected = [c.requirement for c in kept.cells if asked in (c.requirement, c.requirement[:4])]
    assert expected
    assert [cell.requirement for cell in found.cells] == expected
    assert {requirement.id for requirement in found.requirements} == set(expected)


def test_what_is_tried_where_it_is_named_is_no_part_of_all(kept: Results) -> None:
    """Its requirement is listed, and has no cell."""
    name = "torch@pip=2.10.0"
    (one,) = (r for r in requirements().values() if r.each_instruction_set)
    listed = (*kept.requirements, Requirement(one.id, one.family, one.text))
    place = measuring._folder(replace(SETTINGS, backends=(name,)))
    write(replace(kept, requirements=listed), place / "results.json")
    named = replace(SETTINGS, backends=(name,), requirements=(one.id,))
    assert measuring._part_of_all(named) is None
    assert measuring._part_of_all(replace(named, requirements=("VAL-2",))) is not None


def test_another_seed_tier_or_release_is_measured_elsewhere(kept: Results) -> None:
    name = "torch@pip=2.10.0"
    settings = replace(SETTINGS, backends=(name,))
    others = (
        replace(settings, seed=1),
        replace(settings, tier="default"),
        replace(settings, backends=("torch@pip=2.11.0",)),
        replace(settings, dtypes=("float64",)),
        replace(settings, devices=("cpu",)),
    )
    folders = {measuring._folder(one) for one in (settings, *others)}
    assert len(folders) == 1 + len(others)


def test_what_was_interrupted_is_not_complete(kept: Results) -> None:
    place = measuring._folder(replace(SETTINGS, backends=("torch@pip=2.10.0",)))
    assert measuring._complete(place) is not None
    (place / "journal.jsonl").touch()
    assert measuring._complete(place) is None

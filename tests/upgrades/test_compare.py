"""``compare`` of two backends: two versions or places of one are measured, then compared."""

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bce_conformance.reports.compare import compare
from bce_conformance.results import reading
from bce_conformance.results.model import Results
from bce_conformance.upgrades.sides import aligned, common_name, side
from tests.reports.conftest import build
from tests.upgrades.command_line import LITTLE, command

HERE, THERE = "impaired:Right", f"impaired:Right@python={sys.executable}"


@pytest.mark.slow
def test_two_places_of_one_backend_are_compared_cell_by_cell(tmp_path: Path) -> None:
    done = command(tmp_path, "compare", THERE, HERE, *LITTLE)
    assert done.returncode == 0, done.stderr
    assert "0 cells moved: 0 worse, 0 better, 0 other; 1 did not move" in done.stdout
    assert f"before: {THERE}" in done.stdout
    (folder,) = (tmp_path / "reports" / "compare").iterdir()
    assert [cell.backend for cell in reading.read(folder / "results.json").cells] == [THERE, HERE]
    again = command(tmp_path, "compare", THERE, HERE, *LITTLE, "--resume", "--json")
    assert again.returncode == 0
    assert "nothing to resume" in again.stderr
    assert json.loads(again.stdout)["unmoved"] == 1


@pytest.mark.slow
def test_what_got_worse_is_told_on_a_page_too_and_is_an_error(tmp_path: Path) -> None:
    done = command(
        tmp_path, "compare", HERE, "impaired:Sloppy", *LITTLE, "--html=c.html", "--out=both"
    )
    assert done.returncode == 1, done.stderr
    assert re.search(r"worse +VAL-1/impaired/cpu/float32 +AAA, 0.5 ULP +A, [67]", done.stdout)
    assert "<h2>Worse: 1 cell</h2>" in (tmp_path / "c.html").read_text("utf-8")
    better = command(tmp_path, "compare", "impaired:Sloppy", HERE, *LITTLE, "--out=back")
    assert better.returncode == 0, better.stderr
    assert "1 better" in better.stdout
    files = command(tmp_path, "compare", "both", "both/results.json")
    assert (files.returncode, files.stderr) == (0, "")
    mixed = command(tmp_path, "compare", "both", HERE)
    assert mixed.returncode == 2
    assert "what a run has measured, and AFTER" in mixed.stderr
    assert "compare two runs, or two backends" in mixed.stderr
    kept = command(tmp_path, "compare", HERE, "impaired:Right@isa=x86-64-v2", "--out=both")
    assert kept.returncode == 2
    assert "both holds 1 cells that this run does not measure" in kept.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("torch", "torch"), "torch is given twice"),
        (("torch@pip=2.10.0", "jax"), "are of two frameworks"),
        (("nowhere", "torch"), "is no results.json and no folder, and as a backend"),
        (("nowhere/run", "elsewhere/run"), "nowhere/run/results.json"),
        (("nowhere.json", "torch"), "compare two runs, or two backends"),
        (("torch@pip=new", "torch"), "names no version"),
        (("jax@isa=x86-64-v2", "jax", "--requirement=NO-1"), "requirement 'NO-1' is unknown"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = command(tmp_path, "compare", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_version_that_there_is_not_is_told_what_there_is(tmp_path: Path) -> None:
    done = command(tmp_path, "compare", "autograd@pip=0.0.99", "autograd", *LITTLE)
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    if "finds none at all" in said and "CI" not in os.environ:
        pytest.skip("pip reaches no package index")
    assert said.startswith("backend autograd@pip=0.0.99: pip has no autograd 0.0.99 for Python ")
    assert "1.0" in said
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ("jax@pip=0.5.3", "jax", "jax"),
        ("jax:jit@pip=0.5.3", "jax:jit@pip=0.6.0", "jax:jit"),
        ("torch", "torch:compile", "torch"),
        ("torch::a.py:loss", "torch::b.py:loss", "torch"),
        ("torch@ssh=me@host", "torch@python=/opt/python@3.11/bin/python", "torch"),
    ],
)
def test_the_sides_have_one_name(before: str, after: str, name: str) -> None:
    assert common_name(before, after) == name


def test_a_side_has_what_was_measured_of_one_backend() -> None:
    found = reading.from_document(build())
    one = side(found, "torch", "new")
    cells = [cell for cell in found.cells if cell.backend == "torch"]
    assert {cell.backend for cell in one.cells} == {"new"} == {entry.id for entry in one.backends}
    assert [cell.verdict for cell in one.cells] == [cell.verdict for cell in cells]
    assert {curve.backend for curve in one.curves} == {"new"}
    assert one.timings is None


def ids(found: Results) -> set[str]:
    return {entry.id for entry in found.backends} | {cell.backend for cell in found.cells}


def test_two_runs_are_compared_whatever_the_locations_of_a_backend() -> None:
    run = reading.from_document(build())
    old, new = side(run, "torch", "torch@ssh=gpu1"), side(run, "torch", "torch@pip=2.10.0")
    one, other = aligned(old, new)
    assert ids(one) == ids(other) == {"torch"}
    assert compare(one, other).moves == ()
    assert ids(aligned(run, new)[1]) == {"torch"}
    # What is in both under its own name, or in several places, or another backend, stays.
    assert aligned(run, run) == (run, run)
    both = replace(run, backends=(*run.backends, *new.backends))
    assert "torch@pip=2.10.0" in ids(aligned(run, both)[1])
    assert ids(aligned(old, side(run, "jax", "jax"))[0]) == {"torch@ssh=gpu1"}

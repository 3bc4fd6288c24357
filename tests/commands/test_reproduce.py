"""One cell is measured again with its evidence, and nothing is written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bce_conformance.conformance.running.reproduce import reproduce_line
from bce_conformance.results.cells import Place

IMPAIRED = Path(__file__).parents[1] / "conformance"


def command(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "bce_conformance", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(IMPAIRED), "FORCE_COLOR": "", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_cell_worse_than_known_exits_1_with_its_evidence(tmp_path: Path) -> None:
    cell = "VAL-1/impaired:Sloppy/cpu/float32"
    code, output, progress = command(tmp_path, "reproduce", cell, "--tier=quick", "--seed=3")
    assert code == 1, output + progress
    words = " ".join(output.split())
    assert f"cell {cell} " in words
    assert "verdict A, worse than known" in words
    assert "known AAA, no deviation" in words
    assert "tier quick, seed 3" in words
    assert "worst: logit " in words
    assert output.splitlines()[-1].startswith("bce-conformance explain impaired:Sloppy --logit=")
    assert "100 %  1 of 1 cells\n" in progress
    assert "\x1b" not in output + progress
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_tier_and_seed_are_those_of_the_run_that_has_the_cell(tmp_path: Path) -> None:
    cell = "VAL-1/impaired:Right/cpu/float32"
    chosen = ("--backend=impaired:Right", "--requirement=VAL-1", "--dtype=float32")
    assert command(tmp_path, "run", *chosen, "--tier=quick", "--seed=5")[0] == 0
    results = tmp_path / "reports" / "out" / "results.json"
    before = results.read_bytes()
    code, output, _ = command(tmp_path, "reproduce", cell)
    assert code == 0
    assert "tier quick, seed 5" in " ".join(output.split())
    assert output.splitlines()[-1] == "the same verdict as in reports/out"
    document = json.loads(before)
    document["cells"][0]["verdict"] = "AA"
    results.write_text(json.dumps(document), "utf-8")
    output = command(tmp_path, "reproduce", cell)[1]
    assert output.splitlines()[-1].endswith("it was AA, it is AAA")
    assert json.loads(results.read_text("utf-8")) == document
    assert "the same" not in command(tmp_path, "reproduce", cell, "--seed=6")[1]


@pytest.mark.slow
def test_a_run_held_to_an_instruction_set_is_measured_again_so(tmp_path: Path) -> None:
    cell = "VAL-1/impaired:Right/cpu/float32"
    chosen = ("--backend=impaired:Right", "--requirement=VAL-1", "--dtype=float32")
    assert command(tmp_path, "run", *chosen, "--tier=quick", "--isa=x86-64-v2")[0] == 0
    held = command(tmp_path, "reproduce", cell, "--isa=x86-64-v2")[1]
    assert command(tmp_path, "reproduce", cell)[1] == held
    assert "instruction set x86-64-v2" in " ".join(held.split())


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("VAL-2/torch", "cell is 'VAL-2/torch'; accepted is requirement/backend/device/dtype"),
        ("VLA-2/torch/cpu/float32", "requirement 'VLA-2' is unknown; the nearest are VAL-2"),
        ("VAL-2/tensorflwo:xla/cpu/float32", "the nearest are tensorflow:xla"),
        ("VAL-2/torch/cpu/float31", "dtype 'float31' is unknown; accepted are float16"),
        ("VAL-1/jax:jit/cpu/float16", "tier quick does not try VAL-1/jax:jit/cpu/float16"),
    ],
)
def test_misuse_exits_2_and_says_what_is_near(tmp_path: Path, cell: str, message: str) -> None:
    code, output, errors = command(tmp_path, "reproduce", cell, "--tier=quick")
    assert (code, output) == (2, "")
    assert message in " ".join(errors.split())


@pytest.mark.parametrize(
    "backend",
    ["torch", "torch:compile", "torch@python=/opt/venv/bin/python", "my.module:Class@ssh=host"],
)
def test_a_cell_is_named_in_one_word_and_found_by_it(backend: str) -> None:
    line = reproduce_line(Place("VAL-2", backend, "cuda:1", "float16"), "quick", 7)
    assert line.endswith(f" reproduce VAL-2/{backend}/cuda:1/float16 --tier=quick --seed=7")
    assert Place.parse(line.split()[2]) == ("VAL-2", backend, "cuda:1", "float16")


@pytest.mark.parametrize("text", ["", "VAL-2", "VAL-2/torch/cpu", "VAL-2//cpu/float32", "/a/b/c"])
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="accepted is requirement/backend/device/dtype"):
        Place.parse(text)


@pytest.mark.slow
def test_a_cell_that_the_run_lacks_is_measured_and_that_is_said(tmp_path: Path) -> None:
    chosen = ("--backend=impaired:Right", "--dtype=float32", "--tier=quick", "--out=one")
    assert command(tmp_path, "run", *chosen, "--requirement=VAL-1")[0] == 0
    cell = "VAL-2/impaired:Right/cpu/float32"
    code, _, errors = command(tmp_path, "reproduce", cell, "--out=one", "--tier=quick")
    assert code == 0
    assert f"{cell} is not in one: measured with tier default and seed 0, or those given" in errors
    code, output, errors = command(
        tmp_path, "reproduce", "VAL-1/impaired:Right/cpu/float32", "--out=one/results.json"
    )
    assert (code, output.splitlines()[-1]) == (0, "the same verdict as in one/results.json"), errors

"""Maxima that sweeps have proven, in the cells of a run."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bce_conformance.cli import app
from bce_conformance.results import reading, writing
from bce_conformance.results.cells import Cell
from bce_conformance.results.model import Results
from bce_conformance.results.proven import read, with_sweeps

Document = dict[str, Any]


def sweep(backend: str = "native", version: str = "0.1.0", max_ulp: float = 0.75) -> Document:
    worst = {"target": "0x0.0p+0", "logit": "-0x1.8p+3", "got": "0x1p-3", "exact": "0x1.2p-3"}
    return {
        "backend": {"id": backend, "version": version, "instruction_set": "x86-64-v3/amd"},
        "dtype": "float32",
        "pos_weight": None,
        "patterns": ["0x0", "0xffffffff"],
        "results": [
            {
                "quantity": "loss",
                "targets": target,
                "evidence": "exhaustive",
                "max_ulp": max_ulp if target == "0" else 0.25,
                "worst": [worst | {"ulp": max_ulp}],
            }
            for target in ("0", "1")
        ],
    }


def cell_of(results: Results, requirement: str, backend: str, dtype: str) -> Cell:
    wanted = (requirement, backend, dtype)
    return next(c for c in results.cells if (c.requirement, c.backend, c.dtype) == wanted)


@pytest.fixture
def run(builder: Callable[..., Document]) -> Results:
    """A run in which native has VAL-11 in float32, searched, and AAA."""
    made = copy.deepcopy(builder(per_family=11))
    for backend in made["backends"]:
        backend["instruction_set"] = "x86-64-v3/amd"
    found = reading.from_document(made)
    assert cell_of(found, "VAL-11", "native", "float32").evidence == "searched"
    return found


def test_a_cell_takes_the_maximum_of_a_sweep_of_all_that_it_asks_for(run: Results) -> None:
    after, proven = with_sweeps(run, [sweep("torch"), sweep()])
    cell = cell_of(after, "VAL-11", "native", "float32")
    assert proven == [cell]
    before = cell_of(run, "VAL-11", "native", "float32")
    assert (cell.evidence, cell.inputs) == ("exhaustive", 2 * 4_278_190_080)
    assert cell.ulp is not None
    assert cell.ulp.max == 0.75
    assert cell.worst is not None
    assert cell.worst.logit == "-0x1.8p+3"
    assert cell.reproduce.endswith(
        "native --logit=-0x1.8p+3 --target=0x0.0p+0 --dtype=float32 --quantity=loss"
    )
    assert (cell.verdict, cell.detail) == (before.verdict, before.detail)
    others = [c for c in run.cells if c != before]
    assert [c for c in after.cells if c != cell] == others


OTHERS: dict[str, Callable[[Document], Any]] = {
    "version": lambda made: made["backend"].update(version="0.2.0"),
    "instruction set": lambda made: made["backend"].update(instruction_set="x86-64-v2"),
    "backend": lambda made: made["backend"].update(id="native:torch"),
    "format": lambda made: made.update(dtype="float16"),
    "pos_weight": lambda made: made.update(pos_weight="0x1p+1"),
    "range": lambda made: made.update(patterns=["0x0", "0xfffffffe"]),
    "one target": lambda made: made["results"].pop(),
    "quantity": lambda made: made["results"][0].update(quantity="grad_logits"),
    "incomplete": lambda made: made["results"][1].update(evidence="incomplete"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_other_sweeps_prove_nothing(run: Results, what: str) -> None:
    made = sweep()
    OTHERS[what](made)
    assert with_sweeps(run, [made]) == (run, [])


@pytest.mark.parametrize("max_ulp", [1.0, 1.5, float("inf")])
def test_a_verdict_that_a_sweep_contradicts_stays_searched(run: Results, max_ulp: float) -> None:
    after, proven = with_sweeps(run, [sweep(max_ulp=max_ulp)])
    cell = cell_of(after, "VAL-11", "native", "float32")
    assert proven == []
    assert cell.evidence == "searched"
    assert cell.detail.endswith(f"shows {max_ulp:.6g} ulp: AAA is too good")


def test_the_report_puts_them_into_results_json(run: Results, tmp_path: Path) -> None:
    folder, swept = tmp_path / "out", tmp_path / "swept"
    writing.write(run, folder / "results.json")
    swept.mkdir()
    (swept / "sweep.json").write_text(json.dumps(sweep()), "utf-8")
    words = ["report", str(folder), "--format", "csv", "--sweeps"]
    done = CliRunner().invoke(app, [*words, str(swept)])
    assert done.exit_code == 0, done.output
    assert "proven maxima: VAL-11/native/cpu/float32" in done.output
    after = reading.read(folder / "results.json")
    assert after == with_sweeps(run, [sweep()])[0]
    assert ",exhaustive," in (folder / "cells.csv").read_text("utf-8")
    assert CliRunner().invoke(app, [*words, str(tmp_path)]).exit_code == 2


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no sweep\\.json to read"):
        read(tmp_path)
    (tmp_path / "sweep.json").write_text("[]", "utf-8")
    with pytest.raises(ValueError, match="it lacks backend, dtype"):
        read(tmp_path)
    (tmp_path / "sweep.json").write_text(json.dumps(sweep()), "utf-8")
    assert read(tmp_path) == sweep()

"""Maxima that sweeps have proven, in the cells of a run."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bce_conformance.cli import app
from bce_conformance.results import reading, writing
from bce_conformance.results.cells import Cell, UlpStatistics
from bce_conformance.results.model import Results
from bce_conformance.results.proven import read, with_sweeps

Document = dict[str, Any]
POINTS, FINITE = 1 << 32, 4_278_190_080


def sweep(backend: str = "native", version: str = "0.1.0", max_ulp: float = 0.75) -> Document:
    worst = {"target": "0x0.0p+0", "logit": "-0x1.8p+3", "got": "0x1p-3", "exact": "0x1.2p-3"}
    infinite = POINTS - FINITE
    return {
        "backend": {"id": backend, "version": version, "instruction_set": "x86-64-v3/amd"},
        "source": None,
        "dtype": "float32",
        "pos_weight": None,
        "patterns": ["0x0", "0xffffffff"],
        "results": [
            {
                "quantity": "loss",
                "targets": target,
                "evidence": "exhaustive",
                "max_ulp": max_ulp if target == "0" else 0.25,
                "points": POINTS,
                "correctly_rounded": POINTS - 1000,
                "flushed": 0,
                "worst": [worst | {"ulp": max_ulp}],
                "worst_special": [],
                "lost": {level: [] for level in ("AAA", "AA", "A")},
                "histogram": [
                    {"ulp": 0.0, "count": infinite + 200},  # no error
                    {"ulp": 0.0, "count": 300},  # less than is told apart
                    {"ulp": 0.21875, "count": FINITE - 1500},
                    {"ulp": 0.75, "count": 1000},
                ],
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
    assert cell.ulp == UlpStatistics(
        max=0.75,
        p99=0.234375,  # the end of an eighth of an octave
        mean=pytest.approx(0.234375, abs=1e-6),
        correctly_rounded=1 - 1000 / FINITE,
        histogram=(2 * (FINITE - 1000), 0, 2000),
    )
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


DISPROVED: dict[str, Document] = {
    "results below AAA at logits from -0x1p+3 to 0x1p+3: AAA is too good": {
        "lost": {"AAA": [{"from": "-0x1p+3", "to": "0x1p+3", "count": 5}]}
    },
    "results below AAA at logits from -inf to nan:0x7f800001: AAA is too good": {
        "lost": {"AAA": [{"from": "-inf", "to": "nan:0x7f800001", "count": POINTS}]}
    },
    "shows 1.00001 ulp: AAA is too good": {"max_ulp": 1.0000001},
}


@pytest.mark.parametrize("message", DISPROVED)
def test_a_level_that_a_sweep_shows_disproves_a_verdict_once(run: Results, message: str) -> None:
    made = sweep()
    made["results"][1].update(DISPROVED[message])
    after, proven = with_sweeps(run, [made])
    cell = cell_of(after, "VAL-11", "native", "float32")
    assert (proven, cell.evidence) == ([], "searched")
    assert cell.detail.endswith(message)
    assert with_sweeps(after, [made]) == (after, [])


def test_special_logits_disprove_nothing_and_are_no_results_of_the_cell(run: Results) -> None:
    made = sweep()
    lost = [{"from": "nan:0xffffffff", "to": "-inf", "count": 9}]
    lost += [{"from": "inf", "to": "inf", "count": 1}]
    made["results"][0]["lost"] = {"AAA": lost, "AA": lost, "A": lost}
    made["results"][0]["worst_special"] = [{"logit": "inf", "ulp": "inf"}]
    made["results"][0]["histogram"][0]["count"] -= 10
    made["results"][0]["histogram"].append({"ulp": "inf", "count": 10})
    (cell,) = with_sweeps(run, [made])[1]
    assert cell.ulp is not None
    assert cell.ulp.histogram == (2 * (FINITE - 1000), 0, 2000)
    assert cell.ulp.mean < 0.2344
    made["results"][0]["worst_special"] = [{"logit": "inf", "ulp": 0.7}]  # is in a bin of others
    (cell,) = with_sweeps(run, [made])[1]
    assert cell.ulp is not None
    assert cell.ulp.histogram == ()


def test_flushed_results_are_counted_apart(run: Results) -> None:
    made = sweep()
    made["results"][0]["flushed"] = 300
    made["results"][0]["histogram"][0]["count"] -= 300
    (cell,) = with_sweeps(run, [made])[1]
    assert cell.ulp is not None
    assert (cell.flushed, sum(cell.ulp.histogram)) == (300, 2 * FINITE - 300)


def test_a_nan_leaves_its_bits_behind_and_the_run_can_be_read(run: Results) -> None:
    cell = cell_of(run, "VAL-11", "native", "float32")
    failing = replace(run, cells=tuple(replace(c, verdict="fails") if c == cell else c
                                       for c in run.cells))  # fmt: skip
    made = sweep(max_ulp=float("inf"))
    made["results"][0]["worst"][0]["got"] = "nan:0x7fc00000"
    after, (found,) = with_sweeps(failing, [made])
    assert found.worst is not None
    assert found.worst.got == "nan"
    assert reading.from_document(json.loads(json.dumps(writing.document(after)))) == after
    made["results"][0]["worst"][0]["got"] = "nonsense"
    with pytest.raises(ValueError, match="nonsense"):
        with_sweeps(failing, [made])


SOURCES = {  # of the run and of the sweep, and whether it proves something
    "the same file": ("5eed", "5eed", True),
    "another file": ("5eed", "0dd", False),
    "no digest": ("5eed", "", False),
    "an older sweep": ("5eed", None, False),
    "none was recorded": ("", "", False),
    "no file": ("", None, True),
}


@pytest.mark.parametrize("what", SOURCES)
def test_a_sweep_of_another_file_proves_nothing(run: Results, what: str) -> None:
    ours, theirs, alike = SOURCES[what]
    entries = tuple(replace(b, source=ours if b.id == "native" else "") for b in run.backends)
    _, proven = with_sweeps(replace(run, backends=entries), [sweep() | {"source": theirs}])
    assert bool(proven) == alike


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
    made = sweep()
    del made["results"][1]["lost"]
    (tmp_path / "sweep.json").write_text(json.dumps(made), "utf-8")
    with pytest.raises(ValueError, match="it lacks lost"):
        read(tmp_path)
    (tmp_path / "sweep.json").write_text(json.dumps(sweep()), "utf-8")
    assert read(tmp_path) == sweep()

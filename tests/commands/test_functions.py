"""A function in a file, by every command that takes a backend."""

import contextlib
import gzip
import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bce_conformance.cli import app
from bce_conformance.results.reading import read

LOSS = """
import numpy as np

def loss(logits, targets, reduction="mean"):
    loss = np.logaddexp(0, logits) - targets * logits
    return loss if reduction == "none" else getattr(np, reduction)(loss)

def limited(logits, targets, weight=None):
    return checked(loss(logits, targets, "none"))

def checked(loss):
    if loss.size > 3:
        raise OverflowError("at most three elements")
    return loss
"""
# Its ones are made in the first call of each number of dimensions. Made while automatic
# differentiation is off they can take no part in it.
KEEPING = """
import torch

_ones = {}

def loss(logits, targets):
    ones = _ones.setdefault(logits.dim(), torch.ones((), dtype=logits.dtype))
    function = torch.nn.functional.binary_cross_entropy_with_logits
    return function(logits, targets, reduction="none") * ones
"""
LIMITED = "numpy::./losses.py:limited"
SOUND = "numpy::./losses.py:loss"
PART = ("--requirement=VAL-1", "--dtype=float64", "--tier=quick")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "losses.py").write_text(LOSS, "utf-8")
    return tmp_path


def invoke(folder: Path, *arguments: str, code: int) -> str:
    """What a command prints, all white space as one blank."""
    if arguments[0] not in ("run", "reproduce") or code == 2:
        return within(folder, *arguments, code=code)
    environment = {k: v for k, v in os.environ.items() if k != "FORCE_COLOR"}
    done = subprocess.run(
        [sys.executable, "-m", "bce_conformance", *arguments],
        cwd=folder,
        env={**environment, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    return " ".join(output.split())


def within(folder: Path, *arguments: str, code: int) -> str:
    """What a command prints that starts no pytest, and so needs no process of its own."""
    with contextlib.chdir(folder):
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def cells(folder: Path) -> list[dict[str, Any]]:
    document = json.loads((folder / "reports" / "out" / "results.json").read_text("utf-8"))
    return list(document["cells"])


def test_what_a_function_raised_is_wherever_its_cell_is(folder: Path) -> None:
    output = invoke(folder, "run", f"--backend={LIMITED}", *PART, code=1)
    assert f"{LIMITED}: numpy " in output
    assert "composed: pos_weight, reduction" in output
    (cell,) = cells(folder)
    assert cell["verdict"] == "fails"
    assert re.match(r"raised OverflowError: at most .* \(losses\.py, line 13\)", cell["detail"])
    frames = [line for line in cell["log"].splitlines() if line.startswith("  File")]
    assert [frame.rpartition(" in ")[2] for frame in frames] == ["limited", "checked"]
    assert cell["log"].endswith("OverflowError: at most three elements")
    page = (folder / "reports" / "out" / "report.html").read_text("utf-8")
    packed = [b64decode(text) for text in re.findall("[A-Za-z0-9+/]{200,}=*", page)]
    told = [gzip.decompress(data) for data in packed if data.startswith(b"\x1f\x8b")]
    assert any(b"return checked(loss(logits, targets" in text for text in told)
    results = read(folder / "reports" / "out" / "results.json")
    assert results.cells[0].log == cell["log"]
    assert results.backends[0].notes == ("composed: pos_weight, reduction",)

    output = invoke(folder, "reproduce", f"VAL-1/{LIMITED}/cpu/float64", code=1)
    assert "what was raised Traceback (most recent call last): File" in output
    output = invoke(folder, "explain", LIMITED, "--logits=[1, 2, 3, 4]", "--target=1", code=1)
    assert "returned nothing: raised OverflowError: at most three elements (losses.py" in output
    assert "in limited return checked(" in output
    output = invoke(folder, "explain", LIMITED, "--logits=[1, 2]", "--target=1", code=0)
    assert "Traceback" not in output


def test_a_run_begins_with_evaluations_without_a_graph(folder: Path) -> None:
    pytest.importorskip("torch")
    (folder / "keeping.py").write_text(KEEPING, "utf-8")
    run = ("run", "--backend=torch::./keeping.py:loss", "--requirement=LAY-1", *PART[1:])
    invoke(folder, *run, code=1)
    assert "Inference tensors cannot be saved for backward" in cells(folder)[0]["detail"]


@pytest.mark.slow
def test_a_claim_of_a_function(folder: Path) -> None:
    run = ("run", f"--backend={SOUND}", *PART)
    output = invoke(folder, *run, "--claims=AA", code=1)
    assert f"VAL-1/{SOUND}/cpu/float64: expected AA, found A" in output
    assert "ledger check reports/out --claims AA" in output
    assert "known AA, claimed" in invoke(
        folder, "reproduce", f"VAL-1/{SOUND}/cpu/float64", "--claims=AA", code=1
    )
    assert "every cell is as known" in invoke(folder, *run, "--claims=A", code=0)
    assert "every cell is as the ledger says" in invoke(
        folder, "ledger", "check", "--claims=A", code=0
    )
    invoke(folder, *run, "--claims=AA", "--without=VAL", code=0)
    assert cells(folder)[0]["reason"] == "not claimed: VAL"


@pytest.mark.slow
def test_a_ledger_of_a_function(folder: Path) -> None:
    invoke(folder, "run", f"--backend={SOUND}", *PART[:2], code=1)
    invoke(folder, "ledger", "update", "--ledger=mine.toml", code=0)
    text = (folder / "mine.toml").read_text("utf-8")
    assert f'backend = "{SOUND}"' in text
    (folder / "mine.toml").write_text(text.replace('text = ""', 'text = "cancels"'), "utf-8")
    run = ("run", f"--backend={SOUND}", *PART, "--overwrite")
    invoke(folder, *run, "--ledger=mine.toml", code=0)
    assert cells(folder)[0]["reason"] == "cancels"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--claims=AB",), "claims: 'AB' is no level; accepted are AAA, AA, A or a file"),
        (("--dtypes=float32",), "--dtypes and --without say what --claims is about"),
        (("--claims=A", "--without=VAL-1000"), "without has 'VAL-1000', which is unknown"),
    ],
)
def test_claims_that_are_none(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    assert told in invoke(folder, "run", f"--backend={SOUND}", *arguments, code=2)


def test_claims_are_about_a_backend_of_ones_own(folder: Path) -> None:
    output = invoke(folder, "run", "--backend=native", "--claims=A", code=2)
    assert "claims are about a backend of your own" in output


def test_the_benchmark_of_a_function(folder: Path) -> None:
    invoke(folder, "bench", f"--backend={SOUND}", "--size=32", "--rounds=1", code=0)
    results = read(folder / "reports" / "out" / "results.json")
    assert results.timings is not None
    figures = {(one.series, one.what): one.seconds for one in results.timings.measurements}
    assert figures[SOUND, "forward"]
    assert figures[SOUND, "gradient"] is None  # numpy has none


@pytest.mark.parametrize("command", ["explain", "bench"])
def test_what_does_not_start_is_one_line(folder: Path, command: str) -> None:
    name = "numpy::./losses.py:lost"
    arguments = {
        "explain": (name, "--logit=1", "--target=1"),
        "bench": (f"--backend={name}", "--size=32"),
    }
    line = f"backend {name} does not start: ./losses.py has no lost; the nearest are loss"
    assert invoke(folder, command, *arguments[command], code=2) == line

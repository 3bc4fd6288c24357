"""``bce-conformance hunt`` as a process."""

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from bce_conformance.backends.calls import LossCall
from bce_conformance.cli import app
from bce_conformance.commands.maxima import hunt as command
from tests.conformance.hunting.fakes import Fake

PLANTED = Path(__file__).parents[2] / "conformance" / "sweeping"


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bce_conformance", "hunt", f"--out={folder}", *arguments]
    environment = os.environ | {"PYTHONPATH": str(PLANTED), "COLUMNS": "200", "NO_COLOR": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def hunt(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = started(folder, *arguments)
    output, errors = process.communicate(timeout=600)
    return process.returncode, output, errors


@pytest.mark.slow
def test_what_is_caught_replays_by_its_line_its_call_and_its_witnesses(tmp_path: Path) -> None:
    what = ("torch", "--dtype=float32", "--budget=1s", "--json", "--targets=0,1")
    code, output, _ = hunt(tmp_path, *what)
    assert code == 0
    found = json.loads(output)
    loss, gradient = found["quantities"]
    assert (loss["quantity"], gradient["quantity"]) == ("loss", "grad_logits")
    assert loss["max_ulp"] == loss["worst"][0]["ulp"] > 1e6  # cancels at x ≪ 0, y = 0
    assert found["corpus"] == str(tmp_path / "torch.toml")
    assert "test_values.negative_tail" in (tmp_path / "torch.toml").read_text("utf-8")
    first, *_ = loss["worst"]
    alone = shown(first["explain"].split()[1:])
    assert (alone["got"], alone["ulp"]) == (first["got"], first["ulp_alone"])
    together = shown(["explain", "torch", "--call", found["calls"][0]])
    assert (together["got"], together["ulp"]) in [(o["got"], o["ulp_alone"]) for o in loss["worst"]]


def shown(words: list[str]) -> dict[str, Any]:
    """The worst loss that ``explain`` shows of torch."""
    command = [sys.executable, "-m", "bce_conformance", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)["backends"]["torch"]["quantities"]["loss"]
    return dict(found["worst"])


@pytest.mark.slow
def test_ctrl_c_ends_it_with_what_it_has(tmp_path: Path) -> None:
    process = started(tmp_path, "native", "--dtype=float16", "--budget=1h")
    assert process.stderr is not None
    first = process.stderr.readline()
    assert " of 1:00:00, " in first
    assert "elements: loss 0.5 ulp at logits " in first
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert output.startswith("loss: 0.5 ulp, the largest of ")
    assert f"corpus: {tmp_path / 'native.toml'}, for run --ledger" in output


def one_off(call: LossCall) -> np.ndarray:
    return np.where(call.logits > 1, 2, 0)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A backend that is two ulps off, in the place of every process."""
    fake = Fake(one_off)
    monkeypatch.setattr(command, "BackendProcess", lambda *_, **__: nullcontext(fake))
    monkeypatch.setattr(command, "installed", lambda spec: True)
    return fake


WORDS = ["hunt", "native", "--dtype=float16", "--quantity=loss", "--budget=1s", "--quiet"]


def test_a_corpus_that_is_none_ends_a_hunt_before_it_begins(backend: Fake, tmp_path: Path) -> None:
    (tmp_path / "fake.toml").write_text('versions = ["1"]\n', "utf-8")
    done = CliRunner().invoke(app, [*WORDS, f"--out={tmp_path}"])
    assert done.exit_code == 3
    assert "is no corpus of fake: name another folder with --out" in " ".join(done.stderr.split())
    assert backend.calls == 0


def test_what_cannot_be_kept_is_told_and_the_calls_are_written(
    backend: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command, "add", add)
    done = CliRunner().invoke(app, [*WORDS, f"--out={tmp_path}", "--json"])
    assert done.exit_code == 3, done.output
    found = json.loads(done.stdout)
    assert float(found["quantities"][0]["max_ulp"]) > 1
    assert found["corpus"] is None
    assert [Path(path).exists() for path in found["calls"]] == [True]
    assert "No space left" in done.stderr


REFUSED = {
    "backend 'nativ' is unknown": ("nativ",),
    "targets is '0.5,2'; accepted are any, or numbers from 0 to 1": ("native", "--targets=0.5,2"),
    "targets is 0.3, which is no float32": ("native", "--targets=0.3"),
    "quantity is 'los'; accepted are loss": ("native", "--quantity=los"),
    "'1 day' is no time; accepted are such as 60s": ("native", "--budget=1 day"),
    "has no sweep.json to read": ("native", "--sweeps=nowhere"),
    "gives no result: grad_logits is missing": ("planted:NoGradient", "--quantity=grad_logits"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_misuse_is_refused(tmp_path: Path, message: str) -> None:
    code, output, errors = hunt(tmp_path, *REFUSED[message])
    assert (code, output) == (2, "")
    assert message in " ".join(errors.split())

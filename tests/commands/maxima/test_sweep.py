"""``bce-conformance sweep`` as a process: killed, resumed, interrupted, refused."""

import csv
import json
import random
import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bce_conformance.backends import BackendInfo, BackendSpec, resolve
from bce_conformance.cli import app
from bce_conformance.commands.maxima.sweep import _source
from bce_conformance.conformance.settings import Settings
from bce_conformance.conformance.sweeping.journal import Finished, Journal
from bce_conformance.conformance.sweeping.plan import Piece, plan
from bce_conformance.conformance.sweeping.sweep import identity
from tests.commands.maxima.sweeps import SLOW, bytes_of, pieces, started, sweep


def points(folder: Path) -> int:
    """How many points the journal has, by ``--status``."""
    _, output, _ = sweep(folder, "planted:Slow", "--status", "--json")
    return sum(int(entry["points"]) for entry in json.loads(output))


def started_and_going(folder: Path) -> subprocess.Popen[str]:
    """A resumed sweep that has just finished a piece, and some time more."""
    process = started(folder, *SLOW, "--resume")
    assert process.stderr is not None
    process.stderr.readline()  # the journal is there
    before, limit = pieces(folder), time.monotonic() + 60
    while pieces(folder) == before and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(random.Random(before).uniform(0, 0.1))
    return process


@pytest.mark.slow
def test_a_sweep_killed_ten_times_ends_with_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert sweep(whole, *SLOW)[0] == 0
    seen = [0]
    for _ in range(10):
        process = started_and_going(killed)
        process.kill()
        process.communicate()
        seen.append(pieces(killed))
    assert seen == sorted(set(seen))
    assert points(killed) == seen[-1] << 15 < 20 << 16
    code, _, progress = sweep(killed, *SLOW, "--resume")
    assert code == 0
    assert progress.startswith(f"{seen[-1] << 15:,} of 1,310,720 points")
    assert bytes_of(killed) == bytes_of(whole)


@pytest.mark.slow
def test_ctrl_c_ends_clean_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = started_and_going(tmp_path)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output == ""
    assert errors.splitlines()[-1] == "interrupted; go on with --resume"
    assert "Traceback" not in errors
    code, _, errors = sweep(tmp_path, *SLOW)
    assert code == 2
    assert re.search(r"of 1,310,720 points of this sweep: go on with --resume", errors)


def test_the_standing_of_sweeps_has_numbers_as_numbers(tmp_path: Path) -> None:
    groups = plan("float16", "0,1", "loss", pos_weight=3.0)
    with Journal(tmp_path) as journal:
        for weight in (3.0, None):
            what = replace(groups, pos_weight=weight)
            info = BackendInfo("native", "native", "0.1.0")
            key = journal.open(identity(info, "", what, what.groups[0], "loss"))
        journal.add(Piece(0, 1, 0, 9), {key: Finished(b"summary")})
    done = CliRunner().invoke(app, ["sweep", "native", "--status", "--json", f"--out={tmp_path}"])
    found = sorted(json.loads(done.stdout), key=lambda one: one["points"])
    shown = [(one["pos_weight"], one["sampled"], one["points"]) for one in found]
    assert shown == [(3.0, False, 0), (None, False, 9)]
    assert CliRunner().invoke(app, ["sweep", "native", "--status", f"--out={tmp_path}"]).stdout


def test_a_sweep_of_a_file_has_the_digest_that_a_run_has(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def loss(x, y):\n    return x * y\n", "utf-8")
    spec = resolve(f"numpy::{file}:loss")
    assert _source(spec) == Settings(backends=(spec.id,)).source(spec) != ""
    before = _source(spec)
    file.write_text("def loss(x, y):\n    return y * x\n", "utf-8")
    assert _source(spec) != before
    assert (
        _source(BackendSpec("mine:Adapter", "mine:Adapter")) == ""
    )  # a module, whose pieces in a journal tell not
    assert _source(resolve("torch")) is None


def test_a_sweep_made_twice_has_the_same_bytes(tmp_path: Path) -> None:
    what = ("native", "--dtype=float16", "--targets=0,1,0.5")
    tables = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        code, output, progress = sweep(folder, *what)
        assert code == 0
        assert "of 196,608 points" in progress
        assert output == (folder / "sweep.csv").read_text("utf-8")
        tables.append(bytes_of(folder))
    assert tables[0] == tables[1]
    rows = list(csv.DictReader(output.splitlines()))
    assert [(row["quantity"], row["targets"]) for row in rows] == [
        (quantity, target) for target in ("0", "1", "0.5") for quantity in ("loss", "grad_logits")
    ]
    assert {row["evidence"] for row in rows} == {"exhaustive"}
    found = json.loads((tmp_path / "one" / "sweep.json").read_text("utf-8"))
    for result, row in zip(found["results"], rows, strict=True):
        assert sum(one["count"] for one in result["histogram"]) == 1 << 16
        assert sum(result["levels"].values()) == int(row["points"]) == 1 << 16
        assert float(row["max_ulp"]) == result["worst"][0]["ulp"] < 1
    assert "native 0.1.0 & float16 & grad\\_logits & 0.5 & 65536 & 0.5 &" in (
        (tmp_path / "one" / "sweep.tex").read_text("utf-8")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nativ",), "backend 'nativ' is unknown"),
        (("native", "--targets=2.1"), "targets is 2.1, which is no float32"),
        (("native", "--isa=x86-64-v9"), "instruction set 'x86-64-v9' cannot be chosen"),
        (("impaired:Right", "--dtype=float16"), "impaired:Right has no float16; it has float32"),
        (("native", "--status"), "has no sweeps.sqlite: nothing was swept there"),
    ],
)
def test_misuse_is_refused(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    code, output, errors = sweep(tmp_path, *arguments)
    assert (code, output) == (2, "")
    assert message in errors


@pytest.mark.slow
def test_failed_pieces_are_told_and_tried_again(tmp_path: Path) -> None:
    what = ("planted:DiesOnce", "--targets=0", "--quantity=loss", "--range=0:2fffff")
    for more in ((), ("--resume",)):
        code, output, progress = sweep(tmp_path, *what, *more)
        assert code == 1
        assert progress.startswith("--range 0:2fffff: logits 0.0 to 4.408102")
        assert output.splitlines()[1].endswith(",1")
        assert ",incomplete,2097152," in output

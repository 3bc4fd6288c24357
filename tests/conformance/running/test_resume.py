"""Runs that are ended by force and resumed: nothing measured is lost, or measured twice."""

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.conformance.running import journal
from bce_conformance.results import reading

HERE = Path(__file__).parents[1]
# Small, yet with curves, with a probe, and with two backends at once.
RUN = (
    *("--backend=impaired:Slow", "--backend=impaired:SlowToo", "--tier=quick"),
    *("--requirement=VAL", "--requirement=RED-4", "--requirement=LAY", "--dtype=float32"),
)
LITTLE = (*("--backend=impaired:Right", "--tier=quick", "--requirement=VAL-1", "--dtype=float32"),)
KILLS = 10


def started(out: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bce_conformance", "run", *arguments, f"--out={out}"],
        env={**os.environ, "PYTHONPATH": str(HERE), "COLUMNS": "200", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Where the tests run in the background, Ctrl-C may be ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(out: Path, *arguments: str, **more: str) -> tuple[int, str]:
    process = started(out, *arguments, **more)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def measured(out: Path) -> dict[str, Any]:
    """All of results.json that a run finds, and nothing of when it did."""
    reading.read(out / "results.json")
    document = json.loads((out / "results.json").read_text("utf-8"))
    for name in ("id", "started", "finished", "argv", "seconds"):
        document["run"].pop(name)
    return document


def lines(out: Path) -> int:
    path = out / journal.NAME
    return path.read_bytes().count(b"\n") if path.exists() else 0


def ended(out: Path, after: int, by: signal.Signals, *arguments: str) -> tuple[int, str]:
    """A run that gets a signal once its journal has so many lines."""
    process = started(out, *arguments)
    deadline = time.monotonic() + 60
    while lines(out) < after and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(by)
    output, _ = process.communicate(timeout=30)
    return process.returncode, output


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed")
    assert run(out, *RUN)[0] == 1
    assert lines(out) == 0  # complete: results.json has it all
    return measured(out)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_and_resumed_ends_like_an_undisturbed_one(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    moments = random.Random(seed)
    print(f"seed of the moments: {seed}")
    cells = len(undisturbed["cells"])
    kept, resume = [], ()
    for left in range(KILLS, 0, -1):  # over the whole run, so that each part is resumed
        before = lines(tmp_path)
        further = moments.randrange(max(1, 2 * (cells - before) // left))
        after = min(before + 1 + further, max(before + 1, cells - 4))
        code, output = ended(tmp_path, after, signal.SIGKILL, *RUN, *resume)
        assert code == -signal.SIGKILL, output
        kept.append([cell.place for cell in journal.read(tmp_path / journal.NAME).cells])
        resume = ("--resume",)
    assert len(kept[-1]) >= KILLS // 2
    for sooner, later in itertools.pairwise(kept):
        assert later[: len(sooner)] == sooner
    code, output = run(tmp_path, *RUN, "--resume")
    assert code == 1, output
    assert f"{len(kept[-1])} cells are in the journal" in output
    assert measured(tmp_path) == undisturbed
    assert undisturbed["curves"]
    code, output = run(tmp_path, *RUN, "--resume")
    assert code == 1
    assert "nothing to resume" in output


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_has_results_and_goes_on(
    tmp_path: Path, undisturbed: dict[str, Any], by: signal.Signals
) -> None:
    code, output = ended(tmp_path, 6, by, *RUN)
    assert code == 130, output
    partial = measured(tmp_path)
    assert partial["run"]["interrupted"]
    assert 0 < len(partial["cells"]) < len(undisturbed["cells"])
    assert all(cell in undisturbed["cells"] for cell in partial["cells"])
    seconds = json.loads((tmp_path / "results.json").read_text("utf-8"))["run"]["seconds"]

    code, output = run(tmp_path, *RUN)  # without --resume
    assert code == 2
    assert "go on with --resume" in output

    code, output = run(tmp_path, *RUN, "--resume")
    assert code == 1, output
    assert measured(tmp_path) == undisturbed
    total = json.loads((tmp_path / "results.json").read_text("utf-8"))["run"]["seconds"]
    assert all(total[name] > seconds[name] for name in seconds)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ("--seed=1", "seed 0"),
        ("--tier=default", "tier quick"),
        ("--requirement=INF-1", "requirements VAL-1"),
        ("--dtype=float16", "dtypes float32"),
        ("--backend=impaired:Right", "backends impaired:Slow"),
        ("--time-limit=7", "time limit 30"),
    ],
)
def test_a_run_of_other_settings_is_not_resumed(begun: Path, other: str, named: str) -> None:
    code, output = run(begun, *RUN, "--resume", other)
    assert code == 2
    assert f"begun with {named}" in output
    assert lines(begun) >= 4


def test_a_run_with_another_version_of_a_backend_is_not_resumed(begun: Path) -> None:
    code, output = run(begun, *RUN, "--resume", IMPAIRED_VERSION="2")
    assert code == 2
    assert "begun with version of impaired:Slow 1, this one has 2" in output


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("complete")
    assert run(out, *LITTLE)[0] == 0
    return out


@pytest.mark.parametrize(
    ("other", "version", "named"),
    [
        ("--dtype=float16", "1", "dtypes float32; this one is of float32, float16"),
        ("--device=cuda", "1", "devices none; this one is of cuda"),
        ("--isa=x86-64-v2", "1", "instruction set none; this one is of x86-64-v2"),
        ("--time-limit=7", "1", "time limit 30"),
        ("--quiet", "2", "version of impaired:Right 1; this one is of 2"),
    ],
)
def test_a_complete_run_of_other_settings_or_versions_is_another_run(
    complete: Path, other: str, version: str, named: str
) -> None:
    code, output = run(complete, *LITTLE, "--resume", other, IMPAIRED_VERSION=version)
    assert code == 2, output
    assert f"--resume: the run in {complete} is complete, of {named}" in output


def test_a_complete_run_has_nothing_to_resume(complete: Path) -> None:
    code, output = run(complete, *LITTLE, "--resume")
    assert code == 0, output
    assert "nothing to resume" in output


LOSS = """
import numpy as np

def loss(logits, targets):
    x, y = logits.astype(np.float64), targets
    return (np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))).astype(logits.dtype)
"""


def test_a_run_of_a_file_that_has_changed_is_not_resumed(tmp_path: Path) -> None:
    kernel, out = tmp_path / "kernel.py", tmp_path / "out"
    kernel.write_text(LOSS, "utf-8")
    asked = (f"--backend=numpy::{kernel}:loss", "--tier=quick", "--requirement=VAL-1")
    code, output = run(out, *asked, "--dtype=float32")
    assert code in (0, 1), output
    assert run(out, *asked, "--dtype=float32", "--resume")[0] == code
    kernel.write_text(LOSS.replace("log1p(", "log(1 + "), "utf-8")
    changed, output = run(out, *asked, "--dtype=float32", "--resume")
    assert changed == 2, output
    assert f"{kernel} has changed since: choose another --out FOLDER" in output
    kernel.write_text(LOSS, "utf-8")
    ended(out, 3, signal.SIGKILL, *asked, "--overwrite")
    kernel.write_text(LOSS.replace("log1p(", "log(1 + "), "utf-8")
    changed, output = run(out, *asked, "--resume")
    assert changed == 2, output
    assert f"{kernel} has changed since the run was begun; start anew with --overwrite" in output
    assert lines(out) >= 3


def test_two_runs_do_not_write_one_journal(tmp_path: Path) -> None:
    """As two sessions of pytest with the same --results would, which hold no folder."""
    file = journal.open_alone(tmp_path / journal.NAME)
    code, output = run(tmp_path, "--backend=impaired:Right", *RUN[2:], "--overwrite")
    os.close(file)
    assert code == 3, output
    assert "is being written by another run: wait until that has ended" in output
    assert "Traceback" not in output
    assert not lines(tmp_path)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("begun")
    ended(out, 4, signal.SIGKILL, *RUN)
    return out


@pytest.mark.slow
def test_a_torn_line_ends_the_journal_and_is_said(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    ended(tmp_path, 8, signal.SIGKILL, *RUN)
    path = tmp_path / journal.NAME
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:6]) + whole[6][:40])
    code, output = run(tmp_path, *RUN, "--resume")
    assert code == 1, output
    assert output.count("its last line was torn") == 1
    assert measured(tmp_path) == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=132k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))


@pytest.mark.slow
def test_a_full_disk_ends_the_run_in_one_line_and_it_goes_on(
    small_disk: Path, undisturbed: dict[str, Any]
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(80 << 10))
    code, output = run(small_disk, *RUN)
    assert code == 2, output  # noticed before anything is measured
    assert "cannot be written: No space left on device" in output
    filler.write_bytes(bytes(48 << 10))
    process = started(small_disk, *RUN)
    while lines(small_disk) < 4 and process.poll() is None:
        time.sleep(0.002)
    fill(filler)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3, output
    assert output.count("cannot be written") == 1
    assert "go on with --resume" in output
    assert "Traceback" not in output
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    kept = journal.read(small_disk / journal.NAME)
    assert not kept.torn
    assert kept.cells
    code, output = run(small_disk, *RUN, "--resume")
    assert code == 1, output
    assert measured(small_disk) == undisturbed

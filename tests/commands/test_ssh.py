"""Runs with a backend on another machine: what breaks costs a cell, what is not there the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bce_conformance.backends.isolation import far_side
from bce_conformance.results import reading
from tests.backends.isolation.sshd import TESTS, Host, running


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running(tmp_path_factory.mktemp("ssh")) as host:
        yield host


def started(host: Host, out: Path, *arguments: str) -> subprocess.Popen[str]:
    chosen = ("--dtype=float32", "--tier=quick", f"--out={out}", "--verbose")
    return subprocess.Popen(
        [sys.executable, "-m", "bce_conformance", "run", *chosen, *arguments],
        env=os.environ | {"PYTHONPATH": str(TESTS / "conformance"), far_side.VARIABLE: host.client},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_connection_that_breaks_costs_a_cell_and_the_run_goes_on(
    host: Host, tmp_path: Path
) -> None:
    backend = f"impaired:Slow@ssh=there@python={host.python}"
    process = started(host, tmp_path, f"--backend={backend}", "--requirement=VAL")
    journal = tmp_path / "journal.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b'"cell"') >= 3:
            break
        time.sleep(0.01)
    host.break_off()
    output, _ = process.communicate(timeout=120)
    found = reading.read(tmp_path / "results.json")
    assert not found.run.interrupted, output
    crashed = [cell for cell in found.cells if cell.verdict == "crashed"]
    assert len(crashed) <= 1, output
    for cell in crashed:
        assert "no connection to there, or it broke" in cell.detail
    assert len([cell for cell in found.cells if cell.verdict in ("AAA", "AA")]) >= 4, output
    assert {cell.backend for cell in found.cells} == {backend}
    (entry,) = found.backends
    assert entry.version == "1"
    assert entry.instruction_set
    assert entry.notes[-1].startswith("on ")


def test_a_run_that_is_ended_ends_what_runs_elsewhere(host: Host, tmp_path: Path) -> None:
    backend = f"impaired:Slow@ssh=there@python={host.python}"
    process = started(host, tmp_path, f"--backend={backend}", "--requirement=VAL")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(host.temporary.iterdir()):
        time.sleep(0.02)
    assert list(host.temporary.iterdir())
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    while time.monotonic() < deadline and (list(host.temporary.iterdir()) or host.connections()):
        time.sleep(0.02)
    assert not list(host.temporary.iterdir())
    assert not host.connections()


def test_a_host_that_does_not_answer_is_a_line_and_exit_2(host: Host, tmp_path: Path) -> None:
    for name, told in (
        ("127.0.0.1:1", "no connection to 127.0.0.1:1, or it broke: "),
        ("there@python=/nowhere", "no /nowhere on there: "),
    ):
        process = started(host, tmp_path, f"--backend=impaired:Right@ssh={name}")
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 2, output
        (line,) = [line for line in output.splitlines() if "does not start" in line]
        assert told in line
        assert not (tmp_path / "results.json").exists()


def test_a_bench_measures_there(host: Host, tmp_path: Path) -> None:
    backend = f"scipy@ssh=there@python={host.python}"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bce_conformance", "bench", f"--backend={backend}"),
            *("--size=32", "--rounds=1", "--json", f"--out={tmp_path}"),
        ],
        env=os.environ | {far_side.VARIABLE: host.client},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    timings = reading.read(tmp_path / "results.json").timings
    assert timings is not None
    assert {one.series for one in timings.measurements} == {backend, f"{backend} again"}
    assert all(one.seconds for one in timings.measurements)

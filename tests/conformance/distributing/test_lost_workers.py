"""``run --scheduler``: the cells of a run on one machine, whatever workers are lost."""

import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clusters import LIMIT, REFUSED, free_port, program, running, scheduler, worker
from tests.conformance.running.test_resume import lines, measured

pytest.importorskip("distributed")

RUN = (
    *("--backend=impaired:SlowToo", "--backend=impaired:SegfaultInTheTail", "--tier=quick"),
    *("--requirement=VAL", "--requirement=RED-4", "--requirement=LAY", "--dtype=float32"),
)


def started(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return program("bce_conformance", "run", *RUN, f"--out={out}", *arguments)


def run(out: Path, *arguments: str) -> tuple[int, str]:
    process = started(out, *arguments)
    _, errors = process.communicate(timeout=LIMIT)
    return process.returncode, errors


def until_lines(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until the journal of a run has some lines."""
    limit = time.monotonic() + LIMIT
    while lines(out) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit, "the run does not get on"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed")
    assert run(out)[0] == 1
    return measured(out)


@pytest.mark.slow
def test_a_lost_worker_changes_no_cell(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    assert {cell["verdict"] for cell in undisturbed["cells"]} > {"crashed", "AAA"}
    port, out = free_port(), tmp_path / "out"
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(running(*scheduler(port)))
        one = stack.enter_context(running(*worker(address, tmp_path)))
        stack.enter_context(running(*worker(address, tmp_path)))
        distributed = started(out, f"--scheduler={address}")
        until_lines(out, 6, distributed)
        one.kill()
        assert distributed.poll() is None
        _, errors = distributed.communicate(timeout=LIMIT)
    assert distributed.returncode == 1, errors
    assert "cells to measure: " in errors
    assert measured(out) == undisturbed
    assert lines(out) == 0


@pytest.mark.slow
def test_an_interrupted_run_goes_on_without_a_cluster(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    begun = started(tmp_path, "--scheduler=local:1")
    until_lines(tmp_path, 6, begun)
    begun.send_signal(signal.SIGTERM)
    _, errors = begun.communicate(timeout=LIMIT)
    assert begun.returncode == 130, errors
    partial = measured(tmp_path)
    assert partial["run"]["interrupted"]
    assert all(cell in undisturbed["cells"] for cell in partial["cells"])
    code, errors = run(tmp_path, "--resume")
    assert code == 1, errors
    assert f"{len(partial['cells'])} cells are in the journal" in errors
    assert measured(tmp_path) == undisturbed


@pytest.mark.parametrize("message", REFUSED)
def test_misuse_is_refused(tmp_path: Path, message: str) -> None:
    options = (option.format(port=free_port()) for option in REFUSED[message])
    code, errors = run(tmp_path, *options)
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors

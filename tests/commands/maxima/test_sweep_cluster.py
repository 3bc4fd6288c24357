"""``sweep --scheduler``: workers and schedulers that are lost change no byte of the results."""

import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.clusters import LIMIT, REFUSED, free_port, running, scheduler, worker
from tests.commands.maxima.sweeps import SLOW, bytes_of, pieces, started, sweep

pytest.importorskip("distributed")

DASK = 8787
"""The port at which a scheduler of Dask serves its health if it is not told another."""


def until_pieces(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until a sweep has finished some pieces."""
    limit = time.monotonic() + LIMIT
    while pieces(folder) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit, "the sweep does not get on"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_lost_worker_and_a_lost_scheduler_change_no_byte(tmp_path: Path) -> None:
    whole, lost = tmp_path / "whole", tmp_path / "lost"
    assert sweep(whole, *SLOW)[0] == 0
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        first = stack.enter_context(running(*scheduler(port)))
        one = stack.enter_context(running(*worker(address, tmp_path)))
        stack.enter_context(running(*worker(address, tmp_path)))
        swept = started(lost, *SLOW, f"--scheduler={address}")
        until_pieces(lost, 4, swept)
        one.kill()
        until_pieces(lost, pieces(lost) + 4, swept)
        first.kill()
        first.communicate()
        before = pieces(lost)
        assert before < 40
        stack.enter_context(running(*scheduler(port)))
        stack.enter_context(running(*worker(address, tmp_path)))
        _, errors = swept.communicate(timeout=LIMIT)
        assert swept.returncode == 0, errors
    assert bytes_of(lost) == bytes_of(whole)


@pytest.mark.slow
def test_a_scheduler_that_stays_away_is_told_and_the_sweep_goes_on_without(tmp_path: Path) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with running(*scheduler(port)) as first, running(*worker(address, tmp_path)) as one:
        assert one.stderr is not None
        assert any("established connection" in line for line in one.stderr)
        swept = started(tmp_path, *SLOW, f"--scheduler={address}", "--wait=15")
        until_pieces(tmp_path, 2, swept)
        first.kill()
        _, errors = swept.communicate(timeout=LIMIT)
    assert swept.returncode == 3
    said = f"the scheduler at {address} is gone; what was finished is in the journal: start it"
    assert said in errors
    assert "Traceback" not in errors
    before = pieces(tmp_path)
    assert 0 < before < 40
    code, output, errors = sweep(tmp_path, *SLOW, "--resume", "--scheduler=local:1")
    assert code == 0
    assert ",exhaustive,65536," in output
    assert pieces(tmp_path) == 40
    assert errors.startswith(f"{before << 15:,} of 1,310,720 points")


@pytest.mark.slow
def test_workers_on_this_machine_do_not_mind_another_cluster(tmp_path: Path) -> None:
    options = ("--dtype=float16", "--quiet", "--scheduler=local:1")
    with ExitStack() as stack:
        with suppress(OSError):  # somebody has it already
            stack.enter_context(socket.create_server(("127.0.0.1", DASK)))
        code, _, errors = sweep(tmp_path, "native", *options)
    assert (code, errors) == (0, "")


@pytest.mark.slow
def test_workers_of_a_cluster_end_their_backends_with_the_sweep(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    options = ("--dtype=float16", "--targets=0", "--quiet", f"--scheduler={address}")
    with running(*scheduler(port)), running(*worker(address, tmp_path)) as one:
        code, _, errors = sweep(tmp_path / "swept", "native", *options)
        assert (code, errors) == (0, "")
        limit = time.monotonic() + LIMIT
        while left := psutil.Process(one.pid).children(recursive=True):
            assert time.monotonic() < limit, left
            time.sleep(0.1)
        assert one.poll() is None


@pytest.mark.parametrize("message", REFUSED)
def test_misuse_is_refused(tmp_path: Path, message: str) -> None:
    options = (option.format(port=free_port()) for option in REFUSED[message])
    code, output, errors = sweep(tmp_path, "native", "--dtype=float16", *options)
    assert (code, output) == (2, "")
    assert message in errors

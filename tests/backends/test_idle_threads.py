"""Processes that share processors do not take them from one another while they wait."""

import os
import subprocess
import sys

import pytest

# One of two threads has no work: it waits for the other at the end of each loop.
SCRIPT = """
import sys
import time

from bce_conformance.backends.idle_threads import sleep_when_idle

sleep_when_idle()
import numba
import numpy as np


@numba.njit(parallel=True)
def loop(array):
    for task in numba.prange(2):
        for i in range(task * array.size):
            array[i] = array[i] * 0.5 + 1.0


numba.set_num_threads(2)
array = np.ones(1 << 20)
loop(array)
if numba.threading_layer() != "omp":
    sys.exit("not OpenMP")
wall, processor = time.perf_counter(), time.process_time()
for _ in range(100):
    loop(array)
print((time.process_time() - processor) / (time.perf_counter() - wall))
"""


def busy() -> float:
    """Processors that a process keeps busy, of whose two threads one waits all the time."""
    environment = {
        n: v for n, v in os.environ.items() if n not in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")
    }
    environment |= {"NUMBA_NUM_THREADS": "2", "NUMBA_THREADING_LAYER_PRIORITY": "omp workqueue tbb"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode and "not OpenMP" in done.stderr:
        pytest.skip("Numba has no OpenMP here")
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_a_thread_that_waits_takes_no_processor() -> None:
    assert busy() < 1.25

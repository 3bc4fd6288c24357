"""The number of threads does not change a bit; errors reach the caller; a fork has its own."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from bce_conformance.native import value_and_grad
from bce_conformance.native.memory.threads import num_threads, set_num_threads, share
from tests.native.problems import FORMATS, bits, problem


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("weighted", [False, True])
def test_threads_do_not_change_a_bit(dtype, weighted):
    x, y, w, p = problem(dtype, (500, 700))
    scales = (w, p) if weighted else (None, None)
    results = []
    for count in (1, 2, 5):
        set_num_threads(count)
        results.append(bits(value_and_grad(x, y, *scales, "mean")))
    set_num_threads(None)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("shape", [(2000, 70), (70, 20_000)])
def test_threads_do_not_change_a_bit_of_sums_over_broadcast_operands(dtype, shape):
    x, y, w, p = problem(dtype, shape)
    results = []
    for count in (1, 2, 5):
        set_num_threads(count)
        results.append(bits(value_and_grad(x, y, w, p, "mean", wrt=("weight", "pos_weight"))))
    set_num_threads(None)
    assert results[0] == results[1] == results[2]


@pytest.mark.slow
def test_threads_do_not_change_a_bit_of_broadcast_sums_that_cancel():
    """What is left of huge terms is the rounding of their order."""
    x, y, _, p = problem(np.float64, (2000, 7))
    y *= 10.0 ** np.random.default_rng(1).uniform(0, 25, y.shape)
    x, y = np.concatenate([x, x[::-1]]), np.concatenate([y, -y[::-1]])
    y[::100] += 0.3
    results = []
    for count in (1, 2, 5):
        set_num_threads(count)
        results.append(bits(value_and_grad(x, y, None, p, "sum", wrt=("pos_weight",))))
    set_num_threads(None)
    assert results[0] == results[1] == results[2]


def test_callers_in_several_threads_do_not_disturb_each_other():
    x, y, w, p = problem(np.float32, (400, 900))
    expected = bits(value_and_grad(x, y, w, p))
    found = []

    def call():
        found.append(all(bits(value_and_grad(x, y, w, p)) == expected for _ in range(5)))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [True] * 4


def test_an_error_in_any_thread_reaches_the_caller_and_leaves_the_workers_usable():
    set_num_threads(3)
    for failing in (0, 63):
        seen = []

        def work(first, last, failing=failing, seen=seen):
            seen.append((first, last))
            if first <= failing < last:
                raise ValueError(f"chunk {failing}")

        with pytest.raises(ValueError, match=f"chunk {failing}"):
            share(work, 64)
        assert sorted(seen)[0][0] == 0
        assert sum(last - first for first, last in seen) == 64
    set_num_threads(None)


def test_a_forked_child_starts_threads_of_its_own():
    script = """
import os
from bce_conformance.native.memory.threads import set_num_threads, share
set_num_threads(2)
share(lambda first, last: None, 64)
child = os.fork()
seen = []
share(lambda first, last: seen.append(last - first), 64)
if child == 0:
    os._exit(0 if sum(seen) == 64 else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_number_of_threads_is_checked():
    with pytest.raises(ValueError, match="count is 0"):
        set_num_threads(0)
    assert num_threads() >= 1


@pytest.fixture
def _interrupts():
    """Two threads, and Ctrl-C as Python has it: where tests run in the background it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    set_num_threads(2)
    yield
    set_num_threads(None)
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts")
def test_an_interrupt_waits_for_the_threads_that_write():
    done = []

    def work(first, last):
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGINT)
        time.sleep(0.2)
        done.append(first)

    with pytest.raises(KeyboardInterrupt):
        share(work, 2)
    assert len(done) == 1
    seen = []
    share(lambda first, last: seen.append(last - first), 64)
    assert sum(seen) == 64


@pytest.mark.usefixtures("_interrupts")
def test_an_interrupt_of_the_wait_waits_too():
    main, done = threading.main_thread(), []

    def work(first, last):
        time.sleep(0.05)
        if threading.current_thread() is not main:
            signal.pthread_kill(main.ident, signal.SIGINT)  # waits for this thread by now
            time.sleep(0.2)
            done.append(first)

    with pytest.raises(KeyboardInterrupt):
        share(work, 2)
    assert len(done) == 1

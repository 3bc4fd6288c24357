from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bce_conformance.reference import ground_truth, parallel

SCRIPT = """
# no guard on the main module: a script of a user
import numpy as np
from bce_conformance.reference import ground_truth, parallel
parallel.PAYS_FROM = 100
x = np.random.default_rng(0).normal(size=5000)
print(ground_truth(x, np.zeros(5000), method="certified").nearest.sum())
"""


def test_results_and_their_order_are_those_of_one_process(monkeypatch):
    x = np.random.default_rng(0).normal(size=5000)
    y = np.random.default_rng(1).uniform(size=5000)
    x[100] = np.nan
    alone = ground_truth(x, y, method="certified")
    monkeypatch.setattr(parallel, "PAYS_FROM", 100)
    together = ground_truth(x, y, method="certified")
    for name in ("nearest", "offset", "precision"):
        assert getattr(alone, name).tobytes() == getattr(together, name).tobytes()


def test_a_script_without_a_guarded_main_module_may_ask():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    x = np.random.default_rng(0).normal(size=5000)
    assert float(done.stdout) == pytest.approx(float(ground_truth(x, np.zeros(5000)).nearest.sum()))


def test_a_process_that_dies_ends_the_call_with_an_error(monkeypatch):
    monkeypatch.setattr(parallel, "PAYS_FROM", 100)
    monkeypatch.setattr(parallel, "__name__", "bce_conformance.no_such_module")
    x = np.random.default_rng(0).normal(size=20_000)
    with pytest.raises((EOFError, BrokenPipeError)):
        ground_truth(x, np.zeros(x.size), method="certified")

"""The suite without the packages that stay at home: no Numba, no Altair, no V8."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from bce_conformance.reference import ground_truth

WITHOUT = "import sys; sys.modules |= dict.fromkeys(('numba', 'llvmlite', 'altair', 'vl_convert'))"
TRUTHS = f"""
{WITHOUT}
import bce_conformance.cli
from bce_conformance.reference import ground_truth, has_fast_path
assert not has_fast_path()
import numpy as np
found = ground_truth(np.linspace(-30, 30, 400), np.linspace(0, 1, 400), cached=False)
print(found.nearest.tobytes().hex())
"""
PAGE = f"""
{WITHOUT}
from bce_conformance.reports import charts, html
from bce_conformance.results.reading import read
html.write(read(sys.argv[1]), sys.argv[2])
print(charts.why_none())
"""


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_truths_are_the_same_without_numba() -> None:
    x, y = np.linspace(-30, 30, 400), np.linspace(0, 1, 400)
    expected = ground_truth(x, y, cached=False)
    assert (expected.precision == 106).any()  # the fast path's, here
    assert run(TRUTHS) == expected.nearest.tobytes().hex()


def test_a_report_has_all_but_its_charts(tmp_path: Path) -> None:
    host = {"cpu": "", "cores": 1, "memory_bytes": 0, "os": "", "python": ""}
    moment = "2026-01-01T00:00:00Z"
    run_ = {"id": "a run", "started": moment, "finished": moment, "tier": "quick", "argv": []}
    curve = {"backend": "native", "device": "cpu", "dtype": "float32", "quantity": "loss"}
    entry = {"id": "native", "framework": "native", "version": "1", "variant": "", "status": "ok"}
    lists = {"devices": [{"kind": "cpu", "name": "cpu"}], "dtypes": ["float32"], "composed": []}
    document = {
        "schema": 1,
        "run": run_ | {"commit": "", "host": host},
        "backends": [entry | lists],
        "requirements": [],
        "cells": [],
        "curves": [curve | {"target": "0", "points": [[1.0, 0.5]]}],
    }
    path, page = tmp_path / "results.json", tmp_path / "report.html"
    path.write_text(json.dumps(document), "utf-8")
    assert "altair and vl-convert-python" in run(PAGE, str(path), str(page))
    text = page.read_text("utf-8")
    assert 'id="matrix"' in text
    assert "window.vega" not in text

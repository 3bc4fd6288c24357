"""A run carries the defects of its backends, from the ledger to results.json and the summary."""

import subprocess
import sys
from pathlib import Path

import pytest

from bce_conformance import results
from bce_conformance.conformance.findings.reading import defects

ZERO = "paddle-gradient-at-zero"


@pytest.mark.slow
def test_a_run_names_the_defects_of_its_cells(tmp_path: Path) -> None:
    chosen = ["--backend=paddle", "--requirement=GRAD-5", "--dtype=float32", "--tier=quick"]
    done = subprocess.run(
        [sys.executable, "-m", "bce_conformance", "run", *chosen, f"--out={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = results.read(tmp_path)
    assert [(cell.verdict, cell.defects) for cell in found.cells] == [("fails", (ZERO,))]
    known = [one for one in defects().values() if "paddle" in one.backends]
    assert list(found.defects) == known
    told = " ".join(done.stdout.split())
    assert "paddle: 1 of 1 findings" in told
    assert defects()[ZERO].title in told
    assert f'id="finding/{ZERO}"' in (tmp_path / "report.html").read_text("utf-8")

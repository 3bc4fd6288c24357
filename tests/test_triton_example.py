"""The Triton kernel and its mistakes, judged in Triton's interpreter: findings tell them apart."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bce_conformance.results.cells import is_better
from bce_conformance.results.reading import read

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "triton"
KERNEL = "torch::./kernel.py:loss"
NARROW, NO_MASK, LOG = (
    f"torch::./mistakes.py:{name}" for name in ("narrow_sum", "no_mask", "log_of_one_plus")
)
ASKED = ("VAL-3", "GRAD-3", "RED-4", "RED-5")
FORMATS = ("float16", "float32", "float64")

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("torch", "triton"))),
    reason="triton is not installed: pip install 'bce-conformance[triton]'",
)

Verdicts = dict[tuple[str, str, str], str]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """Verdicts by backend, requirement and format."""
    out = tmp_path_factory.mktemp("triton")
    command = [sys.executable, "-m", "bce_conformance", "run", "--tier=quick", f"--out={out}"]
    command += [f"--backend={name}" for name in (KERNEL, NARROW, NO_MASK, LOG)]
    command += [f"--requirement={name}" for name in ASKED]
    command += [f"--dtype={name}" for name in FORMATS]
    done = subprocess.run(
        [*command, "--claims=AA"],
        cwd=EXAMPLE,
        env={**os.environ, "TRITON_INTERPRET": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=600,  # in its interpreter, on a busy processor
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    results = read(out / "results.json")
    return {(cell.backend, cell.requirement, cell.dtype): cell.verdict for cell in results.cells}


def below(verdicts: Verdicts, backend: str) -> set[tuple[str, str]]:
    """The requirements and formats in which a function is below AA."""
    return {
        (requirement, dtype)
        for (name, requirement, dtype), verdict in verdicts.items()
        if name == backend and requirement != "GRAD-3" and is_better("AA", verdict)
    }


def test_the_kernel_and_its_gradient_are_accurate(verdicts: Verdicts) -> None:
    assert below(verdicts, KERNEL) == set()
    assert {verdicts[KERNEL, "GRAD-3", dtype] for dtype in FORMATS} <= {"AA", "AAA"}


def test_each_mistake_has_findings_of_its_own(verdicts: Verdicts) -> None:
    sums = ("RED-4", "RED-5")
    narrow, no_mask, log = (below(verdicts, name) for name in (NARROW, NO_MASK, LOG))
    # A narrow format shows where it is narrower than it should be, in sums alone.
    assert {("RED-5", "float16"), ("RED-4", "float64"), ("RED-5", "float64")} <= narrow
    assert not {name for name in narrow if name[0] == "VAL-3" or name[1] == "float32"}
    # What lies beyond the end is in every sum, whatever the format.
    assert no_mask == {(name, dtype) for name in sums for dtype in FORMATS}
    # log(1 + e) shows where e is small, element by element; a sum hides it.
    assert {("VAL-3", "float32"), ("VAL-3", "float64")} <= log
    assert not {name for name in log if name[0] in sums}

"""The example of an imbalanced classifier, on a smaller task."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FORMATS = ("float32", "bfloat16", "float16")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "imbalance"


@pytest.mark.slow
def test_it_trains_and_shows_where_a_loss_starts_badly(tmp_path: Path) -> None:
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed: pip install 'bce-conformance[sklearn]'")
    small = ["--steps=10", "--examples=100", f"--plot={tmp_path}/training.svg"]
    done = subprocess.run(
        [sys.executable, "compare.py", *small],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    ends = {(row[0], row[1]): row[2:] for row in lines if row[0] in FORMATS}
    assert {(dtype, "native") for dtype in FORMATS} <= set(ends)
    assert all(len(figures) == 5 for figures in ends.values())
    first = {row[0]: [float(loss) for loss in row[1:]] for row in lines if "0.6931" in row}
    assert {framework for _, framework in ends} == set(first)
    assert first["native"][-1] < first["native"][1] < first["native"][0]
    shares = {row[0]: row[1] for row in lines if len(row) == 2 and row[1].endswith("%")}
    assert shares["native"] == "100%"
    if (
        "tensorflow" in first
    ):  # with a pos_weight its gradient at 0 is wrong, and its mean overflows
        assert first["tensorflow"][1] > first["tensorflow"][0]
        assert shares["tensorflow"] == "0%"
    assert "<svg" in (tmp_path / "training.svg").read_text("utf-8")

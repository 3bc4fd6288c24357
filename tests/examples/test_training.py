"""The example that trains with three losses, as its reader runs it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "training" / "compare.py"
LOSSES = ["torch", "native:torch", "native:jax"]


@pytest.mark.slow
def test_the_same_curve_with_each_loss() -> None:
    for framework in ("torch", "jax"):
        if importlib.util.find_spec(framework) is None:
            pytest.skip(f"{framework} is not installed")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--epochs", "3", "--examples", "512"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _, head, *epochs, _, seconds = done.stdout.splitlines()
    assert head.split()[1:] == LOSSES
    curves = [[float(loss) for loss in line.split()[1:]] for line in epochs]
    assert len(curves) == 3
    for losses in curves:
        assert losses == pytest.approx(losses[:1] * 3, rel=1e-5)
    assert curves[-1][0] < curves[0][0]
    assert all(float(taken) > 0 for taken in seconds.split())
    assert len(seconds.split()) == len(LOSSES)

"""pytest-xdist and the matrix: each of its processes would measure everything."""

import subprocess
import sys

import pytest

from bce_conformance import conformance


def test_the_matrix_is_not_split() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider"),
            *("--backend", "native", "--requirement", "VAL-1", *conformance.__path__),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "-n is given; accepted is one process of pytest" in done.stdout
    assert "passed" not in done.stdout

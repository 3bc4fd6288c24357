"""Compiles all kernels ahead of the tests, whose processes would each compile them.

``python -m tests.kernels`` compiles the native ones and those of the reference at once.
"""

import subprocess
import sys

import numpy as np

from bce_conformance.native.warmup import compile_all
from bce_conformance.reference import ground_truth


def compile_reference() -> None:
    """Compile what decides truths: one result an element, and one a sum."""
    x = np.linspace(-3, 3, 4096)
    for reduction in ("none", "mean"):
        ground_truth(x, x * 0, reduction=reduction, cached=False)


if sys.argv[1:] == ["reference"]:
    compile_reference()
elif __name__ == "__main__":
    other = subprocess.Popen([sys.executable, "-m", "tests.kernels", "reference"])
    compile_all()
    sys.exit(other.wait())

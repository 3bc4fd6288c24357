"""Compiles all kernels ahead of the tests, whose processes would each compile them.

``python -m tests.kernels`` compiles the native ones and those of the reference at once.
"""

import subprocess
import sys

from bce_conformance.native.warmup import compile_all
from bce_conformance.reference import compile_kernels

if sys.argv[1:] == ["reference"]:
    compile_kernels()
elif __name__ == "__main__":
    other = subprocess.Popen([sys.executable, "-m", "tests.kernels", "reference"])
    compile_all()
    sys.exit(other.wait())

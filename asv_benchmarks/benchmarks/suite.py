"""Time of the suite itself: ground truth, and a quick run of the matrix."""

from __future__ import annotations

import os
from typing import Any

DTYPES = ("float16", "bfloat16", "float32", "float64")


class GroundTruth:
    """Loss and gradient in the logits of random points, nothing from the cache."""

    params = (DTYPES,)
    param_names = ("dtype",)
    repeat = (3, 10, 2.0)
    rounds = 2
    timeout = 600

    def setup(self, dtype: str) -> None:
        """Draw the points."""
        from bce_conformance.reference import FORMATS
        from bce_conformance.reference.cache import VARIABLE
        from bce_conformance.reference.points import random_points

        os.environ[VARIABLE] = "off"
        self.points = random_points(FORMATS[dtype], 100_000, 1)

    def time_fast_path(self, dtype: str) -> None:
        """10⁵ points by the fast path."""
        self._evaluate(dtype, "fast", 100_000)

    def time_certified(self, dtype: str) -> None:
        """500 points by the slow path."""
        self._evaluate(dtype, "certified", 500)

    def _evaluate(self, dtype: str, method: Any, count: int) -> None:
        from bce_conformance.reference import ground_truth

        x, y = self.points.x[:count], self.points.y[:count]
        for quantity in ("loss", "grad_logits"):
            ground_truth(x, y, quantity=quantity, dtype=dtype, method=method)


class Run:
    """The native backend in the quick tier: what a developer waits for."""

    repeat = 1
    rounds = 1
    number = 1
    warmup_time = 0.0
    timeout = 600

    def timeraw_quick_run(self) -> str:
        """One format, all requirements."""
        return (
            "import subprocess, sys, tempfile\n"
            "with tempfile.TemporaryDirectory() as folder:\n"
            "    subprocess.run([sys.executable, '-m', 'bce_conformance', 'run', '--backend',\n"
            "        'native', '--tier', 'quick', '--dtype', 'float32', '--out', folder],\n"
            "        check=True, capture_output=True)"
        )

"""How fast the ground truth is: ``python -m bce_conformance.reference.throughput``.

Guarantees: every figure stands beside its goal and is measured by this run, on one thread unless it
says otherwise, as the median of several rounds; nothing is read from the cache of truths but where
that is what is timed.
Exits with 0 whatever the verdicts: a slow machine is no fault.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from .cache import VARIABLE
from .formats import FLOAT32, FORMATS
from .points import Points, random_points
from .truth import ground_truth

_ROUNDS = 7
_COMPILE = """
import time
start = time.perf_counter()
import numpy as np
from bce_conformance.reference import ground_truth
x = np.ones((300, 2))
for quantity in ("loss", "grad_logits", "hess_logits"):
    ground_truth(x, x, quantity=quantity, method="fast")
ground_truth(x, x, reduction="sum", method="fast")
ground_truth(x, x, None, np.ones(2), quantity="grad_pos_weight", method="fast")
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Figure:
    """One measurement: what, the figure, the goal, in words, and whether it is met."""

    what: str
    measured: str
    goal: str
    met: bool


def _seconds(action: Callable[[], object], rounds: int = _ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _both(points: Points, dtype: str, method: str) -> None:
    for quantity in ("loss", "grad_logits"):
        ground_truth(points.x, points.y, quantity=quantity, dtype=dtype, method=method)


def _five(points: Points) -> None:
    for quantity in ("loss", "grad_logits", "grad_targets", "grad_weight", "grad_pos_weight"):
        ground_truth(points.x, points.y, points.w, points.p, quantity=quantity, dtype="float32")


def rates() -> list[Figure]:
    """Return points a second on one core, loss and gradient, of both paths."""
    import numba

    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    figures = []
    few = random_points(FLOAT32, 2_000, 1)
    slow = len(few.x) / _seconds(lambda: _both(few, "float32", "certified"))
    figures.append(_rate("slow path, float32, loss and gradient", slow, 1e4))
    for name, goal in (("float32", 1e7), ("float64", 2e6)):
        many = random_points(FORMATS[name], 1 << 20, 2)
        _both(many, name, "fast")
        fast = len(many.x) / _seconds(lambda m=many, n=name: _both(m, n, "fast"))  # type: ignore[misc]
        figures.append(_rate(f"fast path, {name}, loss and gradient", fast, goal))
        if name == "float32":
            ratio = fast / slow
            figures.append(
                Figure("fast path to slow path", f"{ratio:.0f}×", "≥ 100×", ratio >= 100)
            )
    numba.set_num_threads(threads)
    return figures


def _rate(what: str, rate: float, goal: float) -> Figure:
    measured = f"{rate / 1e6:.3g} million points a second a core"
    return Figure(what, measured, f"≥ {goal / 1e6:g} million", rate >= goal)


def waits() -> list[Figure]:
    """Return how long a user waits: a million points, read back, and the first compilation."""
    points = random_points(FLOAT32, 1_000_000, 3)
    first = _seconds(lambda: _five(points), 3)
    what = "10⁶ float32 points, loss and all gradients, all cores"
    figures = [Figure(what, f"{first:.2f} s", "< 3 s", first < 3)]
    with tempfile.TemporaryDirectory() as folder:
        kept = os.environ[VARIABLE]
        os.environ[VARIABLE] = folder
        _five(points)
        again = _seconds(lambda: _five(points), 3)
        os.environ[VARIABLE] = kept
    figures.append(Figure("the same, read from the cache", f"{again:.2f} s", "< 1 s", again < 1))
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", _COMPILE],
            env={**os.environ, VARIABLE: folder},
            capture_output=True,
            text=True,
            check=True,
        )
    compiled = float(done.stdout)
    figures.append(Figure("first compilation of all", f"{compiled:.1f} s", "< 30 s", compiled < 30))
    return figures


def undecided() -> list[Figure]:
    """Return the undecided shares of 2^22 random points."""
    figures = []
    for name in FORMATS:
        points = random_points(FORMATS[name], 1 << 22, 4)
        count = 0
        for quantity in ("loss", "grad_logits"):
            truth = ground_truth(points.x, points.y, quantity=quantity, dtype=name, method="fast")
            count += int(truth.undecided.sum())
        measured = f"{count} of 2^23"
        figures.append(Figure(f"undecided, {name}", measured, "≤ 2^-20", count <= 8))
    return figures


def main() -> int:
    """Measure and print."""
    os.environ[VARIABLE] = "off"
    table = Table("what", "measured", "goal", "verdict")
    for figure in (*rates(), *waits(), *undecided()):
        verdict = "met" if figure.met else "MISSED"
        table.add_row(figure.what, figure.measured, figure.goal, verdict)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

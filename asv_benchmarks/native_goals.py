"""Measures the native implementation against its goals and prints goal, figure and verdict.

``python asv_benchmarks/native_goals.py [--rounds N] [--frameworks torch,jax,tensorflow]``

Every implementation runs in a process of its own; their measurements are interleaved, round by
round, and every ratio is one of medians over the rounds of this run. "Limit" is what plain passes
over the same arrays take: the sum of x·y for forward, g = x·y for forward and gradient. ``GOALS``
holds the goals as data: each has a name, a bound, its direction and how it is measured.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from native_timing import BIG, COLUMNS, FRAMEWORKS, MIDDLE, SMALL, Bench, Key, arrays

# A figure, and what it is made of.
Measured = tuple[float, str]
Measure = Callable[[Bench], Measured]


def quotient(above: Key, below: Key) -> Measure:
    """One time of the native process over another."""

    def measure(bench: Bench) -> Measured:
        found = bench.medians([("native", above), ("native", below)])
        times = [found["native", key] / key[2] * 1e9 for key in (above, below)]
        return times[0] / times[1], f"{times[0]:.3g} against {times[1]:.3g} ns an element"

    return measure


def speedup(key: Key) -> Measure:
    """The time of the fastest framework over the native one."""

    def measure(bench: Bench) -> Measured:
        found = bench.medians([(name, key) for name in ("native", *bench.frameworks)])
        own = found.pop(("native", key)) / key[2] * 1e9
        if not found:
            return float("nan"), "no framework measured"
        (best, _), least = min(found.items(), key=lambda item: item[1])
        least *= 1e9 / key[2]
        return least / own, f"{own:.3g} against {least:.3g} ns an element, {best}"

    return measure


def microseconds(key: Key) -> Measure:
    """The time of a whole call."""
    return lambda bench: (bench.medians([("native", key)])["native", key] * 1e6, "public API")


def first_call(bench: Bench) -> Measured:
    """Import and first call with a warm cache, in fresh processes, in seconds."""
    code = (
        "import time; t = time.perf_counter(); import numpy as np; "
        "from bce_conformance.backends import native; x = np.ones(32, np.float32); "
        "native.value_and_grad(x, x); print(time.perf_counter() - t)"
    )
    taken = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(bench.rounds)
    ]
    return statistics.median(taken), "numpy's import included"


def largest_temporary(bench: Bench) -> Measured:
    """The most memory in MiB that a call allocates beside its results, over layouts and formats."""
    import tracemalloc

    from bce_conformance.backends.native import value_and_grad

    worst, where = 0.0, ""
    for dtype in FORMATS:
        x, y = (a.reshape(4000, COLUMNS) for a in arrays(dtype, 4_000_000, "soft"))
        cases: dict[str, tuple[Any, ...]] = {
            "plain": (x, y),
            "weighted": (x, y, x[:, :1], y[0]),
            "transposed": (x.T, y.T),
            "targets of another format": (x, y > 0),
        }
        for name, operands in cases.items():
            out = {"logits": np.empty_like(operands[0])}
            value_and_grad(*operands, out=out)
            tracemalloc.start()
            value_and_grad(*operands, out=out)
            peak = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
            worst, where = max((worst, where), (peak, f"{dtype}, {name}"))
    return worst, where


def worst_error(dtype: str, regimes: tuple[str, ...]) -> Measure:
    """The largest error in ULP of loss and gradient, judged by ground truth."""

    def measure(bench: Bench) -> Measured:
        from bce_conformance.backends.native import value_and_grad
        from bce_conformance.reference import ground_truth, ulp_error

        worst, judged = 0.0, 0
        for regime in regimes:
            x, y = arrays(dtype, POINTS, regime)
            if dtype in HALVES:
                bits = np.arange(1 << 16, dtype=np.uint16).view(x.dtype)
                with np.errstate(invalid="ignore"):
                    x = np.tile(bits[np.isfinite(bits)], 2)
                y = np.repeat([0, 1], x.size // 2).astype(x.dtype)
            loss, gradients = value_and_grad(x, y, reduction="none")
            for quantity, got in (("loss", loss), ("grad_logits", gradients["logits"])):
                truth = ground_truth(x, y, quantity=quantity, reduction="none", dtype=dtype)
                worst = max(worst, float(np.abs(ulp_error(got, truth)).max()))
                judged += got.size
        return worst, f"{judged} results judged"

    return measure


# The goals.


@dataclass(frozen=True)
class Goal:
    """What is to be reached.

    Attributes:
        name: what is measured.
        bound: what the figure is compared with.
        at_most: whether the figure is to be at most the bound, else at least.
        measure: finds the figure, with a note on what it is made of.
    """

    name: str
    bound: float
    at_most: bool
    measure: Measure

    def row(self, bench: Bench) -> str:
        """Measure, and return one line of the table."""
        figure, note = self.measure(bench)
        met = figure <= self.bound if self.at_most else figure >= self.bound
        sign, verdict = "≤" if self.at_most else "≥", "met" if met else "MISSED"
        return f"| {self.name} | {sign} {self.bound:g} | {figure:.4g} | {verdict} | {note} |"


FORMATS = ("float16", "bfloat16", "float32", "float64")
HALVES = FORMATS[:2]
POINTS = 5000
PASSES = ("forward", "gradient")


def _goals() -> Iterable[Goal]:
    for dtype in HALVES:
        # 0.5 is what correct rounding leaves, at ties at most.
        measure = worst_error(dtype, ("hard",))
        yield Goal(f"{dtype}, every logit, hard targets, ULP", 0.5, True, measure)
    usual = ("moderate", "saturated", "subnormal", "soft")
    yield Goal("float32, ULP", 0.55, True, worst_error("float32", usual))
    yield Goal("float32, σ(x) ≈ y, ULP", 1, True, worst_error("float32", ("sigmoid",)))
    yield Goal("float64, ULP", 1, True, worst_error("float64", (*usual, "sigmoid")))
    for what, limit, faster in (("gradient", 1.3, 5.0), ("forward", 2.0, 3.0)):
        key: Key = (what, "float32", BIG, "moderate")
        name = f"{what}, float32, 1.6e7"
        yield Goal(f"{name}, × limit", limit, True, quotient(key, (f"limit {what}", *key[1:])))
        yield Goal(f"{name}, × faster", faster, False, speedup(key))
    for dtype, faster in (("float32", 3.0), ("float64", 2.5), ("float16", 5.0), ("bfloat16", 5.0)):
        for what in PASSES:
            measure = speedup((what, dtype, MIDDLE, "moderate"))
            yield Goal(f"{what}, {dtype}, 1e6, × faster", faster, False, measure)
    for what in PASSES:
        base: Key = (what, "float32", MIDDLE, "moderate")
        measure = quotient((*base[:3], "weighted"), base)
        yield Goal(f"{what}, weight and pos_weight × plain", 1.3, True, measure)
        for dtype in FORMATS:
            plain: Key = (what, dtype, MIDDLE, "moderate")
            for regime in ("saturated", "subnormal", "special", "soft"):
                measure = quotient((*plain[:3], regime), plain)
                yield Goal(f"{what}, {dtype}, {regime} × moderate", 1.2, True, measure)
        measure = quotient((f"{what}, one thread", *base[1:]), base)
        yield Goal(f"{what}, two threads × one", 1.7, False, measure)
        measure = microseconds((what, "float32", SMALL, "moderate"))
        yield Goal(f"{what}, 32 elements, µs", 5, True, measure)
    yield Goal("largest temporary, MiB", 1, True, largest_temporary)
    yield Goal("import and first call, s", 1.5, True, first_call)


GOALS = tuple(_goals())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS))
    options = parser.parse_args()
    bench = Bench([name for name in options.frameworks.split(",") if name], options.rounds)
    print("| goal | bound | figure | verdict | |\n|---|---|---|---|---|")
    try:
        for goal in GOALS:
            print(goal.row(bench), flush=True)
    finally:
        bench.close()


if __name__ == "__main__":
    main()

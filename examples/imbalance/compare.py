"""Trains an imbalanced multi-label classifier with the loss of each framework, in three formats.

    python compare.py [--steps 1000] [--examples 1797] [--plot training.svg]

The data are scikit-learn's handwritten digits. Of each digit 14 labels are to be told: which of the
ten it is, and whether it is even, prime, a multiple of three, or written with a closed loop. A
positive weight makes up for the imbalance. Each fourth digit is kept for testing.

Only the gradient in the logits comes from a framework, in its format. All else is NumPy in float32,
alike for all: a network with one hidden layer whose last layer starts at zero, trained by Adam on
all examples at once. The losses that are printed are evaluated in float64 by the native
implementation.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import losses
import numpy as np

from bce_conformance.native import binary_cross_entropy_with_logits as exact_loss

Array = np.ndarray
Figures = tuple[int, float, float, float, float, float]
HIDDEN, RATE, BATCH = 128, 0.01, 70_000
FIRST = (0, 1, 2, 5, 10)  # steps that are told of
FORMATS = ("float32", "bfloat16", "float16")
LOOPS, PRIMES = (0, 6, 8, 9), (2, 3, 5, 7)


@dataclass(frozen=True)
class Point:
    """The state of a classifier: exact mean losses, and what the gradient was there."""

    framework: str
    dtype: str
    step: int
    positives: float  # mean loss of the positives, without their weight
    negatives: float  # mean loss of the negatives
    f1: float  # micro-averaged
    without: float  # share of the positives whose gradient is 0
    unseen: float  # F1 of the digits kept for testing


def task(examples: int) -> tuple[Array, Array]:
    """Return pixels [n, 64] and labels [n, 14] of the digits, float32."""
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    pixels, digits = pixels[:examples] / 16, digits[:examples]
    labels = [digits == digit for digit in range(10)]
    labels += [digits % 2 == 0, np.isin(digits, PRIMES), digits % 3 == 0, np.isin(digits, LOOPS)]
    return pixels.astype(np.float32), np.column_stack(labels).astype(np.float32)


class Network:
    """One hidden layer, trained by Adam; the last layer starts at zero, hence all logits do."""

    def __init__(self, inputs: int, outputs: int) -> None:
        random = np.random.default_rng(7)
        first = random.normal(size=(inputs + 1, HIDDEN)) / np.sqrt(inputs)
        self.weights = [first.astype(np.float32), np.zeros((HIDDEN + 1, outputs), np.float32)]
        self._mean = [np.zeros_like(weight) for weight in self.weights]
        self._square = [np.zeros_like(weight) for weight in self.weights]
        self._steps = 0

    def logits(self, inputs: Array) -> Array:
        """Evaluate, and keep what `learn` needs."""
        self._inputs = np.column_stack([inputs, np.ones_like(inputs[:, 0])])
        hidden = np.maximum(self._inputs @ self.weights[0], 0)
        self._hidden = np.column_stack([hidden, np.ones_like(hidden[:, 0])])
        return self._hidden @ self.weights[1]

    def learn(self, gradient: Array) -> None:
        """Take one step, from the gradient in the logits."""
        last = self._hidden.T @ gradient
        inner = (gradient @ self.weights[1].T)[:, :-1] * (self._hidden[:, :-1] > 0)
        self._steps += 1
        for i, slope in enumerate((self._inputs.T @ inner, last)):
            self._mean[i] = 0.9 * self._mean[i] + 0.1 * slope
            self._square[i] = 0.999 * self._square[i] + 0.001 * slope**2
            mean = self._mean[i] / (1 - 0.9**self._steps)
            square = self._square[i] / (1 - 0.999**self._steps)
            self.weights[i] = self.weights[i] - np.float32(RATE) * mean / (np.sqrt(square) + 1e-8)


def f1(logits: Array, labels: Array) -> float:
    """Return the micro-averaged F1 of the labels that the logits tell."""
    said, right = logits > 0, (logits > 0) & (labels > 0)
    return float(2 * right.sum() / max(said.sum() + labels.sum(), 1))


def train(gradient_of: losses.Gradient, dtype: str, steps: int, examples: int) -> Iterator[Figures]:
    """Train, and yield the step and the figures of a `Point` that follow it."""
    pixels, labels = task(examples)
    kept = np.arange(len(pixels)) % 4 == 3
    seen, unseen, wanted = pixels[~kept], pixels[kept], labels[~kept]
    positive = ((wanted == 0).sum(0) / wanted.sum(0)).astype(np.float32)
    network = Network(pixels.shape[1], labels.shape[1])
    for step in range(steps + 1):
        tested = f1(network.logits(unseen), labels[kept])
        logits = network.logits(seen)
        gradient = gradient_of(logits, wanted, positive, dtype, "sum")
        if step in FIRST or step % 10 == 0:
            exact = exact_loss(logits.astype("float64"), wanted.astype("float64"), reduction="none")
            is_positive = wanted > 0
            means = float(exact[is_positive].mean()), float(exact[~is_positive].mean())
            without = float(np.mean(gradient[is_positive] == 0))
            yield step, *means, f1(logits, wanted), without, tested
        network.learn(gradient / wanted.size)


def measure(framework: str, steps: int, examples: int) -> tuple[list[Point], float | None]:
    """Train with one framework in each format that its loss has.

    Returns:
        Its points, and the share of elements that have a gradient under the mean of a large batch
        of float16, all logits 0; None without float16.
    """
    gradient_of = losses.FRAMEWORKS[framework]()
    # On a CPU paddle's loss has no 16 bits.
    formats = FORMATS[: 1 if framework == "paddle" else None]
    points = [
        Point(framework, dtype, *figures)
        for dtype in formats
        for figures in train(gradient_of, dtype, steps, examples)
    ]
    if "float16" not in formats:
        return points, None
    zeros = np.zeros((BATCH, 1), np.float32)
    mean = gradient_of(zeros, zeros, np.ones(1, np.float32), "float16", "mean")
    return points, float(np.mean(mean != 0))


def plot(points: list[Point], path: Path) -> None:
    """Save the loss of the positives over the steps, a panel for each format."""
    import altair

    rows = [
        {
            "step": p.step,
            "loss of the positives": p.positives,
            "loss by": p.framework,
            "in": p.dtype,
        }
        for p in points
    ]
    chart = altair.Chart(altair.Data(values=rows), width=240, height=220).mark_line()
    order = altair.Scale(domain=list(losses.FRAMEWORKS))
    chart = chart.encode(
        x="step:Q",
        y=altair.Y("loss of the positives:Q", scale=altair.Scale(type="log")),
        color=altair.Color("loss by:N", scale=order),
        strokeDash=altair.StrokeDash("loss by:N", scale=order),
    )
    column = altair.Column("in:N", sort=list(FORMATS), title=None)
    chart.facet(column=column).save(str(path))


def show(points: list[Point], steps: int, means: dict[str, float | None]) -> None:
    """Print where each run ended, the first steps, and the gradients of a large mean."""
    print(f"after {steps} steps: exact mean losses, share of positives without a gradient, F1")
    print("format    loss by    positives negatives  without  F1 seen  unseen")
    last = [point for point in points if point.step == steps]
    for p in sorted(last, key=lambda point: FORMATS.index(point.dtype)):
        print(
            f"{p.dtype:9} {p.framework:10} {p.positives:9.2e} {p.negatives:9.2e} {p.without:8.1%}"
            f" {p.f1:8.4f} {p.unseen:7.4f}"
        )
    print("loss of the positives after the first steps, float32")
    print("loss by   ", *(f"{step:9}" for step in FIRST))
    for name in means:
        first = [p for p in points if (p.framework, p.dtype) == (name, "float32")][: len(FIRST)]
        print(f"{name:10}", *(f"{p.positives:9.4f}" for p in first))
    print(f"share of {BATCH:,} elements with a gradient under their mean, float16")
    for name, share in means.items():
        print(f"{name:10} {'no float16' if share is None else f'{share:9.0%}'}")


def main() -> None:
    """Train with every loss that is installed, print figures and save a plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=1000, help="a multiple of 10")
    parser.add_argument("--examples", type=int, default=1797)
    parser.add_argument("--plot", type=Path, default=Path("training.svg"))
    options = parser.parse_args()
    points: list[Point] = []
    means: dict[str, float | None] = {}
    for framework in losses.FRAMEWORKS:
        if framework != "native" and importlib.util.find_spec(framework) is None:
            print(f"{framework} is not installed")
            continue
        # Frameworks do not get on in one process.
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            done = alone.submit(measure, framework, options.steps, options.examples)
            found, means[framework] = done.result()
            points += found
    show(points, options.steps, means)
    plot(points, options.plot)
    print(f"plot: {options.plot}")


if __name__ == "__main__":
    main()

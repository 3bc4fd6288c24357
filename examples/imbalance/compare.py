"""Trains an imbalanced multi-label classifier with the loss of each framework, in three formats.

    python compare.py [--steps 300] [--examples 1797] [--plot training.svg]

The data are scikit-learn's handwritten digits, each also shifted by a pixel to four sides. Of each
digit 14 labels are to be told: which of the ten it is, and whether it is even, prime, a multiple of
three, or written with a closed loop. A positive weight makes up for the imbalance.

Only the gradient in the logits comes from a framework, in its format. All else is NumPy in float32,
alike for all: a linear classifier on fixed random features, which starts at zero, trained by
gradient descent with momentum on all examples at once. The losses that are printed are evaluated in
float64 by the native implementation.
"""

from __future__ import annotations

import argparse
import importlib.util
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import losses
import numpy as np

from bce_conformance.native import binary_cross_entropy_with_logits as exact_loss

Array = np.ndarray
FEATURES, RATE, MOMENTUM = 512, 0.5, 0.9
FORMATS = ("float32", "bfloat16", "float16")
LOOPS, PRIMES = (0, 6, 8, 9), (2, 3, 5, 7)


@dataclass(frozen=True)
class Point:
    """The state of a classifier: exact mean losses, and what the gradient was there."""

    framework: str
    dtype: str
    reduction: str
    step: int
    positives: float  # mean loss of the positives, without their weight
    negatives: float  # mean loss of the negatives
    f1: float  # micro-averaged
    without: float  # share of the positives whose gradient is 0


def task(examples: int) -> tuple[Array, Array]:
    """Return features [n, FEATURES] and labels [n, 14], float32, of the digits and their shifts."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    images = images[:examples].reshape(-1, 8, 8) / 16
    shifts = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    pixels = np.concatenate([np.roll(images, by, (1, 2)) for by in shifts]).reshape(-1, 64)
    digits = np.tile(digits[:examples], len(shifts))
    random = np.random.default_rng(7)
    hidden = np.maximum(
        pixels @ random.normal(size=(64, FEATURES)) + random.normal(size=FEATURES), 0
    )
    hidden = (hidden - hidden.mean(0)) / (hidden.std(0) + 1e-6) / np.sqrt(FEATURES)
    labels = [digits == digit for digit in range(10)]
    labels += [digits % 2 == 0, np.isin(digits, PRIMES), digits % 3 == 0, np.isin(digits, LOOPS)]
    features = np.column_stack([hidden, np.ones(len(hidden))])
    return features.astype(np.float32), np.column_stack(labels).astype(np.float32)


def judged(logits: Array, labels: Array, gradient: Array) -> tuple[float, float, float, float]:
    """Return the figures of a `Point` for logits and the gradient there."""
    loss = exact_loss(logits.astype(np.float64), labels.astype(np.float64), reduction="none")
    is_positive, said = labels > 0, logits > 0
    right = np.count_nonzero(said & is_positive)
    f1 = 2 * right / max(np.count_nonzero(said) + np.count_nonzero(is_positive), 1)
    without = np.mean(gradient[is_positive] == 0)
    return float(loss[is_positive].mean()), float(loss[~is_positive].mean()), f1, float(without)


def train(framework: str, steps: int, examples: int) -> list[Point]:
    """Train with one framework, in each format that its loss has."""
    gradient_of = losses.FRAMEWORKS[framework]()
    features, labels = task(examples)
    positive = ((labels == 0).sum(0) / labels.sum(0)).astype(np.float32)
    runs = [(dtype, "sum") for dtype in FORMATS] + [("float16", "mean")]
    if framework == "paddle":  # on a CPU its loss has no 16 bits
        runs = runs[:1]
    points = []
    for dtype, reduction in runs:
        share = 1 if reduction == "mean" else 1 / labels.size
        weights = np.zeros((features.shape[1], labels.shape[1]), np.float32)
        moving = np.zeros_like(weights)
        for step in range(steps + 1):
            logits = features @ weights
            gradient = gradient_of(logits, labels, positive, dtype, reduction)
            if step in (0, 1, 2, 5) or step % 10 == 0:
                figures = judged(logits, labels, gradient)
                points.append(Point(framework, dtype, reduction, step, *figures))
            moving = MOMENTUM * moving + features.T @ gradient * np.float32(share * labels.shape[1])
            weights = weights - RATE * FEATURES * moving / 10
    return points


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
        if p.reduction == "sum"
    ]
    chart = altair.Chart(altair.Data(values=rows), width=240, height=220).mark_line()
    chart = chart.encode(
        x="step:Q",
        y=altair.Y("loss of the positives:Q", scale=altair.Scale(type="log")),
        color=altair.Color("loss by:N", sort=list(losses.FRAMEWORKS)),
        strokeDash=altair.StrokeDash("loss by:N", sort=list(losses.FRAMEWORKS)),
    )
    chart.facet(column=altair.Column("in:N", sort=list(FORMATS))).save(str(path))


def show(points: list[Point], steps: int) -> None:
    """Print where each run ended, and the first steps of those that start badly."""
    head = f"{'reduction':9} {'format':9} {'loss by':10} {'positives':>10} {'negatives':>10}"
    print(f"after {steps} steps, exact mean losses, and the share of positives without a gradient")
    print(f"{head} {'F1':>7} {'without':>8}")
    for p in sorted(
        (p for p in points if p.step == steps), key=lambda p: p.reduction, reverse=True
    ):
        print(
            f"{p.reduction:9} {p.dtype:9} {p.framework:10} {p.positives:10.2e} {p.negatives:10.2e} "
            f"{p.f1:7.4f} {p.without:8.1%}"
        )
    print("the loss of the positives in the first steps, float32")
    for p in points:
        if p.dtype == "float32" and p.step in (0, 1, 2, 5):
            end = "\n" if p.step == 5 else " "
            print(f"{p.framework:10}" if p.step == 0 else "", f"{p.positives:8.4f}", end=end)


def main() -> None:
    """Train with every loss that is installed, print figures and save a plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--examples", type=int, default=1797)
    parser.add_argument("--plot", type=Path, default=Path("training.svg"))
    options = parser.parse_args()
    points: list[Point] = []
    for framework in losses.FRAMEWORKS:
        if framework != "native" and importlib.util.find_spec(framework) is None:
            print(f"{framework} is not installed")
            continue
        # Frameworks do not get on in one process.
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            points += alone.submit(train, framework, options.steps, options.examples).result()
    show(points, options.steps)
    plot(points, options.plot)
    print(f"plot: {options.plot}")


if __name__ == "__main__":
    main()

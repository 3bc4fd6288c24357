"""Trains one network with PyTorch's loss, with the native one in PyTorch, and with that in JAX.

    python compare.py [--epochs 20] [--examples 4096]

All three start from the same weights and see the same batches. The loss after each epoch is
evaluated in float64 by the native implementation, so that the curves are comparable.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bce_conformance.native import binary_cross_entropy_with_logits as exact_loss

FEATURES, HIDDEN, BATCH, RATE = 16, 32, 128, 0.5
Arrays = dict[str, np.ndarray]
Trained = tuple[list[float], float]


def task(examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and labels that a network can learn."""
    random = np.random.default_rng(5)
    inputs = random.normal(size=(examples, FEATURES)).astype(np.float32)
    labels = np.sin(inputs[:, 0]) + inputs[:, 1] * inputs[:, 2] > 0
    return inputs, labels[:, None].astype(np.float32)


def weights() -> Arrays:
    """The weights that all networks start from."""
    random = np.random.default_rng(6)
    shapes = {"w1": (FEATURES, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, 1), "b2": (1,)}
    return {
        name: (random.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)
        for name, shape in shapes.items()
    }


def batches(inputs: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch."""
    for start in range(0, len(inputs), BATCH):
        yield inputs[start : start + BATCH], labels[start : start + BATCH]


def loss_of(network: Arrays, inputs: np.ndarray, labels: np.ndarray) -> float:
    """The loss of all examples."""
    hidden = np.tanh(inputs @ network["w1"] + network["b1"])
    logits = hidden @ network["w2"] + network["b2"]
    return float(exact_loss(logits.astype(np.float64), labels))


def train_torch(loss: Callable[..., Any], epochs: int, examples: int) -> Trained:
    """Train in PyTorch; the loss after each epoch, and the seconds that the steps took."""
    import torch

    inputs, labels = task(examples)
    network = {name: torch.from_numpy(w).requires_grad_() for name, w in weights().items()}
    optimizer = torch.optim.SGD(network.values(), lr=RATE)
    curve, seconds = [], 0.0
    for _ in range(epochs):
        begin = time.perf_counter()
        for x, y in batches(inputs, labels):
            optimizer.zero_grad()
            hidden = torch.tanh(torch.from_numpy(x) @ network["w1"] + network["b1"])
            loss(hidden @ network["w2"] + network["b2"], torch.from_numpy(y)).backward()
            optimizer.step()
        seconds += time.perf_counter() - begin
        now = {name: w.detach().numpy() for name, w in network.items()}
        curve.append(loss_of(now, inputs, labels))
    return curve, seconds


def train_jax(loss: Callable[..., Any], epochs: int, examples: int) -> Trained:
    """Train in JAX, likewise."""
    import jax
    import jax.numpy as jnp

    def of_network(network: Any, x: Any, y: Any) -> Any:
        hidden = jnp.tanh(x @ network["w1"] + network["b1"])
        return loss(hidden @ network["w2"] + network["b2"], y)

    @jax.jit
    def step(network: Any, x: Any, y: Any) -> Any:
        slope = jax.grad(of_network)(network, x, y)
        return jax.tree.map(lambda w, g: w - RATE * g, network, slope)

    inputs, labels = task(examples)
    network = jax.tree.map(jnp.asarray, weights())
    for x, y in batches(inputs, labels):  # each shape is compiled once, outside the time
        step(network, x, y)
    curve, seconds = [], 0.0
    for _ in range(epochs):
        begin = time.perf_counter()
        for x, y in batches(inputs, labels):
            network = step(network, x, y)
        jax.block_until_ready(network)
        seconds += time.perf_counter() - begin
        curve.append(loss_of(jax.tree.map(np.asarray, network), inputs, labels))
    return curve, seconds


def compare(epochs: int, examples: int) -> dict[str, Trained]:
    """Curves and seconds by name."""
    from torch.nn import functional

    from bce_conformance.native import jax, torch

    native = torch.binary_cross_entropy_with_logits
    train_torch(native, 1, BATCH)  # the first call loads the kernels
    return {
        "torch": train_torch(functional.binary_cross_entropy_with_logits, epochs, examples),
        "native:torch": train_torch(native, epochs, examples),
        "native:jax": train_jax(jax.binary_cross_entropy_with_logits, epochs, examples),
    }


def main() -> None:
    """Print the curves side by side, and the wall times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--examples", type=int, default=4096)
    options = parser.parse_args()
    trained = compare(options.epochs, options.examples)
    print("loss of all examples after each epoch")
    print("epoch", *(f"{name:>16}" for name in trained))
    for epoch, losses in enumerate(zip(*(curve for curve, _ in trained.values()), strict=True), 1):
        print(f"{epoch:5}", *(f"{loss:16.7f}" for loss in losses))
    print("wall time, seconds")
    print("     ", *(f"{seconds:16.4f}" for _, seconds in trained.values()))


if __name__ == "__main__":
    main()

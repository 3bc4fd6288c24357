"""Measures the native implementation against its goals and prints goal, figure and verdict.

``python asv_benchmarks/native_goals.py [--rounds N] [--frameworks torch,jax,tensorflow]``

Every implementation runs in a process of its own; their measurements are interleaved, round by
round, and every ratio is one of medians over the rounds of this run. "Limit" is what plain passes
over the same arrays take: the sum of x·y for forward, g = x·y for forward and gradient.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Thunk = Callable[[], Any]
Key = tuple[str, str, int, str]  # pass, dtype, size, regime

BIG, MIDDLE, SMALL = 16_000_000, 1_000_000, 32
COLUMNS = 1000
FRAMEWORKS = ("torch", "torch:compile", "jax", "tensorflow:xla")


def arrays(dtype: str, size: int, regime: str) -> tuple[Any, Any]:
    """Logits and targets in ``dtype`` (bfloat16 by ml_dtypes)."""
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    random = np.random.default_rng(0)
    x = random.standard_normal(size, np.float32) * 4
    y = (random.random(size, np.float32) < 0.5).astype(np.float32)
    if regime == "saturated":
        x = np.copysign(x * 10 + 100, x)
    elif regime == "subnormal":
        x = np.where(y > 0, 1, -1) * (88 + 15 * random.random(size, np.float32))
    elif regime == "special":
        x[::7], x[::11], x[::13] = np.inf, -np.inf, np.nan
    elif regime == "soft":
        y = random.random(size, np.float32)
    return x.astype(kind), y.astype(kind)


# What each process measures.


def native_thunk(key: Key) -> Thunk:
    """The native implementation, and the limits in the same process."""
    from bce_conformance.backends.native import binary_cross_entropy_with_logits, value_and_grad
    from bce_conformance.backends.native.threads import set_num_threads, share

    what, dtype, size, regime = key
    x, y = arrays(dtype, size, regime)
    if what == "limit forward" or what == "limit gradient":
        from numba import njit

        options = {"nogil": True, "error_model": "numpy", "fastmath": True}
        g, block = np.empty_like(x), 1 << 16
        sums = np.zeros(-(-size // block))

        @njit(**options)
        def total(a: Any, b: Any) -> Any:
            s = np.float32(0)
            for i in range(a.size):
                s += a[i] * b[i]
            return s

        @njit(**options)
        def products(a: Any, b: Any, out: Any) -> None:
            for i in range(a.size):
                out[i] = a[i] * b[i]

        def work(first: int, last: int) -> None:
            part = slice(first * block, last * block)
            if what == "limit forward":
                sums[first] = total(x[part], y[part])
            else:
                products(x[part], y[part], g[part])

        return lambda: share(work, len(sums))
    scales: tuple[Any, ...] = ()
    if regime == "weighted":
        shape = (size // COLUMNS, COLUMNS)
        x, y = x.reshape(shape), y.reshape(shape)
        random = np.random.default_rng(1)
        scales = (
            random.uniform(0.5, 2, (shape[0], 1)).astype(x.dtype),
            random.uniform(0.5, 3, COLUMNS).astype(x.dtype),
        )
    if what == "forward, one thread" or what == "gradient, one thread":
        inner = native_thunk((what.split(",")[0], dtype, size, regime))

        def alone() -> None:
            set_num_threads(1)
            inner()
            set_num_threads(None)

        return alone
    if what == "forward":
        return lambda: binary_cross_entropy_with_logits(x, y, *scales)
    if size <= SMALL:
        return lambda: value_and_grad(x, y, *scales)
    # As a training loop does, the gradient goes where the last one was.
    out = {"logits": np.empty_like(x)}
    return lambda: value_and_grad(x, y, *scales, out=out)


def torch_thunk(key: Key, compiled: bool) -> Thunk:
    """PyTorch, eager or compiled."""
    import torch

    what, dtype, size, regime = key
    x, y = (
        torch.from_numpy(a.astype(np.float32)).to(getattr(torch, dtype))
        for a in arrays(dtype, size, regime)
    )
    function: Any = torch.nn.functional.binary_cross_entropy_with_logits
    if compiled:
        plain = function
        function = torch.compile(lambda a, b: plain(a, b), dynamic=False)
    if what == "forward":

        def forward() -> None:
            with torch.no_grad():
                function(x, y)

        return forward
    x.requires_grad_(True)

    def backward() -> None:
        x.grad = None
        function(x, y).backward()

    return backward


def jax_thunk(key: Key) -> Thunk:
    """Optax under jax.jit."""
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", True)
    what, dtype, size, regime = key
    x, y = (jnp.asarray(a) for a in arrays(dtype, size, regime))

    def loss(a: Any, b: Any) -> Any:
        return optax.sigmoid_binary_cross_entropy(a, b).mean()

    function = jax.jit(loss if what == "forward" else jax.value_and_grad(loss))
    return lambda: jax.block_until_ready(function(x, y))


def tensorflow_thunk(key: Key) -> Thunk:
    """TensorFlow under XLA."""
    import tensorflow as tf

    what, dtype, size, regime = key
    x, y = (tf.cast(tf.constant(a.astype(np.float64)), dtype) for a in arrays(dtype, size, regime))

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator, unused-ignore]
    def forward(a: Any, b: Any) -> Any:
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=b, logits=a))

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator, unused-ignore]
    def gradient(a: Any, b: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(a)
            value = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=b, logits=a))
        return value, tape.gradient(value, a)

    function = forward if what == "forward" else gradient
    return lambda: function(x, y)


def thunk_of(name: str, key: Key) -> Thunk:
    """What process ``name`` times for ``key``."""
    if name == "native":
        return native_thunk(key)
    if name.startswith("torch"):
        return torch_thunk(key, name.endswith(":compile"))
    return jax_thunk(key) if name == "jax" else tensorflow_thunk(key)


def serve(name: str) -> None:
    """Answer measurement requests, one JSON line each, until the input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    ready: dict[Key, Thunk] = {}
    for line in sys.stdin:
        key: Key = tuple(json.loads(line))
        try:
            if key not in ready:
                if len(ready) > 1 or key[2] >= BIG:
                    ready.clear()  # few problems in memory at a time
                ready[key] = thunk_of(name, key)
                for _ in range(3):
                    ready[key]()
            repeats = 2000 if key[2] <= SMALL else 3 if key[2] >= BIG else 10
            taken = []
            for _ in range(repeats):
                started = time.perf_counter()
                ready[key]()
                taken.append(time.perf_counter() - started)
            answer: Any = statistics.median(taken)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"[:200]
        print(json.dumps(answer), file=answers, flush=True)


# The table.


class Bench:
    """Processes, and what they measured.

    Args:
        names: the implementations.
        rounds: how many times each measurement is taken, interleaved.
    """

    def __init__(self, names: list[str], rounds: int) -> None:
        self.rounds = rounds
        self.processes = {
            name: subprocess.Popen(
                [sys.executable, __file__, "--serve", name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for name in names
        }

    def ask(self, name: str, key: Key) -> Any:
        """One measurement, in seconds, or why there is none."""
        process = self.processes[name]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(key) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        return json.loads(line) if line else f"exit code {process.wait()}"

    def medians(self, wanted: list[tuple[str, Key]]) -> dict[tuple[str, Key], float]:
        """Interleaved medians of these measurements; those that failed are left out."""
        taken: dict[tuple[str, Key], list[float]] = {}
        for _ in range(self.rounds):
            for name, key in wanted:
                answer = self.ask(name, key)
                if isinstance(answer, str):
                    print(f"  {name} {key}: {answer}", file=sys.stderr)
                    continue
                taken.setdefault((name, key), []).append(answer)
        return {which: statistics.median(times) for which, times in taken.items()}

    def close(self) -> None:
        """End the processes."""
        for process in self.processes.values():
            if process.stdin is not None:
                process.stdin.close()
            process.wait()


def row(goal: str, figure: float, bound: float, at_most: bool, note: str) -> None:
    """Print one line of the table."""
    met = figure <= bound if at_most else figure >= bound
    sign = "≤" if at_most else "≥"
    verdict = "met" if met else "MISSED"
    print(f"| {goal} | {sign} {bound:g} | {figure:.3g} | {verdict} | {note} |", flush=True)


def against_frameworks(bench: Bench, frameworks: list[str]) -> None:
    """Speed beside the fastest framework, and beside the limits."""
    cases = [
        ("gradient", "float32", BIG, 5.0, 1.3),
        ("forward", "float32", BIG, 3.0, 2.0),
        ("gradient", "float32", MIDDLE, 3.0, None),
        ("forward", "float32", MIDDLE, 3.0, None),
        ("gradient", "float64", MIDDLE, 2.5, None),
        ("forward", "float64", MIDDLE, 2.5, None),
        ("gradient", "float16", MIDDLE, 5.0, None),
        ("forward", "float16", MIDDLE, 5.0, None),
        ("gradient", "bfloat16", MIDDLE, 5.0, None),
        ("forward", "bfloat16", MIDDLE, 5.0, None),
    ]
    for what, dtype, size, times_faster, times_limit in cases:
        key = (what, dtype, size, "moderate")
        limit = (f"limit {what}", dtype, size, "moderate")
        if times_limit is not None:
            # The same process would rebuild its arrays at every change: two runs of rounds.
            own = bench.medians([("native", key)])["native", key]
            floor = bench.medians([("native", limit)])["native", limit]
            note = f"{own / size * 1e9:.2f} against {floor / size * 1e9:.2f} ns an element"
            row(f"{what}, {dtype}, {size:.1e}, × limit", own / floor, times_limit, True, note)
        found = bench.medians([("native", key), *[(name, key) for name in frameworks]])
        own = found.pop(("native", key))
        if found:
            (best, _), least = min(found.items(), key=lambda item: item[1])
            note = f"{own / size * 1e9:.2f} against {least / size * 1e9:.2f} ns, {best}"
            row(f"{what}, {dtype}, {size:.1e}, × faster", least / own, times_faster, False, note)


def against_itself(bench: Bench) -> None:
    """Regimes, weights, threads and small calls."""
    for what in ("forward", "gradient"):
        base = (what, "float32", MIDDLE, "moderate")
        bounds = {
            "weighted": 1.3,
            "saturated": 1.2,
            "subnormal": 1.2,
            "special": 1.2,
            "soft": 1.2,
        }
        for regime, bound in bounds.items():
            key = (what, "float32", MIDDLE, regime)
            found = bench.medians([("native", base), ("native", key)])
            ratio = found["native", key] / found["native", base]
            row(f"{what}, {regime} × moderate", ratio, bound, True, "float32, 10⁶")
        one = (f"{what}, one thread", "float32", MIDDLE, "moderate")
        found = bench.medians([("native", base), ("native", one)])
        ratio = found["native", one] / found["native", base]
        row(f"{what}, two threads × one", ratio, 1.7, False, "float32, 10⁶")
        small = (what, "float32", SMALL, "moderate")
        taken = bench.medians([("native", small)])["native", small] * 1e6
        row(f"{what}, 32 elements, µs", taken, 5.0, True, "public API")


def start(rounds: int) -> None:
    """Import and first call with a warm cache, in fresh processes."""
    code = (
        "import time; t = time.perf_counter(); import numpy as np; "
        "from bce_conformance.backends import native; x = np.ones(32, np.float32); "
        "native.value_and_grad(x, x); print(time.perf_counter() - t)"
    )
    taken = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(rounds)
    ]
    row("import and first call, s", statistics.median(taken), 1.5, True, "numpy's import included")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS))
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    frameworks = [name for name in options.frameworks.split(",") if name]
    bench = Bench(["native", *frameworks], options.rounds)
    print("| goal | bound | figure | verdict | |\n|---|---|---|---|---|")
    try:
        start(options.rounds)
        against_itself(bench)
        against_frameworks(bench, frameworks)
    finally:
        bench.close()


if __name__ == "__main__":
    main()

"""Times the native implementation and frameworks, each in a process of its own.

``Bench`` starts the processes and interleaves their measurements; run as a script, this module is
one of those processes.
"""

from __future__ import annotations

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


# Beyond the first, every result of a format saturates; from the second to the third, those that
# vanish are subnormal or nearly so.
REACH = {
    "float16": (30, 9, 17),
    "bfloat16": (100, 87, 92),
    "float32": (100, 87, 103),
    "float64": (1000, 708, 744),
}


def arrays(dtype: str, size: int, regime: str) -> tuple[Any, Any]:
    """Logits and targets in ``dtype`` (bfloat16 by ml_dtypes)."""
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    random = np.random.default_rng(0)
    x = random.standard_normal(size, np.float32) * 4
    y = (random.random(size, np.float32) < 0.5).astype(np.float32)
    beyond, low, high = REACH[dtype]
    if regime == "saturated":
        x = np.copysign(x * 10 + beyond, x)
    elif regime == "subnormal":
        x = np.where(y > 0, 1, -1) * random.uniform(low, high, size)
    elif regime == "special":
        x[::7], x[::11], x[::13] = np.inf, -np.inf, np.nan
    elif regime == "soft":
        y = random.random(size, np.float32)
    elif regime == "sigmoid":
        x = x.astype(kind)
        y = 1 / (1 + np.exp(-x.astype(np.float64)))
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
                if len(ready) > 1:
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


class Bench:
    """Processes, and what they measured.

    Args:
        frameworks: the backends to compare with.
        rounds: how many times each measurement is taken, interleaved.
    """

    def __init__(self, frameworks: list[str], rounds: int) -> None:
        self.rounds = rounds
        self.frameworks = frameworks
        self.processes = {
            name: subprocess.Popen(
                [sys.executable, __file__, name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for name in ("native", *frameworks)
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


if __name__ == "__main__":
    serve(sys.argv[1])

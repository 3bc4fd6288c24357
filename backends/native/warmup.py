"""Compiles every kernel for the processor ahead of use, into the cache on disk.

Guarantees that all processors compile where the code can be kept. Numba compiles in one thread at a
time, so that it takes processes: each goes through all steps from another one on, and finds
compiled what the others were at first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product

import numpy as np
from numba import config

from .api import (
    binary_cross_entropy_with_logits,
    hessian_vector_product,
    jacobian_vector_product,
    value_and_grad,
)
from .arguments import FORMATS, OPERANDS
from .compiled import marker

Progress = Callable[[int, int, str], None]

CASES = ("plain", "weighted", "strided", "every gradient")
MOST = len(FORMATS)
"""Processes that compile at a time: with more of them, one would wait for another."""


def compile_all(progress: Progress | None = None) -> None:
    """Compile all kernels for all formats, in as many processes as there are processors.

    Args:
        progress: called before each step with the number of steps done, the number of all steps
            and what comes next, and once at the end.
    """
    steps = list(product(FORMATS, CASES))
    with _helpers():
        for done, (dtype, case) in enumerate(steps):
            if progress is not None:
                progress(done, len(steps), f"{dtype.name}, {case}")
            _compile(dtype, case)
    if progress is not None:
        progress(len(steps), len(steps), "done")


def help_from(format_: int) -> None:
    """Compile all kernels for all formats, those of ``FORMATS[format_]`` first."""
    for dtype, case in product((*FORMATS[format_:], *FORMATS[:format_]), CASES):
        _compile(dtype, case)


def compile_for_device() -> None:
    """Compile the kernels for the CUDA device that Numba works on, for all formats."""
    from .device.memory import to_device

    for dtype in FORMATS:
        logits, targets = (to_device(np.full(1, value, dtype)) for value in (0.5, 1.0))
        value_and_grad(logits, targets)  # the pass of training
        value_and_grad(logits, targets, targets)  # a sum, and an element


@contextmanager
def _helpers() -> Iterator[None]:
    """Have other processes compile too, unless all is compiled; they end with this one."""
    done = marker()
    if done is None or done.exists():
        yield
        return
    processes = min(config.NUMBA_NUM_THREADS, MOST)
    helpers = [_helper(number * MOST // processes) for number in range(1, processes)]
    try:
        yield
    finally:
        for helper in filter(None, helpers):
            helper.kill()
            helper.wait()
    with suppress(OSError):  # a full disk
        done.touch()


def _helper(format_: int) -> subprocess.Popen[bytes] | None:
    """A process that compiles from a format on; None where none can be started."""
    program = f"from bce_conformance.native.warmup import help_from; help_from({format_})"
    quiet = subprocess.DEVNULL
    paths = os.pathsep.join(filter(None, sys.path))
    try:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            env=os.environ | {"PYTHONPATH": paths},
        )
    except OSError:
        return None


def _compile(dtype: np.dtype[np.generic], case: str) -> None:
    """Compile what one case takes in one format."""
    from .small.addresses import SMALL

    x = np.array([[1.0, -2.0], [0.0, 800.0 if dtype == np.float64 else 3.0]]).astype(dtype)
    y = np.array([[1.0, 0.0], [0.5, 1.0]]).astype(dtype)
    if case == "plain":
        for reduction in ("mean", "none"):
            binary_cross_entropy_with_logits(x, y, reduction=reduction)
            value_and_grad(x, y, reduction=reduction)
        results = np.empty_like(x), np.empty(1, dtype)
        at = [array.ctypes.data for array in (x, y, *results)]
        SMALL[dtype.name](*at[:3], x.size, 1.0, at[3])
    elif case == "weighted":
        binary_cross_entropy_with_logits(x, y, x, y)
        value_and_grad(x, y, x, y)
    elif case == "strided":
        binary_cross_entropy_with_logits(x.T, y.T)
        value_and_grad(x.T, y.T)
    else:
        value_and_grad(x, y, x[:1], y[:1], "none", wrt=OPERANDS)
        hessian_vector_product(x, y, x)
        same, opposite = np.full_like(x, 1), np.array([[1, -1], [2, -2]]).astype(dtype)
        jacobian_vector_product(same, same, opposite, reduction="sum")

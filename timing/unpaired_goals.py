"""Goals of the native implementation that no timing in turns can measure: errors, memory, start.

Guarantees that each figure is the worst of what was looked at; one that could not be had is absent.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np

from bce_conformance.backends import BackendProcess, LossResult
from bce_conformance.conformance.inputs.inputs import Inputs, every_finite_pattern
from bce_conformance.conformance.inputs.sampler import Sampler
from bce_conformance.reference import format_of, ulp_error

START = "import and first call: s"
TEMPORARY = "largest temporary of a call: MiB"

Build = Callable[[Sampler], Inputs]

_POINTS = 12_000
_STARTS = 5
_FIRST_CALL = """
import time
start = time.perf_counter()
import numpy as np
from bce_conformance.native import value_and_grad
x = np.ones(32, np.float32)
value_and_grad(x, x)
print(time.perf_counter() - start)
"""
# NumPy reports its allocations, and the kernels allocate through NumPy.
_TEMPORARIES = """
import json, tracemalloc
import numpy as np
from bce_conformance.native import value_and_grad
from bce_conformance.backends.measuring.workload import Workload
found = []
for dtype in ("float16", "bfloat16", "float32", "float64"):
    call = Workload(4_000_000, dtype, "gradient", broadcasting="both").call()
    x, y = call.logits, call.targets
    weights = (call.weight, call.pos_weight)
    for operands in ((x, y), (x, y, *weights), (x.T, y.T), (x, y > 0)):
        out = {"logits": np.empty_like(operands[0])}
        value_and_grad(*operands, out=out)
        tracemalloc.start()
        value_and_grad(*operands, out=out)
        found.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
print(max(found))
"""


def every_pattern(s: Sampler) -> Inputs:
    """Every finite number of a 16-bit format with both hard targets."""
    patterns = np.tile(every_finite_pattern(s.format), 2)
    targets = s.cast(np.repeat([0.0, 1.0], patterns.size // 2))
    return s.inputs("every logit", patterns, targets)


def any_inputs(s: Sampler) -> Inputs:
    """Every magnitude of logit, every kind of target, weights of every size."""
    weights = {"weight": s.positive(), "pos_weight": s.positive()}
    logits = s.signed(s.every_magnitude())
    return s.inputs("all kinds", logits, s.any_target(), **weights)


def balanced(s: Sampler) -> Inputs:
    """Targets near σ(x), where the gradient in the logits nearly vanishes."""
    logits = s.signed(s.cast(s.log_uniform(2**-12, 16)))
    return s.inputs("σ(x) ≈ y", logits, s.balanced(logits))


ERRORS: dict[str, tuple[str, tuple[Build, ...]]] = {
    "float16, every finite logit, hard targets: ULP": ("float16", (every_pattern,)),
    "bfloat16, every finite logit, hard targets: ULP": ("bfloat16", (every_pattern,)),
    "float32, all kinds of inputs and weights: ULP": ("float32", (any_inputs,)),
    "float32, targets near σ(x): ULP": ("float32", (balanced,)),
    "float64, both: ULP": ("float64", (any_inputs, balanced)),
}
"""Goal → format, and the inputs whose loss and gradient in the logits are judged."""


def measure(process: BackendProcess) -> Iterator[tuple[str, float]]:
    """Yield each goal that could be measured, with its figure.

    Args:
        process: the native implementation.
    """
    for goal, (dtype, builds) in ERRORS.items():
        errors = [_largest_error(process, dtype, build) for build in builds]
        found = [error for error in errors if error is not None]
        if len(found) == len(errors):
            yield goal, max(found)
    for goal, script, times in ((TEMPORARY, _TEMPORARIES, 1), (START, _FIRST_CALL, _STARTS)):
        figures = [figure for _ in range(times) if (figure := _printed(script)) is not None]
        if len(figures) == times:
            yield goal, statistics.median(figures)


def _largest_error(process: BackendProcess, dtype: str, build: Build) -> float | None:
    """The largest error in ULP of loss and gradient; None where there is no result."""
    inputs = build(Sampler(format_of(dtype), "goals", 0, _POINTS))
    quantities = ("loss", "grad_logits")
    result = process.evaluate(inputs.call(*quantities))
    if not isinstance(result, LossResult):
        return None
    return max(
        float(ulp_error(result.values[quantity], inputs.truth(quantity)).max())
        for quantity in quantities
    )


def _printed(script: str) -> float | None:
    """The number that a script prints in a fresh interpreter; None where it fails."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    return float(json.loads(done.stdout)) if done.returncode == 0 else None

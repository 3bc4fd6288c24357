"""The native implementation computes the same bits whatever vector units a processor has."""

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from bce_conformance.backends import BackendProcess, LossResult, instruction_sets, resolve
from bce_conformance.backends.calls import DTYPES, GRADIENTS, LossCall
from bce_conformance.reference import format_of

LEVELS = instruction_sets.below(instruction_sets.level_of_machine())
SIZE = 4_000
LIMIT = 900.0  # seconds, for a machine that compiles slowly


def calls() -> Iterator[LossCall]:
    """Elements of every size, and what is added up of them, in every format."""
    random = np.random.default_rng(0)
    for dtype in DTYPES:
        format_ = format_of(dtype)
        largest = int(format_.ordinal(format_.largest_finite))
        everywhere = format_.from_ordinal(random.integers(-largest, largest + 1, SIZE // 2))
        ordinary = random.normal(0, 8, SIZE // 2).astype(format_.dtype)
        logits = np.concatenate([np.asarray(everywhere).astype(format_.dtype), ordinary])
        targets = np.where(
            random.integers(0, 2, SIZE), random.uniform(0, 1, SIZE), random.integers(0, 2, SIZE)
        ).astype(format_.dtype)
        weights = random.uniform(0.25, 4, (2, SIZE)).astype(format_.dtype)
        both = ("loss", "grad_logits")
        yield LossCall(logits, targets, reduction="none", quantities=both)
        few = np.clip(logits.astype(np.float64), -8, 8).astype(format_.dtype)
        yield LossCall(few, targets, reduction="mean", quantities=both)
        yield LossCall(ordinary, np.round(targets[-ordinary.size :]), quantities=both)
        yield LossCall(few, targets, *weights, reduction="mean", quantities=("loss", *GRADIENTS))


def results(backend: str) -> list[dict[str, bytes]]:
    with BackendProcess(resolve(backend), time_limit=LIMIT, start_limit=LIMIT) as process:
        found = []
        for call in calls():
            outcome = process.evaluate(call)
            assert isinstance(outcome, LossResult), outcome
            found.append({name: value.tobytes() for name, value in outcome.values.items()})
    return found


@pytest.fixture(scope="module")
def expected() -> list[dict[str, bytes]]:
    return results("native")


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_the_bits_are_those_of_all_that_the_processor_has(
    expected: list[dict[str, bytes]], level: str
) -> None:
    assert results(f"native@isa={level}") == expected


def test_float16_needs_no_help_from_the_processor() -> None:
    """Where it has no conversions, LLVM would call a function that is not there."""
    if "x86-64-v2" not in LEVELS:
        pytest.skip("no lower instruction set on this machine")
    script = (
        "import numpy as np\n"
        "from numba import njit\n"
        "from bce_conformance.native.arithmetic import half\n"
        "half_of_single, single_of_half = half.half_of_single, half.single_of_half\n"
        "@njit\n"
        "def there(halves, singles):\n"
        "    for i in range(halves.size):\n"
        "        singles[i] = single_of_half(halves[i])\n"
        "@njit\n"
        "def back(singles, halves):\n"
        "    for i in range(singles.size):\n"
        "        halves[i] = half_of_single(singles[i], halves[i])\n"
        "bits = np.arange(1 << 16).astype(np.uint16)\n"
        "wide = np.zeros(bits.size, np.float32)\n"
        "there(bits.view(np.int16), wide)\n"
        "assert np.array_equal(wide, bits.view(np.float16).astype(np.float32), equal_nan=True)\n"
        "singles = np.arange(0, 1 << 32, 997, np.uint64).astype(np.uint32).view(np.float32)\n"
        "halves = np.zeros(singles.size, np.int16)\n"
        "back(singles, halves)\n"
        "with np.errstate(all='ignore'):\n"
        "    right = singles.astype(np.float16)\n"
        "assert np.array_equal(halves.view(np.float16), right, equal_nan=True)\n"
        "zeros = np.signbit(halves.view(np.float16)) == np.signbit(right)\n"
        "assert zeros[~np.isnan(right)].all()\n"
    )
    environment = {**os.environ, **instruction_sets.limits("x86-64-v2")}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=300)

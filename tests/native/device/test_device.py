"""Programs of calls on a device, simulated and real: the processor's bits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import cuda

PROGRAMS = Path(__file__).parent / "programs"


def output_of(program: str, environment: dict[str, str]) -> list[str]:
    """The lines that a program prints."""
    paths = [str(PROGRAMS), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", PROGRAMS / f"{program}.py"],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return done.stdout.splitlines()


EXPECTED = {
    "arrays": 3 * (2 * 5 + 2 + 2 * 4 + 3 + 4 * 3) + 3 * 5 * 2,
    "formats": 4 * (4 * 5 + 4 + 3) + 2 * (5 + 3 + 4) + 5 + 3 * 3,
}


@pytest.mark.slow
@pytest.mark.parametrize("program", EXPECTED)
def test_the_simulated_device_gives_the_processor_s_bits(program: str) -> None:
    lines = output_of(program, {"NUMBA_ENABLE_CUDASIM": "1"})
    assert lines == [f"compared {EXPECTED[program]}"]


@pytest.mark.slow
def test_compiling_ahead_launches_each_kernel_in_each_format() -> None:
    lines = output_of("warm", {"NUMBA_ENABLE_CUDASIM": "1"})
    every = ("float32", "float64", "int16", "uint16")
    wanted = {f"{name} {kind}" for name in ("elements", "sums") for kind in every}
    assert lines == sorted(wanted | {f"training {kind}" for kind in every if kind != "float64"})


@pytest.mark.slow
@pytest.mark.parametrize("program", ["arrays", "formats", "many", "tensors"])
def test_a_gpu_gives_the_processor_s_bits(program: str) -> None:
    if not cuda.is_available():
        pytest.skip("no GPU that Numba can compile for")
    if program == "tensors":
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("PyTorch here is without CUDA")
    lines = output_of(program, {})
    assert lines[-1].startswith("compared ")
    assert not [line for line in lines if line.startswith(("DIFFERENT", "SIGNS", "NOT REFUSED"))]

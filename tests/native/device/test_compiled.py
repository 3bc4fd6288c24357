"""NVVM compiles the kernels for a GPU, which need not be there: each operation rounds by itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import re
import sys
from types import SimpleNamespace

import numba.cuda.dispatcher
from numba import cuda, types
from bce_conformance.native.device import compiling, elements, training

numba.cuda.dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=(9, 0))
numbers, results = (types.Array(getattr(types, name), 1, "C") for name in sys.argv[1:])
steps, places = types.Array(types.int64, 2, "C"), types.Array(types.int64, 1, "C")
walk = types.Tuple([steps, places, places])
inputs = types.UniTuple(numbers, 6)
pairs = types.Array(types.float64, 2, "C")
kernels = [(elements.elements, (types.int64, inputs, walk, types.float64, types.int64, results))]
if sys.argv[2] != "float64":
    given = (results, results, types.float64, types.boolean, results, results, pairs, places)
    kernels.append((training.training_pass, given))
code = ""
for kernel, signature in kernels:
    with compiling.uncontracted():
        text, _ = cuda.compile(kernel.py_func, signature, device=False, abi="numba", cc=(9, 0))
    code += text
widening = (numbers, places, places, types.int64, types.Array(types.float64, 1, "C"))
cuda.compile(elements.gathered.py_func, widening, device=False, abi="numba", cc=(9, 0))
operations = re.findall(r"\\b((?:add|sub|mul|fma)(?:\\.rn)?)\\.f(?:32|64)\\b", code)
print(len(operations), *sorted(set(operations)))
"""
WHEELS = ("nvidia-cuda-nvcc-cu12", "nvidia-cuda-runtime-cu12")


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables by which Numba finds NVVM, from a package registry."""
    site = tmp_path_factory.mktemp("toolkit")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site]
    done = subprocess.run([*install, *WHEELS], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"NVVM could not be installed: {done.stderr[-500:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    home = site / "home"
    (home / "lib64").mkdir(parents=True)
    (home / "nvvm").symlink_to(site / "nvidia" / "cuda_nvcc" / "nvvm")
    for library in (site / "nvidia" / "cuda_runtime" / "lib").glob("libcudart*"):
        (home / "lib64" / library.name).symlink_to(library)
    return {"CUDA_HOME": str(home)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "results"),
    [("int16", "int16"), ("float64", "float64"), ("float64", "uint16"), ("float32", "float32")],
)
def test_the_kernels_compile_for_a_gpu(toolkit: dict[str, str], numbers: str, results: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, numbers, results],
        env={**os.environ, **toolkit},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, *operations = done.stdout.split()
    assert int(count) > 1000
    assert operations == ["add.rn", "fma.rn", "mul.rn", "sub.rn"]

"""The script of the GPU machine, on the CPU: from a wheelhouse to results, and cut off."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bce_conformance.results.reading import read

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import setuptools.build_meta as b; b.build_wheel('{}')"
# Writes down what it has when it is interrupted, as the suite does.
PATIENT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & has it ignored
try:
    print("begun", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    open(sys.argv[1], "w").write("all that there was")
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheelhouse of our own wheel alone: all that it needs is here."""
    folder = tmp_path_factory.mktemp("wheels")
    source = folder / "source"
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "out", "__pycache__", "tests")
    shutil.copytree(ROOT, source, ignore=left_out)
    house = folder / "wheelhouse"
    house.mkdir()
    build = [sys.executable, "-c", BUILD.format(house)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    shutil.copy(ROOT / "gpu" / "measure.py", house)
    (house / "requirements.txt").write_text("numpy>=2.0\npytest>=8\n", "utf-8")
    return house


@pytest.mark.slow
def test_it_measures_what_is_there(wheels: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "gpu"
    command = [sys.executable, wheels / "measure.py", "--out", out, "--device", "cpu"]
    part = ["--backend", "torch", "--requirement", "DEV-1", "--dtype", "float32", "--size", "32"]
    done = subprocess.run(
        [*command, *part], cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
    )
    log = (out / "log.txt").read_text("utf-8")
    assert done.returncode == 0, done.stdout + done.stderr + log
    found = read(out / "results.json")
    assert [(cell.id, cell.verdict) for cell in found.cells] == [("DEV-1/torch/cpu/float32", "AAA")]
    assert found.timings is not None
    assert {row.size for row in found.timings.measurements} == {32}
    # It ran from the folder: nothing was installed anywhere else.
    assert (out / "site" / "bce_conformance" / "cli.py").is_file()
    assert f"bring home: {out}" in done.stdout


def test_frameworks_that_are_there_are_measured(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measure = script("measure")
    names: list[str] = []
    monkeypatch.setattr(
        measure.importlib.metadata,
        "distributions",
        lambda path: [type("Found", (), {"name": name}) for name in names],
    )
    steps = measure.Steps(tmp_path, 0.0)
    assert measure.backends_here(steps) == []
    names += ["Torch", "paddlepaddle-gpu", "numpy", "jaxlib"]
    assert measure.backends_here(steps) == ["torch", "paddle"]
    names += ["numba", "jax", "tensorflow-cpu"]
    assert measure.backends_here(steps) == ["torch", "jax", "tensorflow", "paddle", "native"]


def wheel(folder: Path, name: str, source: str) -> None:
    """A wheel of one module."""
    info = f"{name}-9.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-9.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", source)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.mark.parametrize("fits", [True, False])
def test_the_wheelhouse_s_numba_replaces_one_that_cannot_compile(
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fits: bool,
) -> None:
    measure = script("measure")
    monkeypatch.setattr(measure, "WHEELS", tmp_path)
    (tmp_path / "numba").mkdir()
    wheel(tmp_path / "numba", "numba", "cuda = njit = None")
    monkeypatch.setattr(measure, "PROBE", "" if fits else "np.row_stack")
    steps = measure.Steps(tmp_path / "out", time.monotonic() + 200)
    steps.site.mkdir(parents=True)
    measure.bring_numba(steps)
    brought = sorted(path.name for path in steps.site.glob("*.py"))
    assert brought == ([] if fits else ["numba.py", "sitecustomize.py"])
    if not fits:
        show = "import numba, sys; print(numba.__file__, *map(type, sys.meta_path))"
        assert steps.run("shown", [sys.executable, "-P", "-c", show], 60) == 0
        shown = (steps.out / "log.txt").read_text("utf-8").splitlines()[-1]
        assert shown.startswith(f"{steps.site / 'numba.py'} ")


def test_the_probe_of_numba_passes_here(script: Callable[[str], ModuleType]) -> None:
    subprocess.run([sys.executable, "-P", "-c", script("measure").PROBE], check=True, timeout=100)


@pytest.mark.slow
def test_a_step_that_is_late_keeps_what_it_has(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    measure = script("measure")
    command = [sys.executable, "-c", PATIENT, str(tmp_path / "kept")]
    steps = measure.Steps(tmp_path, time.monotonic() + 100)
    begin = time.monotonic()
    assert steps.run("patient", command, 8) == 0
    assert time.monotonic() - begin < 40
    assert (tmp_path / "kept").read_text() == "all that there was"
    assert "begun" in (tmp_path / "log.txt").read_text("utf-8").splitlines()
    late = measure.Steps(tmp_path, time.monotonic() + measure.GRACE)
    assert late.run("patient", command, 3) is None
    assert steps.run("absent", ["no-such-program"], 3) is None


def test_the_script_that_is_stopped_interrupts_its_step(tmp_path: Path) -> None:
    program = f"""
import sys, signal, time
sys.path.insert(0, {str(ROOT / "gpu")!r})
from pathlib import Path
import measure
steps = measure.Steps(Path({str(tmp_path)!r}), time.monotonic() + 100)
signal.signal(signal.SIGTERM, steps.stop)
steps.run("patient", [sys.executable, "-c", {PATIENT!r}, {str(tmp_path / "kept")!r}], 60)
"""
    process: Any = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    log = tmp_path / "log.txt"
    while not (log.exists() and "begun" in log.read_text("utf-8").splitlines()):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"stopped by SIGTERM" in said
    assert (tmp_path / "kept").read_text() == "all that there was"

"""Measures all frameworks of a machine, on its GPU, from a wheelhouse: no network, no changes.

    python wheelhouse/measure.py --out gpu

Run it with the Python that has the frameworks. What the suite needs and this Python lacks is
installed into the folder alone. Each step has a limit of time and ends with what it has; so does
the script, on SIGTERM too. Only the standard library is imported here.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

WHEELS = Path(__file__).resolve().parent
SECONDS = 450
"""Under the eight minutes that many machines are lent for."""

BENCH_SHARE = 0.3
"""Of the time that is left after the installation, for speed."""

GRACE = 20
"""Seconds in which a step that was interrupted writes down what it has."""

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]

FRAMEWORKS = {
    "torch": ("torch",),
    "jax": ("jax",),
    "optax": ("optax",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "paddle": ("paddlepaddle", "paddlepaddle-gpu"),
}
"""Backends, and the distributions of which one makes them there."""


def main() -> None:
    """Install, measure, and say what to bring home."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder of results")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu or all")
    parser.add_argument("--backend", action="append", help="repeatable; default all there are")
    parser.add_argument("--requirement", action="append", default=[], help="repeatable")
    parser.add_argument("--dtype", action="append", default=[], help="repeatable")
    parser.add_argument("--tier", default="quick")
    parser.add_argument("--size", action="append", default=[], help="of bench; repeatable")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all of it")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    steps = Steps(given.out.resolve(), time.monotonic() + given.seconds)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & has it ignored
    signal.signal(signal.SIGTERM, steps.stop)
    steps.run("hardware", ["nvidia-smi"], 20)
    if not install(steps):
        sys.exit("the suite could not be installed: see log.txt")
    bring_numba(steps)
    measure(steps, given)
    found = sorted(path.name for path in steps.out.glob("*") if path.is_file())
    print(f"bring home: {steps.out}: {', '.join(found)}")
    sys.exit(0 if "results.json" in found else 1)


@dataclass
class Steps:
    """Runs commands one after the other, each within a limit, and logs them.

    Attributes:
        out: folder of ``log.txt``, of what is installed and of the results.
        end: when all must be done, by ``time.monotonic``.
    """

    out: Path
    end: float
    running: subprocess.Popen[str] | None = None

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self.end - time.monotonic()

    def run(self, name: str, command: Sequence[str], limit: float) -> int | None:
        """Run a command; one that is late is interrupted, and gets time to write down what it has.

        Returns:
            Its exit code; None where it is not there, or no time is left.
        """
        limit = min(limit, self.left - GRACE)
        if limit <= 0 or shutil.which(command[0]) is None:
            print(f"{name}: left out, {'no time is left' if limit <= 0 else 'it is not there'}")
            return None
        begin = time.monotonic()
        with (self.out / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            self.running = subprocess.Popen(
                command, stdout=log, stderr=log, text=True, env=self.environment()
            )
            try:
                code = self.running.wait(limit)
            except subprocess.TimeoutExpired:
                code = self.interrupt()
        print(f"{name}: {time.monotonic() - begin:.0f} s, exit code {code}", flush=True)
        return code

    def environment(self) -> dict[str, str]:
        """The variables of a step: what is installed in the folder comes first."""
        paths = [str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NO_COLOR": "1"}

    @property
    def site(self) -> Path:
        """Where the suite is installed."""
        return self.out / "site"

    def interrupt(self) -> int:
        """Interrupt the command that runs, wait until it ends, and return its exit code."""
        assert self.running is not None
        self.running.send_signal(signal.SIGINT)
        try:
            return self.running.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.running.kill()
            return self.running.wait()

    def stop(self, number: int, frame: FrameType | None) -> NoReturn:
        """End at once, with what there is."""
        if self.running is not None and self.running.poll() is None:
            self.interrupt()
        sys.exit(f"stopped by {signal.Signals(number).name}: see {self.out}")


def install(steps: Steps) -> bool:
    """Install what this Python lacks, and the suite, into the folder; whether that worked."""
    folders = [str(folder) for folder in (WHEELS, WHEELS / "numba") if folder.is_dir()]
    offered = ["--no-index", *options("--find-links", folders)]
    plan = steps.out / "lacking.json"
    wanted = ["--requirement", str(WHEELS / "requirements.txt")]
    wanted += ["numba"] if list((WHEELS / "numba").glob("numba-*.whl")) else []
    asked = ["install", "--dry-run", "--quiet", "--report", str(plan), *offered, *wanted]
    if steps.run("what is lacking", [*PIP, *asked], 60):
        return False
    lacking = [item["metadata"] for item in json.loads(plan.read_text("utf-8"))["install"]]
    exact = [f"{found['name']}=={found['version']}" for found in lacking]
    own = [str(wheel) for wheel in WHEELS.glob("bce_conformance-*.whl")]
    target = ["install", "--no-deps", "--no-compile", "--upgrade", "--target", str(steps.site)]
    return steps.run("install", [*PIP, *target, *offered, *exact, *own], 120) == 0


PROBE = """
from numba import cuda, njit
njit(lambda: 0)()
def nothing():
    pass
if cuda.is_available():
    cuda.compile(nothing, ())
"""
"""Ends with an error where Numba is not there, or cannot compile for the GPU that it sees."""

WITHOUT_NUMBA_CUDA = """import sys

sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != "NumbaCudaFinder"]
"""
"""A ``sitecustomize.py`` by which Numba's own ``numba.cuda`` is imported, not the package's."""


def bring_numba(steps: Steps) -> None:
    """Install the wheelhouse's Numba into the folder where the one that is there does not work.

    An image may have a release of numba-cuda that does not fit its NumPy. Where the wheelhouse was
    brought without Numba, all stays as it is.
    """
    own = sorted(str(wheel) for wheel in (WHEELS / "numba").glob("*.whl"))
    if not own or steps.run("numba as it is there", [sys.executable, "-P", "-c", PROBE], 60) == 0:
        return
    target = ["install", "--no-index", "--no-deps", "--no-compile", "--upgrade"]
    steps.run("numba", [*PIP, *target, "--target", str(steps.site), *own], 60)
    (steps.site / "sitecustomize.py").write_text(WITHOUT_NUMBA_CUDA, "utf-8")


def backends_here(steps: Steps) -> list[str]:
    """The frameworks that are installed, and the native implementation where Numba is."""
    where = [*sys.path, str(steps.site)]
    names = {found.name.lower() for found in importlib.metadata.distributions(path=where)}
    found = [name for name, any_of in FRAMEWORKS.items() if names.intersection(any_of)]
    return [*found, *(["native"] if "numba" in names else [])]


def measure(steps: Steps, given: argparse.Namespace) -> None:
    """Measure the matrix, then speed, into one results.json."""
    chosen = given.backend or backends_here(steps)
    print(f"backends: {', '.join(chosen) or 'none'}", flush=True)
    suite = [sys.executable, "-P", "-m", "bce_conformance"]  # not a checkout that it may run in
    common = [*options("--backend", chosen), "--device", given.device, "--out", str(steps.out)]
    matrix = ["--tier", given.tier, "--exit-zero", "--overwrite", *options("--dtype", given.dtype)]
    matrix += options("--requirement", given.requirement)
    bench = BENCH_SHARE * (steps.left - GRACE)
    steps.run("matrix", [*suite, "run", *common, *matrix], steps.left - GRACE - bench)
    if given.device != "all":
        sizes = options("--size", given.size)
        steps.run("speed", [*suite, "bench", "--rounds", "4", *common, *sizes], steps.left - GRACE)


def options(name: str, values: Sequence[str]) -> list[str]:
    """An option of the command line, repeated."""
    return [word for value in values for word in (name, value)]


if __name__ == "__main__":
    main()

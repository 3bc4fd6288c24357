"""Runs of the command line with real processes: every fault is a verdict, and the run goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conformance.command_line import HERE, RIGHT, command, environment, run, verdicts


def test_a_right_backend_is_as_expected(tmp_path: Path) -> None:
    code, document, output = run(*RIGHT, "--backend=native", out=tmp_path)
    assert code == 0, output
    assert verdicts(document) == {"impaired:Right": "AAA", "native": "AAA"}
    assert (tmp_path / "report.html").exists()
    assert not document["run"]["interrupted"]
    assert document["run"]["inputs"] == sum(cell["inputs"] for cell in document["cells"]) > 0
    assert {curve["backend"] for curve in document["curves"]} == {"native", "impaired:Right"}


@pytest.mark.parametrize(
    ("name", "verdict", "detail"),
    [
        ("Segfault", "crashed", "crashed: SIGSEGV"),
        ("ExitZero", "crashed", "crashed: exit code 0"),
        pytest.param("Hang", "timeout", "timeout: after 2 s", marks=pytest.mark.slow),
        ("Sloppy", "A", "ULP off"),
    ],
)
def test_a_fault_is_a_verdict_and_the_run_goes_on(
    tmp_path: Path, name: str, verdict: str, detail: str
) -> None:
    backend = f"impaired:{name}"
    code, document, output = run(
        f"--backend={backend}", *RIGHT, "--requirement=VAL-2", "--time-limit=2", out=tmp_path
    )
    assert code == 1, output
    found = {(c["requirement"], c["backend"]): c for c in document["cells"]}
    for requirement in ("VAL-1", "VAL-2"):
        assert found[requirement, backend]["verdict"] == verdict
        assert detail in found[requirement, backend]["detail"]
        assert not found[requirement, backend]["expected"]
        assert found[requirement, "impaired:Right"]["verdict"] == "AAA"


def test_output_of_a_backend_does_no_harm(tmp_path: Path) -> None:
    code, document, output = run("--backend=impaired:Talkative", out=tmp_path)
    assert code == 0, output
    assert "hello" not in output
    assert verdicts(document) == {"impaired:Talkative": "AAA"}


def test_a_named_backend_that_does_not_start_is_one_line_and_misuse(tmp_path: Path) -> None:
    code, document, output = run("--backend=impaired:RaisesOnImport", *RIGHT, out=tmp_path)
    assert (code, document) == (2, {})
    (line,) = (line for line in output.splitlines() if "does not start" in line)
    assert line.startswith("backend impaired:RaisesOnImport does not start: raised OSError: ")
    assert "undefined symbol" in line
    assert line.endswith(f"(impaired.py, line {line_of('undefined symbol')})")
    assert "nothing was measured" not in output


def line_of(text: str) -> int:
    """The number of the line of the impaired backends that has a text."""
    lines = (HERE / "impaired.py").read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def without_frameworks(folder: Path) -> str:
    """A sitecustomize that hides torch from importlib.metadata and from import."""
    (folder / "sitecustomize.py").write_text(
        "import importlib.metadata as m\n"
        "version = m.version\n"
        "def hidden(name):\n"
        "    if name == 'torch':\n"
        "        raise m.PackageNotFoundError(name)\n"
        "    return version(name)\n"
        "m.version = hidden\n"
    )
    return f"{folder}{os.pathsep}{HERE}"


def test_a_named_backend_that_is_not_installed_is_one_line_and_misuse(tmp_path: Path) -> None:
    path = without_frameworks(tmp_path)
    code, document, output = run("--backend=torch", *RIGHT, out=tmp_path / "out", PYTHONPATH=path)
    assert (code, document) == (2, {})
    (line,) = (line for line in output.splitlines() if "not installed" in line)
    assert line.startswith("backend torch is not installed: ")
    assert "-m pip install 'bce-conformance[torch]'" in line


def test_a_default_backend_that_is_not_installed_is_listed(tmp_path: Path) -> None:
    path = without_frameworks(tmp_path)
    script = (
        "from bce_conformance.conformance.running.matrix import Matrix\n"
        "from bce_conformance.conformance.settings import Settings\n"
        "from bce_conformance.backends import installed\n"
        "import bce_conformance.conformance.running.processes as p\n"
        "p.installed = lambda s: s.id in ('native', 'torch') and installed(s)\n"
        "matrix = Matrix(Settings())\n"
        "status = matrix.processes.status\n"
        "print(status('native'), '|', status('torch'), '|', matrix.demanded())\n"
        "matrix.processes.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(PYTHONPATH=path),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "ok | not installed | ['native']"


@pytest.mark.slow
def test_equal_runs_write_equal_files(tmp_path: Path) -> None:
    """But for the times, however the threads came to their cells."""
    many = (*RIGHT, "--backend=native", "--requirement=VAL", "--dtype=float16")
    documents = [run(*many, out=tmp_path / name)[1] for name in "ab"]
    for document in documents:
        for name in ("id", "started", "finished", "argv", "seconds"):
            document["run"].pop(name)
    assert json.dumps(documents[0]) == json.dumps(documents[1])
    first = [(c["backend"], c["dtype"]) for c in documents[0]["cells"][:4]]
    assert first == [(b, d) for b in ("impaired:Right", "native") for d in ("float16", "float32")]


@pytest.mark.parametrize("name", ["HangsInTheTail", "HangsOnStart"])
def test_interrupt_ends_soon_keeps_what_was_measured_and_leaves_no_process(
    tmp_path: Path, name: str
) -> None:
    reached = tmp_path / "reached"
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(
            "run",
            *RIGHT,
            f"--backend=impaired:{name}",
            *("--requirement=VAL-1", "--requirement=VAL-2"),
            "--dtype=float32",
            "--tier=quick",
            "--time-limit=1000",
            f"--out={out}",
        ),
        env=environment(HANG_FILE=str(reached)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # Where the tests run in the background, Ctrl-C may be ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not reached.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert reached.exists()
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        begin = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(timeout=30)
        assert time.monotonic() - begin < 5
    finally:
        process.kill()
    assert code == 130
    assert psutil.wait_procs(family, timeout=5)[1] == []
    if name == "HangsInTheTail":
        document = json.loads((out / "results.json").read_text("utf-8"))
        assert document["run"]["interrupted"]
        measured = {(c["requirement"], c["backend"]) for c in document["cells"]}
        assert ("VAL-1", f"impaired:{name}") in measured
        assert ("VAL-2", f"impaired:{name}") not in measured


def test_an_error_of_the_suite_itself_exits_3(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import bce_conformance.conformance.inputs.bounds as b\n"
        "def broken(*a, **k):\n"
        "    raise ZeroDivisionError('planted')\n"
        "b.bounds_for = broken\n"
    )
    path = f"{tmp_path}{os.pathsep}{HERE}"
    code, _, output = run(*RIGHT, out=tmp_path / "out", PYTHONPATH=path)
    assert code == 3
    assert "the suite itself failed" in output
    assert "planted" in output


def test_pytest_by_hand_does_the_same(tmp_path: Path) -> None:
    folder = HERE.parents[1] / "conformance"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", str(folder), "-p", "no:cacheprovider"),
            *(*RIGHT, "--backend=impaired:Sloppy", "--requirement=VAL-1"),
            *("--dtype=float32", "--tier=quick", f"--results={tmp_path / 'results.json'}"),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "impaired:Right: right 1 on cpu" in done.stdout
    assert "VAL-1/impaired:Sloppy/cpu/float32: A, known is AAA (no entry in the" in done.stdout
    assert "bce-conformance explain impaired:Sloppy --logit=" in done.stdout
    document = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert verdicts(document) == {"impaired:Right": "AAA", "impaired:Sloppy": "A"}


def test_drawn_calls_come_last() -> None:
    folder = HERE.parents[1] / "conformance"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", str(folder), "-p", "no:cacheprovider", "-q"),
            *(*RIGHT, "--requirement=ANY-1", "--requirement=VAL-1", "--dtype=float32"),
            "--collect-only",
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    named = [line.rpartition("::")[2] for line in done.stdout.splitlines() if "float32" in line]
    assert [name.partition("[")[0] for name in named] == [
        "test_moderate_logits_hard_targets",
        "test_loss",
    ]

"""Runs of the command line with real processes: every fault is a verdict, and the run goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from bce_conformance.conformance.ledger.read import LEDGER
from bce_conformance.conformance.ledger.read import read_file as ledger_file
from bce_conformance.results import reading

HERE = Path(__file__).parent
RIGHT = ["--backend", "impaired:Right"]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE), "COLUMNS": "200", **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bce_conformance", *arguments]


def run(*arguments: str, out: Path, **more: str) -> tuple[int, dict[str, Any], str]:
    """Run one requirement in float32; exit code, results.json and output."""
    done = subprocess.run(
        command(
            "run",
            "--requirement=VAL-1",
            "--dtype=float32",
            f"--out={out}",
            "--tier=quick",
            *arguments,
        ),
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    path = out / "results.json"
    document = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if document:
        reading.read(path)
    return done.returncode, document, done.stdout + done.stderr


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    return {cell["backend"]: cell["verdict"] for cell in document["cells"]}


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
        ("Hang", "timeout", "timeout: after 2 s"),
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


def test_a_backend_that_raises_on_import_has_failing_cells(tmp_path: Path) -> None:
    code, document, _ = run("--backend=impaired:RaisesOnImport", *RIGHT, out=tmp_path)
    assert code == 1
    assert verdicts(document) == {"impaired:RaisesOnImport": "fails", "impaired:Right": "AAA"}
    (cell,) = (c for c in document["cells"] if c["backend"] != "impaired:Right")
    assert "undefined symbol" in cell["detail"]
    assert "undefined symbol" in document["backends"][0]["status"]


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


def test_a_demanded_backend_that_is_not_installed_ends_the_run_1(tmp_path: Path) -> None:
    path = without_frameworks(tmp_path)
    code, document, output = run("--backend=torch", *RIGHT, out=tmp_path / "out", PYTHONPATH=path)
    assert code == 1
    assert "torch: not installed" in output
    assert verdicts(document) == {"torch": "not measured", "impaired:Right": "AAA"}


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


def test_a_run_of_which_nothing_can_be_measured_is_misuse(tmp_path: Path) -> None:
    """A typing error, or a device that is absent: nothing that was measured is written over."""
    assert run(*RIGHT, out=tmp_path)[0] == 0
    code, document, output = run(*RIGHT, "--device=gpu", "--overwrite", out=tmp_path)
    assert code == 2
    assert "no backend has device gpu (impaired:Right has cpu)" in output
    assert verdicts(document) == {"impaired:Right": "AAA"}
    code, _, output = run(*RIGHT, "--device=cpu", "--device=cuda", "--overwrite", out=tmp_path)
    assert code == 0, output  # something was


def test_formats_that_no_requirement_is_about_are_misuse(tmp_path: Path) -> None:
    command_line = command("run", *RIGHT, "--requirement=VAL-9", "--dtype=float32")
    done = subprocess.run(
        [*command_line, f"--out={tmp_path}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "no requirement that was asked for is about these formats" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["--backend=nope"],
        ["--requirement=VAL-999"],
        ["--dtype=float8"],
        ["--tier=huge"],
        ["--time-limit=-1"],
        ["--memory=2"],
        ["--ledger=nope.toml"],
    ],
)
def test_misuse_exits_2_and_names_what_is_wrong(tmp_path: Path, wrong: list[str]) -> None:
    code, document, output = run(*RIGHT, *wrong, out=tmp_path)
    assert code == 2
    assert document == {}
    assert wrong[0].partition("=")[2] in output


@pytest.mark.parametrize(
    ("wrong", "meant"), [("--requirement=VLA-1", "VAL-1"), ("--backend=tensorfow", "tensorflow")]
)
def test_an_unknown_name_brings_the_nearest_few(tmp_path: Path, wrong: str, meant: str) -> None:
    code, _, output = run(wrong, out=tmp_path)
    assert code == 2
    assert meant in output
    assert len(output) < 200


@pytest.mark.parametrize("command_of", ["run", "ledger check"])
def test_a_ledger_that_does_not_exist_is_misuse(tmp_path: Path, command_of: str) -> None:
    assert run(*RIGHT, out=tmp_path)[0] == 0
    done = subprocess.run(
        command(
            *command_of.split(), *([str(tmp_path)] * (command_of != "run")), "--ledger=no.toml"
        ),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "ledger no.toml does not exist" in done.stderr


@pytest.mark.parametrize(
    "smaller", [["--tier=quick"], ["--dtype=float16"], ["--backend=native"], ["--device=cuda"]]
)
def test_a_smaller_run_does_not_overwrite_a_larger_one(tmp_path: Path, smaller: list[str]) -> None:
    """The results are written as a run would, which takes no time."""
    _, document, _ = run(*RIGHT, out=tmp_path)
    document["run"]["tier"] = "default"
    (tmp_path / "results.json").write_text(json.dumps(document), "utf-8")
    before = (tmp_path / "results.json").read_bytes()
    backend = [] if smaller == ["--backend=native"] else RIGHT
    # The last one of an option counts where it takes one value.
    done = subprocess.run(
        command("run", *backend, "--requirement=VAL-1", f"--out={tmp_path}", *smaller),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "does not measure, such as VAL-1 impaired:Right cpu float32" in done.stderr
    assert "--out FOLDER" in done.stderr
    assert (tmp_path / "results.json").read_bytes() == before


def test_a_run_of_as_much_or_more_goes_ahead(tmp_path: Path) -> None:
    assert run(*RIGHT, out=tmp_path)[0] == 0
    assert run(*RIGHT, out=tmp_path)[0] == 0
    code, document, output = run(*RIGHT, "--requirement=VAL-2", "--seed=1", out=tmp_path)
    assert code == 0, output
    assert len(document["cells"]) == 2
    assert run(*RIGHT, out=tmp_path)[0] == 2
    assert run(*RIGHT, "--overwrite", out=tmp_path)[0] == 0


def test_an_out_that_cannot_be_written_is_noticed_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, output = run(*RIGHT, out=tmp_path / "file")
    assert code == 2
    assert "cannot be written" in output
    assert "on cpu" not in output  # no backend was started


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


def test_a_run_that_may_miss_deviations_does_not_rewrite_the_ledger(tmp_path: Path) -> None:
    """The quick tier may find a cell better than its entry says: no reason to drop the entry."""
    code, document, output = run("--backend=torch", out=tmp_path)
    assert code == 0, output
    document["cells"][0]["verdict"] = "AA"
    (tmp_path / "results.json").write_text(json.dumps(document), "utf-8")

    def ledger(verb: str) -> tuple[int, str]:
        done = subprocess.run(
            command("ledger", verb, str(tmp_path)),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    assert ledger("check") == (0, "every cell is as the ledger says\n")
    code, output = ledger("update")
    assert code == 2
    document["run"]["tier"] = "default"
    (measured_on, *_) = ledger_file(LEDGER / "torch.toml").instruction_sets
    document["backends"][0]["instruction_set"] = measured_on
    (tmp_path / "results.json").write_text(json.dumps(document), "utf-8")
    assert ledger("check")[0] == 1


def test_a_ledger_of_ones_own(tmp_path: Path) -> None:
    """Red without it; filled by an update and explained, green; on another version, reported."""
    mine = tmp_path / "ledger.toml"
    plain = ("--backend=impaired:Sloppy", "--tier=default")
    sloppy = (*plain, f"--ledger={mine}")
    assert run(*plain, out=tmp_path)[0] == 1
    update = ["ledger", "update", str(tmp_path), f"--ledger={mine}"]
    subprocess.run(command(*update), env=environment(), check=True, timeout=60)
    assert run(*sloppy, out=tmp_path)[0] == 2  # nobody said why yet
    text = mine.read_text("utf-8").replace('text = ""', 'text = "six units off"')
    mine.write_text(text, "utf-8")
    code, document, output = run(*sloppy, out=tmp_path)
    assert code == 0, output
    assert {cell["reason"] for cell in document["cells"]} == {"six units off"}
    mine.write_text(text.replace('level = "A"', 'level = "fails"'), "utf-8")
    code, document, output = run(*sloppy, out=tmp_path)
    assert code == 0, output
    assert "its entry is stale: 1" in " ".join(output.split())
    assert run(*sloppy, "--strict", out=tmp_path)[0] == 1
    mine.write_text(text.replace('level = "A"', 'level = "fails"').replace('"1"', '"0.9"'), "utf-8")
    code, document, output = run(*sloppy, "--strict", out=tmp_path)
    assert code == 0, output
    assert all(cell["better"] for cell in document["cells"])
    assert "better than known: 1 (1 on another version)" in output


def test_what_a_search_found_is_found_by_every_run(tmp_path: Path) -> None:
    mine = tmp_path / "ledger.toml"
    peak = ("--backend=impaired:WrongAtAPeak",)
    _, plain, _ = run(*peak, "--tier=default", out=tmp_path)
    code, searched, _ = run(*peak, "--tier=thorough", out=tmp_path)
    assert code == 1
    assert (plain["cells"][0]["verdict"], searched["cells"][0]["verdict"]) == ("AA", "A")
    assert searched["cells"][0]["witness"]["pool"] == "test_values.moderate"
    update = ["ledger", "update", str(tmp_path), f"--ledger={mine}"]
    subprocess.run(command(*update), env=environment(), check=True, timeout=60)
    mine.write_text(mine.read_text("utf-8").replace('text = ""', 'text = "a peak"'), "utf-8")
    for seed in (1, 2):
        known = (*peak, f"--ledger={mine}", "--overwrite", f"--seed={seed}")
        code, found, output = run(*known, "--tier=default", out=tmp_path)
        assert code == 0, output
        assert (found["cells"][0]["verdict"], found["cells"][0]["witness"]) == ("A", None)


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

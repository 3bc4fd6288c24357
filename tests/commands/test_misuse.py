"""What users do wrong is answered in words: the argument, what is wrong, and what to do."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bce_conformance.cli import app
from bce_conformance.terminal.console import console, errors

ONE = "--logit=1 --target=1"
FILES = {
    "broken.json": b"{broken",
    "other.json": b'{"a": 1}',
    "binary.json": b"\xff\xfe",
    "a_file": b"x",
    "ledger.toml": b"[mechanism.x]",
    "claims.toml": b'level = "B"',
}
WRONG = {
    "run --out=a_file": "--out a_file cannot be written: File exists; choose another folder",
    "run --seed=abc": "Invalid value for '--seed'",
    "reproduce VAL-2/native/cpu/float32 --out=nowhere": (
        "nowhere/results.json does not exist; bce-conformance run --out nowhere makes one"
    ),
    "run --time-limit=0": "'--time-limit': 0 is not above 0 and up to 1,000,000",
    "sweep native --time-limit=inf": "'--time-limit': inf is not above 0 and up to 1,000,000",
    "run --quiet --verbose": "exclude each other: give one of them",
    "run --memory=-1GiB": "accepted is a positive number with one of the units",
    "run --ledger=ledger.toml": "ledger.toml, mechanism x: no field",
    "run --ledger=binary.json": "binary.json",
    "run --claims=AA": "name yours with --backend",
    "run --claims=claims.toml --backend=torch::math:sqrt": "known are A, AA, AAA",
    "run --dtypes=float32": "say what --claims is about, which is missing",
    "run --backend=nosuch.module:Class": "there is no module nosuch, installed or here",
    "run --backend=torch::./nofile.py:loss": "there is no file ./nofile.py",
    "explain native": "--logits is missing; accepted are numbers",
    "explain native --logit=1": "--targets is missing; accepted are numbers",
    "explain native --logit=abc --target=1": "'abc' is no number (decimal, hex such as",
    "explain native --logit='[1, 2' --target=1": "'[1, 2' is no JSON",
    "explain native --call=broken.json": "--call is 'broken.json': no JSON",
    "explain native --call=other.json": "the call has 'a', which is no field",
    "explain native --call=binary.json": "--call is 'binary.json': no text",
    f"explain native --call=other.json {ONE}": "leave out --logits",
    f"explain native {ONE} --write=nowhere/call.json": "--write is nowhere/call.json, which cannot",
    f"explain native {ONE} --weight-dtype=float32": "--weight-dtype is given without --weight",
    "report broken.json": "broken.json: not JSON at line 1, column 2",
    "report other.json": "name another file, or make it again with bce-conformance run",
    f"report {'x' * 300}": "cannot be read: File name too long; name another",
    f"compare {'x' * 300} native": "is no results.json and no folder",
    "report a_file": "a_file is no results.json, nor a folder that has one",
    "compare a_file torch": "compare two runs, or two backends",
    "compare broken.json other.json --dtype=float16": (
        "--dtype is for two backends, and broken.json and other.json are runs: leave it out"
    ),
    "findings binary.json": "binary.json: not UTF-8 at byte 0",
    "findings export a_file": "DIR is 'a_file': Not a directory; give a folder that can be written",
    "sweep native --targets=": "targets is empty; accepted are numbers such as",
    "sweep native --targets=0.3 --dtype=float16": "no float16; the nearest is 0.300048828125",
    "sweep native --samples=5": "--samples is needed for float64",
    "sweep native --out=a_file": "--out a_file cannot be written: File exists",
    "hunt native --out=a_file": "--out a_file cannot be written: File exists",
    "bench --rounds=0": "Invalid value for '--rounds'",
    "bench --size=31": "size is 31; accepted are multiples of 8",
    "bench --backend=native --out=a_file": "--out a_file cannot be written: File exists",
    "reproduce nothing": "accepted is requirement/backend/device/dtype, such as",
    "ledger check a_file": "a_file is no results.json, nor a folder that has one",
    "ledger update other.json": "name another file, or make it again with bce-conformance run",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_misuse_is_answered_in_words(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, shlex.split(line), env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert WRONG[line] in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["sweep", "hunt"])
def test_a_backend_that_is_not_installed_is_told_with_what_to_do(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"bce_conformance.commands.maxima.{command}"
    monkeypatch.setattr(sys.modules[module], "installed", lambda spec: False)
    done = CliRunner().invoke(app, [command, "torch"], env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert done.exit_code == 2
    assert f"torch is not installed: {sys.executable} -m pip install 'bce-" in done.stderr


INTERRUPTED = """
import runpy
import sys


class Interrupted:
    def find_spec(self, name, *_):
        if name == "bce_conformance.commands.run":
            raise KeyboardInterrupt


sys.meta_path.insert(0, Interrupted())
runpy.run_module("bce_conformance", run_name="__main__")
"""


def test_an_interruption_while_it_is_imported_prints_nothing() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_names_are_printed_as_they_are() -> None:
    for printer in (console, errors):
        with printer.capture() as printed:
            printer.print("./losses.py:key: does not start")
        assert printed.get() == "./losses.py:key: does not start\n"

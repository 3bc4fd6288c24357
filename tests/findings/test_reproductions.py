"""Each reproduce.py exits 1 with the pinned versions, and shows what is said of it."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bce_conformance.conformance.findings.harm import number
from bce_conformance.conformance.findings.reading import defects
from bce_conformance.conformance.findings.reproduction import MOST_LINES, script
from bce_conformance.results.model import Defect

KNOWN = list(defects().values())
FRAMEWORKS = sorted({defect.framework for defect in KNOWN})
QUIET = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
# Runs programs one after the other in one process: the framework is imported once.
ALL = """
import contextlib, io, json, sys
found = {}
for name, text in json.load(sys.stdin).items():
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            exec(compile(text, name, "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        found[name] = [int(end.code), told.getvalue()]
print("found", json.dumps(found))
"""


def shows(defect: Defect, line: str) -> None:
    """Fail where a program does not print what the defect says came back."""
    told, _, got = line.strip().rpartition(", got ")
    exact, returned = number(defect.expected), number(defect.returned)
    assert told.startswith(defect.framework)
    assert f": expected {defect.expected if exact is None else exact}" in told
    if returned is None or not math.isfinite(returned):
        assert got == defect.returned
    else:  # the last digits depend on the instruction set
        assert float(got) == pytest.approx(returned, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_all_programs_of_a_framework_show_their_defects(framework: str) -> None:
    chosen = {one.id: one for one in KNOWN if one.framework == framework}
    done = subprocess.run(
        [sys.executable, "-c", ALL],
        input=json.dumps({name: one.script for name, one in chosen.items()}),
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("found ")]
    assert lines, done.stderr[-2000:]
    found = json.loads(lines[0].removeprefix("found "))
    assert found.keys() == chosen.keys(), done.stderr[-2000:]
    for name, (code, told) in found.items():
        assert code == 1, (name, told)
        shows(chosen[name], told)


@pytest.mark.slow
@pytest.mark.parametrize("defect", KNOWN, ids=lambda one: one.id)
def test_a_program_shows_its_defect_alone(defect: Defect, tmp_path: Path) -> None:
    path = tmp_path / "reproduce.py"
    path.write_text(defect.script, "utf-8")
    done = subprocess.run(
        [sys.executable, "-I", str(path)],
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 1, done.stderr[-2000:]
    shows(defect, done.stdout)


@pytest.mark.parametrize("defect", KNOWN, ids=lambda one: one.id)
def test_a_program_is_short_and_needs_the_framework_alone(defect: Defect) -> None:
    assert len(defect.script.splitlines()) <= MOST_LINES
    assert "bce_conformance" not in defect.script
    assert defect.title.split()[0] in defect.script


def run(code: str, expected: str, dtype: str = "float32") -> int:
    text = script("It is wrong.", "import math", "math", code, expected, dtype)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, check=False)
    return done.returncode


def test_a_program_exits_0_once_the_defect_is_gone() -> None:
    assert run("got = 1.0", "1.00000000000000000000000000001") == 0
    assert run("got = 1.0 + 2**-22", "1.0") == 0
    assert run("got = 1.0 + 2**-20", "1.0") == 1
    assert run("got = 1.0 + 2**-22", "1.0", "float64") == 1
    assert run("got = math.nan", "0.0") == 1
    assert run("got = math.inf", "inf") == 0
    assert run("got = 'an error'", "an error") == 0
    assert run("got = 'a loss'", "an error") == 1

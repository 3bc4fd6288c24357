"""What a run prints where there is no terminal, by its options."""

import os
import subprocess
import sys
from pathlib import Path

from bce_conformance.conformance.running.folder import held

IMPAIRED = Path(__file__).parents[1] / "conformance"


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    chosen = ("--backend=impaired:Sloppy", "--requirement=VAL-1", "--dtype=float32", "--tier=quick")
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "bce_conformance", "run", *chosen, f"--out={folder}", *arguments],
        env=environment | {"PYTHONPATH": str(IMPAIRED), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_pipe_gets_plain_lines_of_progress_and_the_summary(tmp_path: Path) -> None:
    code, output, progress = run(tmp_path, "--verbose")
    assert code == 1
    first, starting, tier, backend, count, cell, done, *rest = progress.splitlines()
    assert (first, starting) == ("reading the checks", "starting impaired:Sloppy")
    assert (tier, count) == ("bce-conformance: tier quick, seed 0", "cells to measure: 1")
    assert backend.startswith("  impaired:Sloppy: right 1 on cpu")
    assert cell.endswith("VAL-1/impaired:Sloppy/cpu/float32: A, worse than known: AAA")
    assert done.endswith("100 %  1 of 1 cells")
    assert rest[0].startswith("time: start-up ")
    assert "VAL-1/impaired:Sloppy/cpu/float32: expected AAA, found A\n" in output
    assert "impaired:Sloppy: 1 of 1 findings" in output
    assert "\x1b" not in output + progress


def test_quiet_prints_the_last_lines_only(tmp_path: Path) -> None:
    code, output, progress = run(tmp_path, "--quiet")
    assert (code, progress) == (1, "")
    assert "findings" not in output
    assert "worse than known: 1\n" in output
    next_command = f"bce-conformance reproduce VAL-1/impaired:Sloppy/cpu/float32 --out {tmp_path}"
    assert f"next: {next_command}\n" in output


def test_quiet_and_verbose_exclude_each_other(tmp_path: Path) -> None:
    code, output, errors = run(tmp_path, "--quiet", "--verbose")
    assert (code, output) == (2, "")
    assert "give one of them" in errors


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with held(tmp_path):
        code, output, errors = run(tmp_path, "--overwrite")
    assert (code, output) == (2, "")
    assert "is being written by another run; choose another folder" in errors
    assert not list(tmp_path.iterdir())
    assert run(tmp_path, "--quiet")[0] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "report.html"}

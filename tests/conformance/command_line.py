"""Runs of ``bce-conformance`` in processes of their own, with the backends of ``impaired``."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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

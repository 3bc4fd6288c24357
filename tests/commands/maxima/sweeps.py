"""``bce-conformance sweep`` as a process, for the tests of it."""

import contextlib
import sqlite3
import subprocess
from pathlib import Path

from tests.clusters import program

FILES = ("sweep.json", "sweep.csv", "sweep.tex")
TARGETS = ",".join(str(number / 32) for number in range(20))
SLOW = ("planted:Slow", "--dtype=float16", f"--targets={TARGETS}", "--quantity=loss")


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return program("bce_conformance", "sweep", f"--out={folder}", *arguments)


def sweep(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = started(folder, *arguments)
    output, errors = process.communicate(timeout=600)
    return process.returncode, output, errors


def pieces(folder: Path) -> int:
    """How many pieces the journal has, while another process adds to it."""
    if not (folder / "sweeps.sqlite").exists():
        return 0
    with contextlib.closing(sqlite3.connect(folder / "sweeps.sqlite", timeout=30)) as base:
        if not base.execute("SELECT name FROM sqlite_master WHERE name = 'pieces'").fetchone():
            return 0  # it is just being made
        (count,) = base.execute("SELECT count(*) FROM pieces").fetchone()
    return int(count)


def bytes_of(folder: Path) -> list[bytes]:
    """What a sweep has written."""
    return [(folder / name).read_bytes() for name in FILES]

"""The terminal: where commands print, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console

from bce_conformance.backends.names import similar
from bce_conformance.conformance.run import Exit

if TYPE_CHECKING:
    from bce_conformance.results.model import Results

console = Console()
errors = Console(stderr=True)


def misuse(message: str) -> NoReturn:
    """Say what was wrong with the command line, and leave."""
    errors.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.MISUSE)


def require_writable(out: Path) -> None:
    """Leave before anything is measured where ``--out`` cannot be written."""
    from bce_conformance.conformance.running import folder

    try:
        folder.require_writable(out)
    except ValueError as error:
        misuse(str(error))


def print_json(document: Any) -> None:
    """Print a document for programs: no colour, and no line is broken."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False))


def read(path: Path, *, measured_by: str = "run") -> Results:
    """Read a results.json, given as such or as its folder; leave where there is none.

    Args:
        path: the file or the folder.
        measured_by: the command that makes one, for the message.
    """
    from bce_conformance.results import reading

    file = path if path.suffix == ".json" else path / "results.json"
    if not file.exists():
        folder = file.parent
        what = f"{file} does not exist{similar(file)}"
        if path.is_file():
            misuse(f"{path} is no results.json, nor a folder that has one; name one of them")
        if path.is_dir():
            what = f"{path} has no results.json"
        misuse(f"{what}; bce-conformance {measured_by} --out {folder} makes one")
    try:
        return reading.read(file)
    except (reading.ResultsError, OSError) as error:
        misuse(f"{error}; name another file, or make it again with bce-conformance {measured_by}")

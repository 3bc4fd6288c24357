"""With --json a command prints one document of the fields that the documentation names."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bce_conformance.cli import app
from tests.reports.conftest import build

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "command_line.md"
SWEPT = ("sweep", "impaired:Right", "--targets=0", "--quantity=loss", "--range=0:ff", "--out=swept")
COMMANDS = {
    "explain": ("explain", "impaired:Right", "--logit=20", "--target=1"),
    "compare": ("compare", "one", "other"),
    "bench": ("bench", "--backend=faulty:Echo", "--size=32", "--rounds=1", "--out=timed"),
    "findings": ("findings", "--backend=optax"),
    "findings RUN": ("findings", "one"),
    "sweep": SWEPT,
    "sweep BACKEND --status": (*SWEPT, "--status"),
}
WRONG = {
    "backends": ("backends", "torhc"),
    "explain": ("explain", "torhc", "--logit=0", "--target=1"),
    "compare": ("compare", "one", "nothing.json"),
    "bench": ("bench", "--backend=torhc"),
    "findings": ("findings", "--backend=torhc"),
    "sweep": ("sweep", "torhc"),
}


def fields(command: str) -> set[str]:
    """The fields that the page names for a command, up to those of its entries."""
    row = next(
        line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{command}` |")
    )
    return set(re.findall(r"`(\w+)`", row.rpartition(" | ")[2].partition(": by id")[0]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs in it."""
    path = tmp_path_factory.mktemp("json")
    for name in ("one", "other"):
        (path / name).mkdir()
        (path / name / "results.json").write_text(json.dumps(build()), "utf-8")
    return path


def printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> tuple[int, str, str]:
    """The exit code of a command with --json, and what it wrote to either stream."""
    monkeypatch.chdir(folder)
    own = [str(TESTS / name) for name in ("backends", "conformance")]
    monkeypatch.setattr(sys, "path", [*sys.path, *own])
    done = CliRunner().invoke(app, [*arguments, "--json"], env={"NO_COLOR": "1"})
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_the_document_has_the_fields_that_the_page_names(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output, errors = printed(folder, monkeypatch, COMMANDS[command])
    assert code == 0, errors
    found: Any = json.loads(output)
    if isinstance(found, dict):
        assert set(found) == fields(command)
    else:
        assert found
        assert all(fields(command) <= set(entry) for entry in found)


@pytest.mark.parametrize("command", WRONG)
def test_a_misuse_leaves_standard_output_empty(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output, errors = printed(folder, monkeypatch, WRONG[command])
    assert (code, output) == (2, "")
    assert "Traceback" not in errors
    assert errors.strip()


def test_every_command_that_takes_json_is_in_both_lists() -> None:
    taking = {name.split()[0] for name in COMMANDS} | {"backends"}  # whose test is in test_cli.py
    assert taking == set(WRONG)
    rows = re.findall(r"^\| `(\w+)", PAGE.read_text("utf-8"), re.MULTILINE)
    assert taking <= set(rows)

"""The commands of docs/your_own_function.md, run as they are written, and what they print."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "your_own_function.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (?P<line>.+?)(?:  # exits (?P<code>\d))?$")
LIMIT = 600  # seconds for one command, on a busy processor


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(PAGE.read_text("utf-8")) if kind == language]


def commands() -> list[tuple[str, int, list[str]]]:
    """Each command line with its exit code and the lines that it prints."""
    found: list[tuple[str, int, list[str]]] = []
    for line in "".join(blocks("console")).splitlines():
        if match := COMMAND.match(line):
            found.append((match["line"], int(match["code"] or 0), []))
        else:
            found[-1][2].append(line)
    return found


def test_the_page_has_files_and_commands() -> None:
    assert len(blocks("python")) == 2
    assert len(blocks("toml")) == 1
    assert len(commands()) >= 7
    assert {code for _, code, _ in commands()} == {0, 1, 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, each called as its first line says."""
    folder = tmp_path_factory.mktemp("page")
    for text in (*blocks("python"), *blocks("toml")):
        name = text.splitlines()[0].removeprefix("# ")
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize(("line", "code", "printed"), commands(), ids=lambda value: str(value)[:70])
def test_a_command_does_what_the_page_says(
    folder: Path, line: str, code: int, printed: list[str]
) -> None:
    program, *arguments = shlex.split(line)
    assert program == "bce-conformance"
    done = subprocess.run(
        [sys.executable, "-m", "bce_conformance", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    flat = " ".join(output.split())
    for shown in printed:
        parts = [re.escape(" ".join(part.split())) for part in shown.split("…")]
        assert re.search(".*".join(parts), flat), f"{shown!r} is not in\n{output}"

"""Every command and code block of the documents runs as it is written, and prints what they say.

A block of a page is in one of these languages:

- `console`: commands after `$`, `  # exits N` behind one that does not exit 0, and below each the
  lines that it prints, of which `…` leaves out a part. Each page has a folder of its own.
- `bash`: a script, which must exit 0.
- `python` or `toml` with a comment such as `# loss.py` in its first line: a file in that folder.
- other `python`: a program, which must exit 0. A line that is an expression has its value in a
  comment, in which `…` leaves out a part, up to a comma or a colon.
- `text`: a diagram or a formula, no code.

What is not run stands in pages.toml, with the reason.
"""

import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documentation.blocks import (
    DATA,
    FENCE,
    LANGUAGES,
    ROOT,
    Block,
    Command,
    blocks,
    commands,
    documents,
    exception,
    page,
    said,
)

LIMIT = 600  # seconds for one command, on a busy processor
PAGES = documents()
RUN = [name for name in PAGES if any(block.language != "text" for block in blocks(page(name)))]
MARKED = [
    pytest.param(name, marks=[pytest.mark.slow] if said(name).get("slow") else []) for name in RUN
]
PROGRAMS = re.compile(r"^ *(\$|bce-conformance|make|pip|pytest|python) ", re.MULTILINE)
VALUE = re.compile(r"^(\w[^#=]*?)  # ([^\s,:]+).*$", re.MULTILINE)
INDENTED = re.compile(r"^ {4,}.*", re.MULTILINE)


class Reader:
    """Somebody who does what a page says, in a folder that has what the page says it needs."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        tools = Path(sys.executable).parent
        (folder / ".venv").symlink_to(tools.parent)
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "COLUMNS": "200", "NO_COLOR": "1"}
        for needed in said(name).get("needs", []):
            shutil.copytree(
                ROOT / needed, folder / needed, ignore=shutil.ignore_patterns("__pycache__", "out")
            )

    def runs(self, words: list[str], text: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the folder, with both streams in one."""
        return subprocess.run(
            [*words, text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    def does(self, block: Block, name: str) -> None:
        """Do what a block says."""
        if block.language == "console":
            for command in commands(block):
                if not exception(name, command.line):
                    self.enters(command, whole=said(name).get("whole_output", False))
        elif exception(name, block.text) or block.language == "text":
            return
        elif block.file:
            (self.folder / block.file).write_text(block.text, "utf-8")
        else:
            words = [sys.executable, "-c"] if block.language == "python" else ["bash", "-ec"]
            text, values = shown(block.text) if block.language == "python" else (block.text, [])
            done = self.runs(words, text)
            assert done.returncode == 0, f"{block.text}\n{done.stdout}"
            require(values, done.stdout, done.stdout)

    def enters(self, command: Command, whole: bool) -> None:
        """Enter a command, and compare what it prints."""
        if command.line.startswith("cd "):
            self.folder /= command.line.removeprefix("cd ")
            return
        done = self.runs(["bash", "-c"], command.line)
        told = f"$ {command.line}\n{done.stdout}"
        assert done.returncode == command.code, f"exits {done.returncode}: {told}"
        if whole:
            assert done.stdout.splitlines() == command.printed, told
        require(command.printed, done.stdout, told)


def shown(text: str) -> tuple[str, list[str]]:
    """A program that prints its expressions, and the values that their comments say."""
    values = [value for expression, value in VALUE.findall(text) if is_expression(expression)]
    return VALUE.sub(printing, text), values


def printing(line: re.Match[str]) -> str:
    """A line that prints what it is, if it is an expression."""
    return f"print(repr({line[1]}))" if is_expression(line[1]) else line[0]


def is_expression(text: str) -> bool:
    """Whether a line of Python is an expression."""
    with contextlib.suppress(SyntaxError):
        return bool(ast.parse(text, mode="eval"))
    return False


def require(lines: list[str], printed: str, told: str) -> None:
    """Fail where a line that is shown is not printed, after those before it."""
    rest = " ".join(printed.split())
    for line in lines:
        parts = [re.escape(" ".join(part.split())) for part in line.split("…")]
        match = re.search(".*?".join(parts), rest)
        assert match, f"{line!r} is not in, or not in this order:\n{told}"
        rest = rest[match.end() :]


@pytest.mark.parametrize("name", MARKED)
def test_a_page_does_what_it_says(name: str, tmp_path: Path) -> None:
    module = said(name).get("module")
    if module:
        pytest.importorskip(module)
    reader = Reader(tmp_path, name)
    for block in blocks(page(name)):
        reader.does(block, name)


@pytest.mark.parametrize("name", PAGES)
def test_every_block_has_a_language_that_is_known(name: str) -> None:
    for block in blocks(page(name)):
        if not exception(name, block.text):
            assert block.language in LANGUAGES, f"{name}: {block.language!r} of\n{block.text}"
        if block.language == "text":
            assert not PROGRAMS.search(block.text), f"{name}: a command as text\n{block.text}"
        if block.language == "toml" and not block.file:
            assert exception(name, block.text), f"{name}: neither a file nor listed\n{block.text}"


@pytest.mark.parametrize("name", PAGES)
def test_no_command_is_hidden_in_indented_code(name: str) -> None:
    outside = FENCE.sub("", page(name))
    assert [line for line in INDENTED.findall(outside) if PROGRAMS.match(line)] == []


@pytest.mark.parametrize("name", sorted(DATA))
def test_what_is_not_run_is_on_its_page_and_has_a_reason(name: str) -> None:
    texts = [block.text for block in blocks(page(name))]
    lines = [
        command.line
        for block in blocks(page(name))
        if block.language == "console"
        for command in commands(block)
    ]
    for entry in said(name).get("not_run", []):
        begun = [text for text in (*texts, *lines) if text.startswith(entry["begins"])]
        assert begun, f"{name} has nothing that begins with {entry['begins']!r}"
        if "stands_in" in entry:
            held = (ROOT / entry["stands_in"]).read_text("utf-8")
            assert all(text in held for text in begun), f"{entry['stands_in']} has another text"
        else:
            assert entry["reason"].endswith(".")


def test_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/sweeps.md", "reference/README.md"} <= set(PAGES)
    assert len(RUN) > 10


def test_blocks_commands_and_files_are_read() -> None:
    text = "1. a\n\n   ```console\n   $ a \\\n       b  # exits 2\n   c…\n   $ d\n   ```\n"
    (block,) = blocks(text)
    assert list(commands(block)) == [Command("a b", 2, ["c…"]), Command("d")]
    assert Block("python", "# a.py\nimport b\n").file == "a.py"
    assert Block("python", "import b\n").file is None
    assert blocks("```\na\n```\n") == [Block("", "a\n")]


def test_a_value_that_is_another_fails() -> None:
    text, values = shown("a = 2 / 3  # two thirds\na  # 0.66…, about\n# no code  # 1\n")
    assert text == "a = 2 / 3  # two thirds\nprint(repr(a))\n# no code  # 1\n"
    assert values == ["0.66…"]
    require(values, "0.6666666666666666\n", "")
    with pytest.raises(AssertionError, match=r"'0\.66…' is not in"):
        require(values, "0.6766666666666666\n", "")


def test_a_line_that_is_not_printed_fails() -> None:
    require(["a … d", "e"], "a b\nc d\n e", "")
    with pytest.raises(AssertionError, match="'x' is not in"):
        require(["x"], "a", "")
    with pytest.raises(AssertionError, match="order"):
        require(["b", "a"], "a b", "")

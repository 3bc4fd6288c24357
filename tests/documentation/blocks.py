"""The fenced blocks of the documents, the commands in them, and what pages.toml says of each."""

import re
import subprocess
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA = tomllib.loads(Path(__file__).with_name("pages.toml").read_text("utf-8"))
FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"\$ (?P<line>.+?)(?:  # exits (?P<code>\d+))?")
FILE = re.compile(r"# ([\w./-]+\.(?:py|toml|json))")
# Files are written, Python is run, and text is no code.
LANGUAGES = {"console", "bash", "python", "toml", "text"}


def documents() -> list[str]:
    """Return the documents of the repository, by path."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = set(listed.stdout.splitlines())
    return sorted(p for p in paths if not p.startswith(".github/") and (ROOT / p).exists())


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text, without the indentation of the fence."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """Return the name of the file that the block is, which stands in its first line."""
        match = FILE.fullmatch(self.text.partition("\n")[0])
        return match[1] if match and self.language in ("python", "toml") else None


@dataclass(frozen=True)
class Command:
    """A command line, the code that it exits with, and the lines that it prints."""

    line: str
    code: int = 0
    printed: list[str] = field(default_factory=list)


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    return [Block(language, textwrap.dedent(body)) for _, language, body in FENCE.findall(text)]


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a console block; a backslash at the end of a line goes on with it."""
    assert block.text.startswith("$ "), f"a console block begins with '$ ': {block.text}"
    current: Command | None = None
    for line in re.sub(r" *\\\n *", " ", block.text).splitlines():
        match = COMMAND.fullmatch(line)
        if match:
            if current:
                yield current
            current = Command(match["line"], int(match["code"] or 0))
        elif current:
            current.printed.append(line)
    if current:
        yield current


def page(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / name).read_text("utf-8")


def said(name: str) -> dict[str, Any]:
    """Return what pages.toml says of a page."""
    return dict(DATA.get(name, {}))


def exception(name: str, text: str) -> dict[str, str] | None:
    """Return the entry of pages.toml for a command or a block of a page that is not run."""
    for entry in said(name).get("not_run", []):
        if text.startswith(entry["begins"]):
            return dict(entry)
    return None

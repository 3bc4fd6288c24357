"""The terminal: where commands print, and how they refuse."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import (
    Console,
    ConsoleOptions,
    ConsoleRenderable,
    RenderableType,
    RenderHook,
)
from rich.measure import Measurement
from rich.segment import Segment

from bce_conformance.backends.names import similar
from bce_conformance.conformance.run import Exit

if TYPE_CHECKING:
    from bce_conformance.results.model import Results

_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10)
}
# What reverses the direction of text can make a line say something else.
_CONTROLS |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def visible(text: str) -> str:
    r"""A text whose control characters are written out, so that no terminal obeys them.

    Example:
        >>> visible("a\x1b[31mb")
        'a\\x1b[31mb'
    """
    return text.translate(_CONTROLS)


class _Shown:
    """What is printed, its control characters written out; rich's own styles stay."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._renderable)


class _Hook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Wrap each thing that is printed."""
        return [_Shown(one) for one in renderables]


console = Console(emoji=False)
errors = Console(stderr=True, emoji=False)
for _one in (console, errors):
    _one.push_render_hook(_Hook())


def write_all_characters() -> None:
    """Let a terminal of few characters, such as ASCII, have escapes in place of the others."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold ``--out`` while it is written into; leave where it cannot be, or a run holds it."""
    from bce_conformance.conformance.running import folder

    require_writable(out)
    with ExitStack() as until_the_end:
        try:
            until_the_end.enter_context(folder.held(out))
        except ValueError as error:
            misuse(str(error))
        yield


def print_json(document: Any) -> None:
    """Print a document for programs: no colour, and no line is broken."""
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    # JSON writes out those below the blank; the others that terminals obey are written out here.
    typer.echo(re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))


def is_there(path: Path) -> bool:
    """Whether a file or folder exists; what the system refuses as a name does not."""
    try:
        return path.exists()
    except OSError:
        return False


def read(path: Path, *, measured_by: str = "run") -> Results:
    """Read a results.json, given as such or as its folder; leave where there is none.

    Args:
        path: the file or the folder.
        measured_by: the command that makes one, for the message.
    """
    from bce_conformance.results import reading

    file = path if path.suffix == ".json" else path / "results.json"
    try:
        there = file.exists() or file.is_symlink()
    except OSError as error:
        misuse(f"{path} cannot be read: {error.strerror}; name another file or folder")
    if not there:  # one that leads nowhere is read, which tells
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

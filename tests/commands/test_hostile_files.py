"""Files that no run wrote: each command says what is wrong and where, and waits for nothing."""

import copy
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bce_conformance.cli import app
from bce_conformance.results.reading import ResultsError, read
from tests.reports.conftest import build

Document = dict[str, Any]
ledger = importlib.import_module("bce_conformance.commands.ledger")
LIMIT = 300  # seconds, on a machine that is busy with other tests
RAW = "\x00\x07\x1b\x7f\x9b\u202e"
ESCAPES = "\x1b]0;owned\x07\x1b[31m\x9b31m\x00\u202e"
SCRIPT = '</script><script>alert(1)</script><img src=x onerror="alert(1)">[bold red]'
COMMANDS = ("report", "compare", "compared", "findings", "ledger", "explain", "history")


class TookTooLongError(BaseException):
    """Not an ``Exception``: no command may take it for one of its own."""


@pytest.fixture(autouse=True)
def _nothing_hangs() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise TookTooLongError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def small() -> Document:
    return build(per_family=1, curve_points=4)


@pytest.fixture(scope="module")
def text(small: Document) -> str:
    return json.dumps(small)


@pytest.fixture
def folders(text: str, tmp_path: Path) -> tuple[Path, Path]:
    """One with results as they should be, and an empty one."""
    good, folder = tmp_path / "good", tmp_path / "folder"
    for one in (good, folder):
        one.mkdir()
    (good / "results.json").write_text(text, encoding="utf-8")
    return good, folder


def _run(command: str, folder: Path, good: Path) -> Result:
    """One command on a folder with a results.json that is not as it should be."""
    arguments: dict[str, list[Path | str]] = {
        "report": ["report", folder],
        "compare": ["compare", good, folder],
        "compared": ["compare", folder, good, "--html", folder / "page.html"],
        "findings": ["findings", folder],
        "ledger": ["ledger", "check", folder],
        "explain": ["explain", "--call", folder / "results.json"],
        "history": ["history", str(folder)],
    }
    return CliRunner().invoke(app, list(map(str, arguments[command])))


def _refused(result: Result) -> str:
    """What a command said that ended with misuse, and with no exception that it did not expect."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert not set(RAW) & set(result.output)
    return " ".join(result.output.split())


def _pipe(place: Path) -> None:
    os.mkfifo(place)


def _link_to_a_pipe(place: Path) -> None:
    os.mkfifo(place.with_name("pipe"))
    place.symlink_to("pipe")


def _link_to_itself(place: Path) -> None:
    place.symlink_to(place.name)


def _link_without_end(place: Path) -> None:
    place.symlink_to("/dev/zero")


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (_pipe, "is a pipe, not a file"),
    "folder": (Path.mkdir, "results.json"),
    "link to a pipe": (_link_to_a_pipe, "is a pipe, not a file"),
    "link to itself": (_link_to_itself, "symbolic links"),
    "link to /dev/zero": (_link_without_end, "is a device, not a file"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_at_once(
    kind: str, command: str, folders: tuple[Path, Path]
) -> None:
    make, told = KINDS[kind]
    good, folder = folders
    make(folder / "results.json")
    said = _refused(_run(command, folder, good))
    if command != "history":  # which takes a backend, and says so
        assert str(folder) in said
        assert told in said or (kind == "folder" and "is a folder" in said)


DIGITS = "7" * 5001
CONTENTS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "not UTF-8": (lambda t: t.encode().replace(b"log(1", b"log\xff(1", 1), "not UTF-8 at byte "),
    "NaN": (lambda t: t.replace("0.2512", "NaN", 1).encode(), "NaN is no finite number"),
    "Infinity": (lambda t: t.replace("0.2512", "-Infinity", 1).encode(), "-Infinity is no finite"),
    "1e999": (lambda t: t.replace("0.2512", "1e999", 1).encode(), "1e999 is no finite number"),
    "5,001 digits": (
        lambda t: t.replace("65536", DIGITS, 1).encode(),
        "an integer has 5001 digits; at most 4300 are read",
    ),
    "400 digits": (
        lambda t: t.replace("0.2512", "7" * 400, 1).encode(),
        "an integer is beyond float64",
    ),
    "deep": (lambda t: b"[" * 10**5, "nested too deeply"),
    "deep, closed": (
        lambda t: f'{t[:-1]}, "x": {"[" * 10**5}{"]" * 10**5}}}'.encode(),
        "nested too deeply",
    ),
    "half a pair": (lambda t: t.replace("log(1", "\\udce9log(1", 1).encode(), "cells[21].reason: "),
    "half a pair in a name": (
        lambda t: t.replace('"reason"', '"\\ud800"', 1).encode(),
        "cells[0].a name: has half of a surrogate pair",
    ),
    "unknown verdict": (
        lambda t: t.replace('"AAA"', json.dumps(ESCAPES), 1).encode(),
        "cells[0].verdict: ",
    ),
    "unknown field": (
        lambda t: t.replace('"reason"', json.dumps(ESCAPES), 1).encode(),
        "cells[0]: ",
    ),
    "another schema": (
        lambda t: t.replace('"schema": 1', f'"schema": {json.dumps(ESCAPES)}').encode(),
        "schema: ",
    ),
    "empty": (lambda t: b"", "not JSON at line 1, column 1"),
    "a list": (lambda t: b"[]", "the document: "),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_results_is_refused_and_the_place_is_told(
    content: str, text: str, folders: tuple[Path, Path]
) -> None:
    make, told = CONTENTS[content]
    good, folder = folders
    (folder / "results.json").write_bytes(make(text))
    for command in COMMANDS:
        said = _refused(_run(command, folder, good))
        if command not in ("history", "explain"):
            assert str(folder / "results.json") in said
            assert told in said
    numbers = ("NaN", "Infinity", "1e999", "5,001 digits")
    if content in numbers:
        with pytest.raises(ResultsError, match=r": line 1, column \d+: "):
            read(folder)


def test_a_report_is_made_of_a_folder_alone(folders: tuple[Path, Path]) -> None:
    good, _ = folders
    other = good / "other.json"
    (good / "results.json").rename(other)
    result = CliRunner().invoke(app, ["report", str(other)])
    assert f"FOLDER is {other}; accepted is a folder with a results.json" in _refused(result)
    assert list(good.iterdir()) == [other]


def test_an_update_names_the_backend_and_the_file_that_are_wrong(
    text: str, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = folders
    quick = json.loads(text)
    quick["run"]["tier"] = "quick"
    first = quick["backends"][0]["id"]
    named = json.dumps(quick).replace(f'"{first}"', '"gone"')
    (folder / "results.json").write_text(named, encoding="utf-8")
    result = CliRunner().invoke(app, ["ledger", "update", str(folder)])
    assert "backend 'gone' is unknown" in _refused(result)

    def update(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/x/torch.toml")

    monkeypatch.setattr(ledger, "update", update)
    quick["run"]["tier"] = "default"
    (folder / "results.json").write_text(json.dumps(quick), encoding="utf-8")
    result = CliRunner().invoke(app, ["ledger", "update", str(folder)])
    assert "/x/torch.toml cannot be written: Permission denied; give a copy" in _refused(result)


def test_a_number_is_found_where_it_stands_and_not_in_a_text(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"NaN": "NaN \\" NaN",\n "x":\n  [1, NaN]}', encoding="utf-8")
    with pytest.raises(ResultsError, match="line 3, column 7: NaN is no finite number"):
        read(path)


def test_what_was_cut_off_anywhere_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    lengths = range(1, len(text), 1000)
    assert len(lengths) > 100
    for length in lengths:
        path.write_text(text[:length], encoding="utf-8")
        with pytest.raises(ResultsError, match=r"results.json: not JSON at line 1, column \d+: "):
            read(path)


def _everywhere(document: Document, added: str) -> Document:
    """The document with a text after every text that may be any."""
    document = copy.deepcopy(document)
    names = ("requirement", "backend", "device")
    for cell in document["cells"]:
        cell |= {name: cell[name] + added for name in (*names, "reason", "detail", "reproduce")}
        cell |= {"log": added, "expected": False}
    for one in (*document["curves"], *document["maps"]):
        one |= {name: one[name] + added for name in ("backend", "device")}
    for entry in document["requirements"]:
        entry |= {name: entry[name] + added for name in ("id", "family", "text")}
    for entry in document["backends"]:
        fields = ("id", "framework", "version", "variant", "status")
        entry |= {name: entry[name] + added for name in fields}
        entry |= {"composed": [added], "notes": [added], "instruction_set": added}
    run = document["run"]
    run |= {"id": added, "argv": [added], "commit": added, "leaves_out": [added]}
    run["host"] |= dict.fromkeys(("cpu", "os", "python", "instruction_set"), added)
    for one in document["timings"]["measurements"]:
        one |= {name: one[name] + added for name in ("series", "group")}
    return document


@pytest.mark.parametrize("added", [ESCAPES, SCRIPT], ids=["escapes", "script"])
@pytest.mark.parametrize("command", ["report", "compare", "compared", "findings", "ledger"])
def test_texts_of_any_kind_are_shown_and_never_obeyed(
    command: str, added: str, small: Document, folders: tuple[Path, Path]
) -> None:
    good, folder = folders
    bad = json.dumps(_everywhere(small, added))
    (folder / "results.json").write_text(bad, encoding="utf-8")
    result = _run(command, folder, good)
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code in (0, 1)
    assert not set(RAW) & set(result.output)
    shown = r"\x1b[31m" if added == ESCAPES else "</script><script>alert(1)</script>"
    assert shown in "".join(result.output.split()) or command == "compared"
    for page in folder.glob("*.html"):
        assert "<script>alert" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["md", "csv", "junit", "json", "latex", "badge"])
def test_exports_take_texts_of_any_kind(form: str, small: Document, tmp_path: Path) -> None:
    bad = json.dumps(_everywhere(small, ESCAPES))
    (tmp_path / "results.json").write_text(bad, encoding="utf-8")
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--format", form])
    assert result.exit_code == 0, result.output
    assert not set(RAW) & set(result.output)


def test_findings_for_programs_have_no_escapes_either(small: Document, tmp_path: Path) -> None:
    bad = json.dumps(_everywhere(small, ESCAPES))
    (tmp_path / "results.json").write_text(bad, encoding="utf-8")
    result = CliRunner().invoke(app, ["findings", str(tmp_path), "--json"])
    assert result.exit_code == 0
    assert not set("\x00\x07\x1b\x7f\x9b") & set(result.output)
    assert any(ESCAPES in entry["title"] for entry in json.loads(result.output))


def test_a_terminal_of_few_characters_gets_escapes(small: Document, tmp_path: Path) -> None:
    document = copy.deepcopy(small)
    for cell in document["cells"]:
        cell["reason"] = "x → −∞"
    (tmp_path / "results.json").write_text(json.dumps(document), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "bce_conformance", "findings", str(tmp_path)],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"x \u2192 \u2212\u221e" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["report", "findings", "ledger"])
def test_a_hundred_thousand_cells_are_shown(command: str, tmp_path: Path) -> None:
    document = build(per_family=834, curve_points=4)
    assert len(document["cells"]) > 10**5
    (tmp_path / "results.json").write_text(json.dumps(document), encoding="utf-8")
    result = _run(command, tmp_path, tmp_path)
    assert result.exit_code in (0, 1), result.output
    assert result.output
    if command == "report":
        assert "100\u202f080" in (tmp_path / "report.html").read_text(encoding="utf-8")

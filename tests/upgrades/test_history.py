"""``history``: releases installed from an index, measured, kept, and the one in which it moved."""

import json
import re
import signal
import time
from pathlib import Path

import pytest

from tests.upgrades import toy_index
from tests.upgrades.command_line import LITTLE, command, started

HISTORY = ("history", "toy", "VAL-1", "--dtype=float32")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return toy_index.environment(tmp_path_factory.mktemp("toy"))


@pytest.mark.slow
def test_the_release_in_which_a_cell_moved_is_found_and_kept(
    index: dict[str, str], tmp_path: Path
) -> None:
    written = ("--json=h.json", "--html=h.html")
    done = command(tmp_path, *HISTORY, "--versions=1.0:1.5", *written, **index)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("1.")}
    assert re.search(r"^1.1 +A, [67]", rows["1.1"])
    assert re.search(r"^1.4 +AAA, 0.5 ULP", rows["1.4"])
    assert "moved in 1.4 or 1.2, 1.3, which could not be measured, after 1.1:" in done.stdout
    assert "1.2: left out: cannot be installed: " in done.stdout
    assert "nowhere-to-be-found" in done.stdout
    assert "1.3: left out: raised OSError: libframework.so: undefined symbol" in done.stdout
    assert "1 of 1 cells moved, in 1.4" in done.stdout
    assert "1.0: installing toy 1.0\n1.0: measuring\n1.0: 1 cells in " in done.stderr
    document = json.loads((tmp_path / "h.json").read_text("utf-8"))
    assert document["moves"][0]["release"] == "1.4"
    assert "VAL-1" in (tmp_path / "h.html").read_text("utf-8")
    again = command(tmp_path, *HISTORY, "--versions=1.0,1.1,1.4,1.5", "--csv", **index)
    assert (again.returncode, again.stderr) == (0, "")  # nothing is measured twice
    assert "\ntoy,1.4,VAL-1,cpu,float32,AAA,0.499987,better,1.1,A,6.4855\n" in again.stdout
    compared = command(tmp_path, "compare", "toy@pip=1.4", "toy@pip=1.1", *LITTLE, **index)
    assert compared.returncode == 1, compared.stderr
    assert "1 worse" in compared.stdout


@pytest.mark.slow
def test_an_interrupted_history_goes_on_where_it_stopped(
    index: dict[str, str], tmp_path: Path
) -> None:
    asked = ("history", "toy", "VAL", "--dtype=float32", "--versions=1.5,1.6", "--json=h.json")
    process = started(tmp_path, *asked, **index)
    deadline = time.monotonic() + 400
    journals: list[Path] = []
    while time.monotonic() < deadline and process.poll() is None:
        journals = list((Path(index["BCE_CONFORMANCE_CACHE"]) / "history").glob("*/journal.jsonl"))
        if any(
            journal.read_bytes().count(b'"cell"') > 2 for journal in journals if is_slow(journal)
        ):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "interrupted; the same command goes on where it stopped" in errors
    done = command(tmp_path, *asked, **index)
    assert done.returncode == 0, done.stderr
    cells = len(json.loads((tmp_path / "h.json").read_text("utf-8"))["cells"])
    (told,) = re.findall(r"^1.6: (\d+) cells in", done.stderr, re.MULTILINE)
    assert 0 < int(told) <= cells - 3


def is_slow(journal: Path) -> bool:
    """Whether a journal is that of the release that takes its time."""
    return b"toy@pip=1.6" in journal.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("history", "native", "--versions=1:2"), "has no releases; name one of a framework"),
        (("history", "toy", "--versions=2.0:"), "it offers 7, 1.0 to 1.6"),
        (("history", "toy", "NO-1", "--versions=1.0:"), "requirement 'NO-1' is unknown"),
        (("history", "toy@pip=1.0", "--versions=1.0:"), "each once"),
        (("history", "autograd", "--versions=1.0:"), "pip lists no releases of autograd"),
        pytest.param(
            ("history", "toy", "VAL-1", "--versions=1.2,1.3"),
            "1.3: raised OSError: libframework.so",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_has_no_history_is_said(
    index: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = command(tmp_path, *arguments, **index)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert "Traceback" not in done.stderr

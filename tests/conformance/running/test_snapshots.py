"""What was measured so far is handed out while a run goes on, ever more seldom."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bce_conformance.conformance.running.progress import GROWTH, Snapshots


def test_they_come_ever_more_seldom() -> None:
    begin, handed, third = time.monotonic(), list[float](), threading.Event()

    class Some:
        cells = ("one",)

    def hand_out(found: object) -> None:
        handed.append(time.monotonic() - begin)
        if len(handed) == 3:
            third.set()

    made = Snapshots(Some, hand_out, first=0.2)  # type: ignore[arg-type]
    assert third.wait(30)
    made.close()
    until_closed = len(handed)
    assert all(at >= 0.2 * GROWTH**number for number, at in enumerate(handed))
    time.sleep(0.5)
    assert len(handed) == until_closed


def test_nothing_is_handed_out_before_there_is_a_cell() -> None:
    class Nothing:
        cells = ()

    asked, handed = threading.Event(), list[object]()

    def take() -> Nothing:
        asked.set()
        return Nothing()

    made = Snapshots(take, handed.append, first=0.01)  # type: ignore[arg-type]
    assert asked.wait(30)
    made.close()
    assert handed == []


SCRIPT = """
import sys
from pathlib import Path
from bce_conformance.conformance.run import run
from bce_conformance.conformance.running.progress import Progress, Snapshots
from bce_conformance.conformance.settings import Settings
from bce_conformance.reports import html

Snapshots.__init__.__defaults__ = (0.5,)
folder, pages = Path(sys.argv[1]), []


def so_far(found):
    assert found.run.interrupted
    html.write(found, folder / "report.html", so_far_of=99)
    print(len(found.cells), (folder / "report.html").read_text().count("So far: "))


settings = Settings(("impaired:Slow",), tier="quick", requirements=("VAL",), dtypes=("float32",))
code = run(settings, folder / "results.json", Progress(), print, print, so_far=so_far)
print("end", code.name, len(list(folder.glob("journal*"))))
"""


@pytest.mark.slow
def test_a_run_hands_out_some_of_its_cells(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    *pages, end = [line.split() for line in done.stdout.splitlines()]
    assert end[0] == "end"
    assert end[2] == "0"
    assert pages
    assert all(shown == "1" for _, shown in pages)
    cells = [int(number) for number, _ in pages]
    assert cells == sorted(set(cells))

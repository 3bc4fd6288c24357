"""Progress is true, shows life without a terminal, and leaves no control sequence there."""

import io
import re
import time
from typing import Any

import pytest
from rich.console import Console

from bce_conformance.conformance.running.progress import Spent
from bce_conformance.results.cells import Cell, Place
from bce_conformance.results.model import Probed
from bce_conformance.terminal.pace import Pace, clock
from bce_conformance.terminal.progress import (
    STEPS,
    Bar,
    Lines,
    Silent,
    parts_line,
    reporter,
    slow_line,
    state,
)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def cell(name: str = "VAL-1/torch/cpu/float32", expected: bool = True) -> Cell:
    blank: Any = {"reason": "", "inputs": 1, "evidence": "searched", "ulp": None, "worst": None}
    return Cell(*Place.parse(name), "A", expected, **blank, detail="", reproduce="")


def places(requirement: str = "VAL-1", **cells: int) -> list[Place]:
    """So many cells of each backend."""
    return [
        Place(requirement, name, "cpu", "float32") for name in cells for _ in range(cells[name])
    ]


def lines(**options: Any) -> tuple[Lines, io.StringIO]:
    stream = io.StringIO()
    return Lines(Console(file=stream), **options), stream


def test_a_line_comes_while_nothing_finishes() -> None:
    shown, stream = lines(interval=0.05)
    with shown:
        shown.starting(["torch", "jax"])
        shown.up("torch")
        time.sleep(0.3)
        waiting = stream.getvalue()
        shown.up("jax")
        shown.measuring([], places(torch=3, jax=5))
        time.sleep(0.3)
    assert waiting.count("still starting: jax\n") >= 2
    assert waiting.startswith("reading the checks\nstarting torch, jax\n")
    assert stream.getvalue().count("0 of 8 cells, behind: jax (5 to do)\n") >= 2


def test_every_part_of_a_run_has_one_line_and_no_other_cell_has() -> None:
    shown, stream = lines()
    with shown:
        shown.measuring(["what is measured"], places(torch=1000))
        for _ in range(1000):
            shown.finished(cell(), Spent(0.0, 0.001))
    printed = stream.getvalue().splitlines()
    assert printed[:3] == ["reading the checks", "what is measured", "cells to measure: 1000"]
    counts = [int(found[1]) for line in printed if (found := re.search(r"(\d+) of 1000", line))]
    assert counts == [1000 // STEPS * step for step in range(1, STEPS + 1)]
    assert "\x1b" not in stream.getvalue()


def test_verbose_names_every_cell() -> None:
    shown, stream = lines(verbose=True)
    with shown:
        shown.measuring([], places(torch=2))
        shown.finished(cell(), Spent(1.0, 0.5))
        shown.finished(cell("VAL-2/torch/cpu/float32", expected=False), Spent(0.0, 0.0))
    assert "   1.50 s  VAL-1/torch/cpu/float32: A\n" in stream.getvalue()
    assert "VAL-2/torch/cpu/float32: A, worse than known: AAA\n" in stream.getvalue()


@pytest.mark.parametrize(
    ("stream", "term", "kind"),
    [
        (Terminal(), "xterm", Bar),
        (Terminal(), "dumb", Lines),
        (io.StringIO(), "xterm", Lines),
    ],
)
def test_a_bar_needs_a_terminal_that_draws(
    stream: io.StringIO, term: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")  # a pipe is no terminal for all that
    assert type(reporter(Console(file=stream))) is kind
    assert type(reporter(Console(file=stream), quiet=True)) is Silent


def test_the_bar_says_what_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Bar(Console(file=stream, width=80, force_terminal=True)) as shown:
        shown.measuring(["what is measured"], places(torch=2))
        shown.finished(cell(), Spent(0.1, 0.0))
        time.sleep(0.6)
    assert "what is measured" in stream.getvalue()
    assert "behind: torch (1 to do)" in stream.getvalue()


def test_the_time_left_is_that_of_the_cells_left(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    pace = Pace()
    pace.measure(places(torch=10, jax=4))
    assert pace.seconds_left() is None
    moment[0] = 4.0
    pace.finish(cell(), Spent(3.0, 1.0))  # torch: 4 s a cell
    pace.finish(cell("VAL-1/jax/cpu/float32"), Spent(3.0, 1.0))
    # 9 + 3 cells of 4 s, two at once, are 24 s; but torch alone needs 9 · 4 s.
    assert pace.seconds_left() == pytest.approx(36.0)
    assert pace.behind() == ("torch", 9)
    for _ in range(3):
        pace.finish(cell("VAL-1/jax/cpu/float32"), Spent(12.0, 4.0))
    # jax: 16 s a cell, its last; torch, of which one cell is known, is taken to need as much.
    assert pace.seconds_left() == pytest.approx(9 * (4 + 16 + 16) / 3)
    pace.finish(cell(), Spent(600.0, 0.0))  # as of one that compiled
    assert pace.seconds_left() == pytest.approx(8 * 4.0)
    for _ in range(8):
        pace.finish(cell(), Spent(1.0, 0.0))
    assert (pace.seconds_left(), pace.behind()) == (0.0, None)


def test_what_was_slow_is_named() -> None:
    shown = Silent()
    shown.measuring([], places(torch=1, jax=1))
    shown.finished(cell(), Spent(4.0, 8.0))
    shown.finished(cell("GRAD-1/jax/cpu/float32"), Spent(2.0, 1.0))
    assert slow_line(shown.pace) == "slowest: torch 12 s, jax 3 s; VAL-1 12 s, GRAD-1 3 s"
    assert slow_line(Pace()) == ""
    assert "judging: 0:09 of processor time), report 1:05" in parts_line(shown.pace, 65.0)


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (247, "4:07"), (3725, "1:02:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_few_cells_tell_nothing_of_the_time_left() -> None:
    pace = Pace()
    pace.measure(places(torch=100))
    for done in range(1, 5):
        pace.finish(cell(), Spent(40.0, 1.0))
        assert (pace.seconds_left() is None) == (done < 3)


def test_drawn_calls_are_estimated_by_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    pace = Pace()
    pace.measure([*places(torch=2, jax=2), *places("ANY-1", torch=1, jax=1)])
    moment[0] = 11.0
    for name in ("torch", "jax"):
        for _ in range(2):
            pace.finish(cell(f"VAL-1/{name}/cpu/float32"), Spent(5.0, 0.0))
    # All else took ten seconds: so drawn calls are taken to need as long.
    assert pace.seconds_left() == pytest.approx(10.0)
    assert pace.calls_done() is None
    torch, jax = (Probed(name, "cpu", "float32") for name in ("torch", "jax"))
    pace.drawn(torch, 0, 100)
    moment[0] = 15.0
    assert pace.seconds_left() == pytest.approx(6.0)
    pace.drawn(torch, 50, 100)  # the other, of which nothing is known, is taken to have as many
    assert pace.calls_done() == pytest.approx(0.25)
    assert pace.seconds_left() == pytest.approx(4.0 * 3)
    pace.drawn(jax, 0, 300)
    assert pace.calls_done() == pytest.approx(50 / 400)
    pace.finish(cell("ANY-1/torch/cpu/float32"), Spent(1.0, 1.0))
    assert pace.calls_done() == pytest.approx(100 / 400)
    pace.finish(cell("ANY-1/jax/cpu/float32"), Spent(1.0, 1.0))
    assert (pace.seconds_left(), pace.behind()) == (0.0, None)


def test_drawn_calls_alone_have_no_estimate_before_some_are_judged() -> None:
    shown, _ = lines()
    with shown:
        shown.measuring([], places("ANY-1", torch=1))
        shown.drawn(Probed("torch", "cpu", "float32"), 1, 100)
        assert shown.pace.seconds_left() is None
        shown.drawn(Probed("torch", "cpu", "float32"), 50, 100)
        assert state(shown.pace).endswith("left, drawn calls 50 %, behind: torch (1 to do)")


def test_two_slow_cells_of_many_tell_little_of_the_time_left() -> None:
    pace = Pace()
    pace.measure(places(torch=200, jax=200))
    for _ in range(20):
        pace.finish(cell(), Spent(0.1, 0.0))
    for _ in range(2):
        pace.finish(cell("VAL-1/jax/cpu/float32"), Spent(60.0, 0.0))
    left = pace.seconds_left()
    assert left is not None
    assert left < 60

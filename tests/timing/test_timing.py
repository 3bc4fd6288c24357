"""Side-by-side timings: ratios within a group, goals that are judged, sessions that end well."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from bce_conformance.backends import (
    BackendProcess,
    Failure,
    UnsupportedCall,
    builtin_backends,
    resolve,
)
from bce_conformance.backends.timing import Timer
from bce_conformance.backends.workload import Workload
from bce_conformance.bench_command import bench
from bce_conformance.cli import app
from bce_conformance.reports.results import from_document, read
from bce_conformance.reports.timings import brief, duration, noise
from bce_conformance.timing import document
from bce_conformance.timing.apart import START, TEMPORARY
from bce_conformance.timing.goals import APART, Goal, figure, goals, judge
from bce_conformance.timing.plan import LIMIT, Group, count, groups, title
from bce_conformance.timing.records import Timing, records
from bce_conformance.timing.session import Session

PLAIN = Workload(1_000_000)
FAST = "faulty:Echo"


def measured(
    times: dict[str, Sequence[float] | Failure], workload: Workload = PLAIN
) -> tuple[Timing, ...]:
    group = Group("sizes", tuple((name, workload) for name in times))
    return records(group, {(name, workload): rounds for name, rounds in times.items()})


# --- what is timed ---------------------------------------------------------------------------


class Sleeper:
    """An adapter whose thunk takes 20 ms and counts what is asked of it."""

    def __init__(self) -> None:
        self.bound = self.called = 0

    def bind(self, call: Any) -> Any:
        self.bound += 1

        def thunk() -> None:
            self.called += 1
            time.sleep(0.02)

        return thunk


def test_a_thunk_is_warmed_up_and_bound_once() -> None:
    sleeper = Sleeper()
    timer = Timer(sleeper)  # type: ignore[arg-type]
    first = timer.measure(Workload(32), 0.1)
    assert all(0.02 <= seconds < 0.1 for seconds in first)
    assert 2 <= len(first) <= 6
    assert sleeper.called == len(first) + 3 + 1
    timer.measure(Workload(32), 0.05)
    assert sleeper.bound == 1


def test_threads_are_held_to_one_and_let_go() -> None:
    class Threaded(Sleeper):
        extensions = ("threads",)
        count = 8

        def set_threads(self, count: int) -> int:
            before, self.count = self.count, count
            self.counts = [*getattr(self, "counts", []), count]
            return before

    threaded = Threaded()
    Timer(threaded).measure(Workload(32, threads=1), 0)  # type: ignore[arg-type]
    assert threaded.counts == [1, 8]
    with pytest.raises(UnsupportedCall, match="cannot set the number of threads"):
        Timer(Sleeper()).measure(Workload(32, threads=1), 0)  # type: ignore[arg-type]


def test_large_workloads_push_each_other_out() -> None:
    sleeper = Sleeper()
    timer = Timer(sleeper)  # type: ignore[arg-type]
    large, other = Workload(16_000_000), Workload(16_000_000, what="gradient")
    timer._bound[other] = lambda: None
    timer.measure(Workload(32), 0)
    assert set(timer._bound) == {other, Workload(32)}
    timer.measure(large, 0)
    assert set(timer._bound) == {Workload(32), large}


def test_a_process_times_and_says_why_it_cannot() -> None:
    with BackendProcess(resolve("native")) as process:
        seconds = process.time(Workload(32), 0.02)
        assert isinstance(seconds, list)
        assert all(1e-8 < one < 1e-2 for one in seconds)
        absent = process.time(Workload(32, device="cuda"), 0.02)
        assert absent == Failure("unsupported", "no device cuda")
        assert isinstance(process.time(Workload(32), 0.02), list)


# --- the plan --------------------------------------------------------------------------------


def test_the_default_plan_measures_what_every_goal_needs() -> None:
    backends = [spec.id for spec in builtin_backends()]
    timings = [
        timing
        for group in groups(backends)
        for timing in records(group, {entry: [1.0] for entry in group.entries})
    ]
    assert all(figure(goal, timings) is not None for goal in goals())


def test_sizes_are_those_asked_for() -> None:
    plan = groups(["torch"], [8000])
    assert {workload.size for group in plan for _, workload in group.entries} == {8000}
    assert [name for name, _ in plan[0].entries] == ["torch", "torch again"]
    with pytest.raises(ValueError, match="size is 7"):
        groups(["torch"], [7])


def test_no_workload_occurs_twice_in_a_kind_of_group() -> None:
    entries = [(g.name, *e) for g in groups(["native", "torch"]) for e in g.entries]
    assert len(entries) == len(set(entries))


@pytest.mark.parametrize(
    ("size", "text"), [(32, "32"), (1000, "1000"), (10**6, "10⁶"), (16_000_000, "1.6·10⁷")]
)
def test_counts_are_short(size: int, text: str) -> None:
    assert count(size) == text


def test_titles_tell_workloads_apart() -> None:
    both = replace(PLAIN, broadcasting="both", threads=1)
    assert title(PLAIN) == "forward · float32 · 10⁶"
    assert title(both) == "forward · float32 · 10⁶ · weights: both · one thread"


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (6e-6, "6 µs"), (7e-8, "70 ns")]
)
def test_durations_have_their_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("figure", "text"), [(1823.4, "1823"), (12.345, "12.3"), (0.31284, "0.313"), (3.2e-4, "3e-04")]
)
def test_figures_are_brief(figure: float, text: str) -> None:
    assert brief(figure) == text


# --- records ---------------------------------------------------------------------------------


def test_ratios_are_to_the_fastest_framework_and_the_limit() -> None:
    times = {"native": [1.0, 3.0, 2.0], "torch": [8.0], "jax": [6.0], "native again": [2.2]}
    rows = {row.series: row for row in measured(times | {LIMIT: [0.5]})}
    native = rows["native"]
    assert (native.seconds, native.low, native.high, native.rounds) == (2.0, 1.0, 3.0, 3)
    assert native.spread == 1.0
    assert native.to_fastest == 2 / 6
    assert native.to_limit == 4.0
    assert native.ns_per_element == 2000.0
    assert native.gb_per_s == 8e6 / 2 / 1e9
    assert rows["jax"].to_fastest == 1.0
    assert rows["torch"].to_fastest == 8 / 6


def test_a_failure_is_a_record_without_figures() -> None:
    (row,) = measured({"torch": Failure("crashed", "SIGSEGV")})
    assert row.status == "crashed: SIGSEGV"
    assert row.seconds is row.low is row.to_fastest is None
    assert row.rounds == 0
    assert math.isnan(row.spread)


def test_noise_is_the_second_process_over_the_first() -> None:
    host = {"cpu": "", "cores": 1, "memory_bytes": 0, "os": "", "python": ""}
    timed = {
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:00:00Z",
        "interrupted": False,
        "argv": [],
        "commit": "",
        "host": host,
        "rounds": 1,
        "versions": {},
        "measurements": [row.as_json() for row in measured({"a": [2.0], "a again": [3.0]})],
        "goals": [verdict.as_json() for verdict in judge((), {})],
    }
    run = {k: timed[k] for k in ("started", "finished", "argv", "commit", "host")}
    whole = {"schema": 1, "backends": [], "requirements": [], "cells": [], "timings": timed}
    results = from_document(whole | {"run": run | {"id": "1", "tier": "timings only"}})
    assert results.timings is not None
    assert noise(results.timings) == {PLAIN: 1.5}


# --- goals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("against", "bound", "other", "expected"),
    [
        ("limit", 1.3, {LIMIT: [1.0]}, (2.0, "missed")),
        ("limit", 2.0, {LIMIT: [1.0]}, (2.0, "met")),
        ("fastest framework", 3.0, {"torch": [6.0], "jax": [8.0]}, (3.0, "met")),
        ("fastest framework", 3.0, {"torch": [5.9], "native again": [9.0]}, (2.95, "missed")),
        ("fastest framework", 3.0, {LIMIT: [9.0]}, (None, "not measured")),
    ],
)
def test_goals_are_judged_by_neighbours(
    against: Any, bound: float, other: dict[str, list[float]], expected: tuple[float | None, str]
) -> None:
    goal = Goal(PLAIN, against, bound)
    timings = measured({"native": [2.0], **other})
    found = figure(goal, timings)
    assert found == pytest.approx(expected[0])
    verdict = replace(judge((), {})[0], bound=bound, at_most=goal.at_most, figure=found)
    assert verdict.verdict == expected[1]


def test_a_ratio_is_never_taken_across_groups() -> None:
    own = measured({"native": [2.0]})
    limit = tuple(replace(row, group="elsewhere") for row in measured({LIMIT: [1.0]}))
    assert figure(Goal(PLAIN, "limit", 2.0), (*own, *limit)) is None


def test_the_other_goals() -> None:
    one, both = replace(PLAIN, threads=1), replace(PLAIN, broadcasting="both")
    times = {PLAIN: 2.0, one: 3.0, both: 2.5}
    group = Group("inputs", tuple(("native", w) for w in times))
    timings = records(group, {("native", w): [t] for w, t in times.items()})
    assert figure(Goal(PLAIN, "one thread", 1.7), timings) == 1.5
    assert figure(Goal(both, "plain call", 1.3), timings) == 1.25
    assert figure(Goal(PLAIN, "clock", 5.0), timings) == 2e6


def test_without_figures_nothing_is_met() -> None:
    assert {verdict.verdict for verdict in judge((), {})} == {"not measured"}
    assert judge((), {START: 1.0})[-1].verdict == "met"
    assert judge((), {START: 2.0})[-1].verdict == "missed"


# --- sessions --------------------------------------------------------------------------------


def session(plan: Sequence[Group], rounds: int = 2) -> Session:
    names = {name for group in plan for name, _ in group.entries}
    return Session([resolve(name) for name in names], plan, rounds)


def test_a_session_takes_turns_and_keeps_failures() -> None:
    small = Workload(32)
    absent = replace(small, device="cuda")
    plan = [Group("sizes", ((FAST, small), ("native", absent)))]
    told: list[str] = []
    one = session(plan)
    try:
        one.run(told.append)
    finally:
        one.close()
    echo, native = one.timings
    assert echo.seconds is not None
    assert (echo.rounds, echo.status) == (2, "ok")
    assert native.status == "unsupported: no device cuda"
    assert len(told) == one.steps == 4 + len(APART)
    assert set(one.apart) == set(APART)
    assert 0.4 < one.apart["float32, all kinds of inputs and weights: ULP"] < 1
    assert 0.01 < one.apart[START] < 60
    assert 0 < one.apart[TEMPORARY] < 100
    assert not one.interrupted


def test_an_interrupted_session_keeps_what_it_measured() -> None:
    plan = [Group("sizes", ((FAST, Workload(size)),)) for size in (32, 64)]
    one = session(plan)

    def told(name: str) -> None:
        if name.endswith("64"):
            raise KeyboardInterrupt

    try:
        one.run(told)
    finally:
        one.close()
    assert one.interrupted
    assert [(row.size, row.rounds) for row in one.timings] == [(32, 2), (64, 1)]
    timed = document.timings(one, started=document.now(), argv=["bench"])
    assert timed["goals"] == []
    found = from_document(document.document(one, timed))
    assert found.run.interrupted
    assert found.timings is not None
    assert found.timings.versions == {FAST: "1"}


# --- the command -----------------------------------------------------------------------------

runner = CliRunner()


def invoke(*arguments: str) -> tuple[int, str]:
    result = runner.invoke(app, ["bench", *arguments], env={"COLUMNS": "120", "NO_COLOR": "1"})
    return result.exit_code, result.output


def test_bench_writes_results_and_keeps_the_run_that_is_there(tmp_path, document_of_a_run) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document_of_a_run), "utf-8")
    arguments = ("--backend", FAST, "--size", "32", "--rounds", "1", "--out", str(tmp_path))
    code, output = invoke(*arguments)
    assert code == 0, output
    assert "forward · float32 · 32" in output
    assert "A/A" in output
    found = read(path)
    assert found.run.id == document_of_a_run["run"]["id"]
    assert len(found.cells) == len(document_of_a_run["cells"])
    assert found.timings is not None
    assert {row.series for row in found.timings.measurements} == {FAST, f"{FAST} again"}
    assert (tmp_path / "report.html").read_text("utf-8").count('id="timing-chart"') == 1
    # A run of the matrix into the same folder keeps the timings.
    kept = document.kept_timings(path)
    path.write_text(json.dumps(document_of_a_run), "utf-8")
    document.keep_timings(path, kept)
    assert read(path).timings == found.timings


def test_bench_alone_writes_a_report_without_cells(tmp_path) -> None:
    arguments = ("--backend", FAST, "--size", "32", "--rounds", "1", "--out", str(tmp_path))
    assert invoke(*arguments)[0] == 0
    assert read(tmp_path / "results.json").cells == ()
    result = runner.invoke(app, ["ledger", "check", str(tmp_path)])
    assert result.exit_code == 2
    assert "timings only" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "nope"], "backend 'nope' is unknown"),
        (["--size", "33"], "size is 33; accepted are multiples of 8"),
        (["--rounds", "0"], "--rounds"),
    ],
)
def test_misuse_exits_2(arguments: list[str], message: str) -> None:
    code, output = invoke(*arguments)
    assert code == 2
    assert message in " ".join(output.split())


def test_measuring_nothing_is_no_success(tmp_path) -> None:
    arguments = ("--backend", "faulty:NotInstalled", "--size", "32", "--out", str(tmp_path))
    code, output = invoke(*arguments)
    assert code == 1
    assert "nothing was measured" in output
    assert not (tmp_path / "results.json").exists()


def test_the_command_says_what_it_does() -> None:
    assert bench.__doc__ is not None
    assert runner.invoke(app, ["bench", "--help"]).exit_code == 0

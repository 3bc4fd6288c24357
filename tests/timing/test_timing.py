"""Side-by-side timings: ratios within a group, goals that are judged, sessions that end well."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.backends import (
    Failure,
    builtin_backends,
    resolve,
)
from bce_conformance.backends.measuring import real_time
from bce_conformance.backends.measuring.workload import Workload
from bce_conformance.reports.timings import brief, duration, noise
from bce_conformance.results.host import now
from bce_conformance.results.model import Timing
from bce_conformance.results.reading import from_document
from bce_conformance.results.writing import document, plain
from bce_conformance.timing import outcome
from bce_conformance.timing.goals import NAME, UNPAIRED, Goal, figure, goals, judge, write
from bce_conformance.timing.plan import LIMIT, Group, count, groups, has_goals, title
from bce_conformance.timing.records import records
from bce_conformance.timing.session import Session
from bce_conformance.timing.unpaired_goals import START, TEMPORARY

PLAIN = Workload(1_000_000)
FAST = "faulty:Echo"


def measured(
    times: dict[str, Sequence[float] | Failure], workload: Workload = PLAIN
) -> tuple[Timing, ...]:
    group = Group("sizes", tuple((name, workload) for name in times))
    return records(group, {(name, workload): rounds for name, rounds in times.items()})


# --- the plan --------------------------------------------------------------------------------


def test_the_default_plan_measures_what_every_goal_needs() -> None:
    backends = [spec.id for spec in builtin_backends() if not spec.on_request]
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


def test_elsewhere_there_are_cold_caches_and_neither_limit_nor_goals() -> None:
    plan = groups(["native", "torch"], [32, 1_000_000], "cuda:1")
    entries = [entry for group in plan for entry in group.entries]
    assert {workload.device for _, workload in entries} == {"cuda:1"}
    assert {name for name, _ in entries} == {"native", "torch", "torch again"}
    cold = {(w.size, w.what) for _, w in entries if w.cache == "cold"}
    assert cold == {(1_000_000, "forward"), (1_000_000, "gradient")}
    assert {w.cache for _, w in entries if w.size == 32} == {"warm"}
    assert not has_goals(plan)
    assert has_goals(groups(["native"]))
    assert {w.cache for group in groups(["native"]) for _, w in group.entries} == {"warm"}


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
    assert title(replace(PLAIN, device="cuda", cache="cold")) == (
        "forward · float32 · 10⁶ · cuda · cold cache"
    )
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
    times = {"native": [1.0, 3.0, 2.0], "torch": [8.0], "jax": [6.0]}
    times |= {"native again": [2.2], "native:torch": [2.5]}
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
        "measurements": plain(measured({"a": [2.0], "a again": [3.0]})),
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


@pytest.mark.slow
def test_a_session_takes_turns_and_keeps_failures(tmp_path: Path) -> None:
    small = Workload(32)
    absent = replace(small, device="cuda")
    plan = [Group("sizes", ((FAST, small), ("native", absent), ("native", small)))]
    told: list[str] = []
    one = session(plan)
    try:
        one.run(told.append)
    finally:
        one.close()
    echo, native, here = one.timings
    assert echo.seconds is not None
    assert (echo.rounds, echo.status) == (2, "ok")
    assert native.status == "unsupported: no device cuda"
    assert here.status == "ok"
    assert len(told) == one.steps == 6 + len(UNPAIRED)
    assert set(one.unpaired) == set(UNPAIRED)
    assert 0.4 < one.unpaired["float32, all kinds of inputs and weights: ULP"] < 1
    assert 0.01 < one.unpaired[START] < 60
    assert 0 < one.unpaired[TEMPORARY] < 100
    assert not one.interrupted
    judged = outcome.goals(one)
    assert {goal.goal for goal in judged} > set(UNPAIRED)
    timed = outcome.timings(one, started=now(), argv=["bench"])
    write(judged, timed, tmp_path / NAME)
    written = json.loads((tmp_path / NAME).read_text("utf-8"))
    assert written["started"] == timed.started
    assert written["host"]["cpu"] == timed.host.cpu
    assert [goal["verdict"] for goal in written["goals"]] == [goal.verdict for goal in judged]
    assert [goal["figure"] for goal in written["goals"]] == [goal.figure for goal in judged]


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
    timed = outcome.timings(one, started=now(), argv=["bench"])
    assert outcome.goals(one) == ()
    found = from_document(document(outcome.alone(one, timed)))
    assert found.run.interrupted
    assert found.timings is not None
    assert found.timings.versions == {FAST: "1"}


@pytest.mark.skipif(not real_time.permitted(), reason="real-time priority is not permitted here")
@pytest.mark.parametrize("ahead", [False, True])
def test_a_session_measures_with_the_priority_that_it_is_given(ahead: bool) -> None:
    name = "faulty:Impatient"
    plan = [Group("sizes", ((name, Workload(32)),))]
    session = Session([resolve(name)], plan, 2, ahead=ahead)
    try:
        session.run(lambda name: None)
    finally:
        session.close()
    (timing,) = session.timings
    assert timing.status == ("ok" if ahead else "raised RuntimeError: others come first")

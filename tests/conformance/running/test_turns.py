"""Backends have their turn as the memory allows: in order, one at least, with their siblings."""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.backends import Failure, LossCall, LossResult, resolve
from bce_conformance.conformance.memory import WORKER, most_workers
from bce_conformance.conformance.running import processes
from bce_conformance.conformance.running.call_slots import CallSlots, SlottedProcess, Stopped, Turns
from bce_conformance.conformance.running.processes import Processes
from bce_conformance.conformance.running.progress import Progress
from tests.conformance.command_line import command, environment

GIB = 1 << 30
ALONE = {name: frozenset([name]) for name in "abcd"}


def test_the_backends_of_every_run_fit_into_eight_gibibytes() -> None:
    assert most_workers(8 * GIB, 2 * GIB) >= 13
    assert most_workers(WORKER * 5, WORKER) == 4
    assert most_workers(GIB, 2 * GIB) == 1
    assert most_workers(0, 2 * GIB) > 1000


def took(turns: Turns, backend: str, order: list[str]) -> threading.Thread:
    """A thread that waits for a turn, and keeps it."""

    def take() -> None:
        turns.take(backend)
        order.append(backend)

    thread = threading.Thread(target=take)
    thread.start()
    return thread


def test_as_many_have_their_turn_as_fit_in_the_order_of_the_run() -> None:
    turns = Turns(ALONE, 2)
    turns.await_all(["d", "b", "a", "c"])
    order: list[str] = []
    threads = {name: took(turns, name, order) for name in "dcba"}
    for name in "ab":
        threads[name].join(10)
    assert sorted(order) == ["a", "b"]
    assert turns.needed() == {"a", "b"}
    turns.end("a")
    threads["c"].join(10)
    assert (order[2:], turns.needed()) == (["c"], {"b", "c"})
    turns.end("b")
    threads["d"].join(10)
    assert order[2:] == ["c", "d"]
    turns.take("d")  # it has its turn


def test_a_sibling_counts_once_and_one_backend_always_has_its_turn() -> None:
    workers = {
        "torch": frozenset(["torch"]),
        "torch:compile": frozenset(["torch", "torch:compile"]),
        "jax:jit": frozenset(["jax", "jax:jit"]),
    }
    assert Turns(workers, 4).fit(["torch", "torch:compile", "jax:jit"])
    assert not Turns(workers, 3).fit(["torch:compile", "jax:jit"])
    turns = Turns(workers, 1)
    turns.await_all(workers)
    turns.take("torch")
    turns.end("torch")
    turns.take("torch:compile")
    assert turns.needed() == {"torch", "torch:compile"}


def test_a_backend_with_nothing_to_measure_holds_nobody_up() -> None:
    turns = Turns(ALONE, 1)
    turns.await_all("ab")
    turns.end("a")
    turns.take("b")
    assert turns.needed() == {"b"}


def test_those_to_follow_keep_their_workers_if_these_fit() -> None:
    turns = Turns(ALONE, 2)
    turns.await_all("abc")
    turns.take("a")
    assert turns.needed() == {"a", "b"}
    assert turns.needed(but="a") == {"b", "c"}


def test_stopping_ends_all_waiting() -> None:
    turns = Turns(ALONE, 1)
    turns.await_all("ab")
    turns.take("a")
    ended: list[str] = []

    def wait() -> None:
        with pytest.raises(Stopped):
            turns.take("b")
        ended.append("b")

    thread = threading.Thread(target=wait)
    thread.start()
    turns.stop()
    thread.join(10)
    assert ended == ["b"]


def test_where_not_all_fit_each_describes_itself_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    specs = {name: resolve(name) for name in ("impaired:Right", "impaired:Sloppy")}
    for room, alive in ((1, 0), (2, 2)):
        monkeypatch.setattr(processes, "usable", lambda room=room: room * WORKER)
        kept = Processes(specs, 30.0, CallSlots(1), Progress())
        assert [kept.status(name) for name in specs] == ["ok", "ok"]
        assert sum(process.pid is not None for process in kept._processes.values()) == alive
        x = np.ones(3, np.float32)
        assert isinstance(kept.own("impaired:Right").evaluate(LossCall(x, x)), LossResult)
        kept.close()


def test_a_worker_that_has_grown_ends_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    for room, is_ended in ((100 * WORKER, False), (2 * WORKER, True)):
        monkeypatch.setattr(processes, "usable", lambda room=room: room)
        kept = Processes(
            {"impaired:Right": resolve("impaired:Right")}, 30.0, CallSlots(1), Progress()
        )
        assert kept.status("impaired:Right") == "ok"
        process, taken = kept._processes["impaired:Right"], [300 << 20]
        assert 10 << 20 < process.memory() < 1 << 30
        monkeypatch.setattr(process, "memory", lambda taken=taken: taken[0])
        first = process.pid
        for taken[0] in (400 << 20, 600 << 20, 650 << 20):
            kept.relieve("impaired:Right")
            assert process.pid == first
        taken[0] = 700 << 20
        kept.relieve("impaired:Right")
        assert (process.pid is None) == is_ended
        x = np.ones(3, np.float32)
        assert isinstance(kept.own("impaired:Right").evaluate(LossCall(x, x)), LossResult)
        assert (process.pid != first) == is_ended
        kept.relieve("impaired:Right")  # the new one may take as much
        assert process.pid is not None
        kept.close()


def test_the_suite_gives_back_what_it_has_freed_where_it_takes_more_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[int] = []
    monkeypatch.setattr(processes.heap, "give_back_freed_memory", lambda: given.append(1))
    for memory, often in ((1, 1), (1 << 50, 0), (0, 0)):
        kept = Processes({}, 30.0, CallSlots(1), Progress(), memory)
        for _ in range(3):  # the last ones are within seconds
            kept.relieve("native")
        assert len(given) == often
        given.clear()
        kept.close()


def test_a_sibling_that_dies_is_asked_once_more() -> None:
    answers: list[LossResult | Failure] = []

    class Dying:
        def evaluate(self, call: LossCall) -> LossResult | Failure:
            return answers.pop(0)

    x, died, well = np.ones(1), Failure("crashed", "SIGKILL"), LossResult({})
    for again, first, asked in ((True, well, 2), (False, died, 1)):
        answers[:] = [died, well]
        process = SlottedProcess("some", Dying(), CallSlots(1), again=again)  # type: ignore[arg-type]
        assert process.evaluate(LossCall(x, x)) == first
        assert len(answers) == 2 - asked
    answers[:] = [died, died]
    process = SlottedProcess("some", Dying(), CallSlots(1), again=True)  # type: ignore[arg-type]
    assert process.evaluate(LossCall(x, x)) == died


def test_a_process_is_looked_after_between_many_calls() -> None:
    class Right:
        calls = 0

        def evaluate(self, call: LossCall) -> LossResult:
            self.calls += 1
            return LossResult({})

    right, looked = Right(), []
    process = SlottedProcess(
        "some",
        right,  # type: ignore[arg-type]
        CallSlots(1),
        looked_after=lambda: looked.append(right.calls),
    )
    for _ in range(200):
        process.evaluate(LossCall(np.ones(1), np.ones(1)))
    assert looked == [64, 128, 192]


def killed_at_random(run: subprocess.Popen[str], pids: Path, names: tuple[str, ...]) -> Counter:
    """Kill workers of backends 20 times, each when it is there; how often each was."""
    chance, killed, before = random.Random(3), Counter(), set()
    while killed.total() < 20 and run.poll() is None:
        time.sleep(chance.uniform(0.01, 0.1))
        file = pids / chance.choice(names)
        pid = file.read_text() if file.exists() else ""
        if pid and pid not in before:
            before.add(pid)
            os.kill(int(pid), signal.SIGKILL)
            killed[file.name] += 1
    return killed


@pytest.mark.slow
def test_workers_killed_twenty_times_cost_other_backends_no_cell(tmp_path: Path) -> None:
    names, out = ("One", "Two"), tmp_path / "out"
    arguments = [f"--backend=impaired:{name}" for name in ("Spared", *names)]
    arguments += ["--requirement=VAL", "--requirement=MET", "--requirement=LAY"]
    arguments += ["--tier=quick", "--exit-zero", "--quiet", f"--out={out}"]
    run = subprocess.Popen(
        command("run", *arguments, "--dtype=float32"),
        env=environment(PID_FOLDER=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    killed = killed_at_random(run, tmp_path, names)
    assert run.wait(120) == 0, run.stdout and run.stdout.read()
    assert killed.total() == 20
    found = {name: {} for name in ("Spared", *names)}
    for cell in json.loads((out / "results.json").read_text("utf-8"))["cells"]:
        found[cell["backend"].partition(":")[2]][cell["requirement"]] = cell["verdict"]
    spared = found["Spared"]
    assert "crashed" not in spared.values()
    for name in names:
        lost = {requirement for requirement, v in found[name].items() if v == "crashed"}
        assert len(lost) <= killed[name]
        assert {r: v for r, v in found[name].items() if r not in lost} == {
            r: v for r, v in spared.items() if r not in lost
        }

"""Faults of real processes: each becomes a Failure, and the next call meets a new worker."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    BackendSpec,
    Failure,
    LossCall,
    LossResult,
    instruction_sets,
    resolve,
)

GOOD = LossCall(np.zeros(3), np.ones(3))
BAD = LossCall(np.ones(3), np.ones(3))


def gone(pid: int, within: float = 3.0) -> bool:
    """Tell whether the process is no more, or a zombie that its parent has yet to reap."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def outcomes(name: str, *, time_limit: float = 10.0) -> tuple[LossResult | Failure, int, int]:
    """Make a good call, a bad one, a good one; return what the bad one gave, and both workers."""
    with BackendProcess(resolve(f"faulty:{name}"), time_limit=time_limit) as backend:
        assert isinstance(backend.evaluate(GOOD), LossResult)
        before = backend.pid
        assert before is not None
        answer = backend.evaluate(BAD)
        again = backend.evaluate(GOOD)
        assert isinstance(again, LossResult), again
        np.testing.assert_array_equal(again.values["targets"], GOOD.targets)
        after = backend.pid
        assert after is not None
    assert gone(before)
    assert gone(after)
    return answer, before, after


@pytest.mark.parametrize(
    ("name", "detail"),
    [("Segfault", "SIGSEGV"), ("Exit", "exit code 0"), ("SystemExit3", "exit code 3")],
)
def test_a_worker_that_dies_says_how(name: str, detail: str) -> None:
    answer, before, after = outcomes(name)
    assert answer == Failure("crashed", detail)
    assert before != after


def test_the_log_of_a_crash_holds_its_last_words() -> None:
    answer, _, _ = outcomes("Segfault")
    assert isinstance(answer, Failure)
    assert "the last words" in answer.log
    assert "Segmentation fault" in answer.log


@pytest.mark.parametrize("name", ["Hang", "HangWithoutInterpreter"])
def test_a_call_that_hangs_is_ended_at_the_limit(name: str) -> None:
    started = time.monotonic()
    answer, before, after = outcomes(name, time_limit=0.5)
    assert answer == Failure("timeout", "after 0.5 s")
    assert before != after
    assert time.monotonic() - started < 5


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux counts who waits")
def test_time_in_which_others_keep_it_from_running_does_not_count() -> None:
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    started = time.monotonic()
    try:
        answer, *_ = outcomes("Busy", time_limit=1.5)
    finally:
        for one in others:
            one.kill()
            one.wait()
        os.sched_setaffinity(0, usable)
    assert isinstance(answer, LossResult), answer
    assert time.monotonic() - started > 2.5


def test_the_limit_of_a_single_call_overrides_the_usual_one() -> None:
    with BackendProcess(resolve("faulty:Hang"), time_limit=100) as backend:
        assert backend.evaluate(BAD, time_limit=0.25) == Failure("timeout", "after 0.25 s")


def test_what_the_framework_started_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pid"
    monkeypatch.setenv("CHILD_PID_FILE", str(file))
    answer, _, _ = outcomes("HangWithChild", time_limit=1.0)
    assert answer == Failure("timeout", "after 1 s")
    assert gone(int(file.read_text()))


@pytest.mark.parametrize("name", ["Print", "InterruptItself", "InMainThread"])
def test_harmless_habits(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    answer, before, after = outcomes(name)
    assert isinstance(answer, LossResult), answer
    np.testing.assert_array_equal(answer.values["logits"], BAD.logits)
    assert before == after
    assert capfd.readouterr() == ("", "")


def test_an_error_keeps_its_type_and_the_start_of_its_message_on_one_line() -> None:
    answer, before, after = outcomes("Raise")
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.error_type) == ("raised", "ValueError")
    start = "ValueError: weight has shape (3,), which does not fit xxx"
    assert answer.detail.startswith(start)
    assert len(answer.detail) == len("ValueError: ") + 300
    assert str(answer).startswith(f"raised {start}")
    assert "in fault" in answer.log
    assert before == after


def test_a_refusal_is_told_from_an_error() -> None:
    answer, before, after = outcomes("Refuse")
    assert answer == Failure("unsupported", "no such thing")
    assert before == after


def test_operands_that_a_call_changed_are_named() -> None:
    """Those that the adapter was given, and those that it says it holds."""
    with BackendProcess(resolve("faulty:WritesToTargets")) as backend:
        before, answer = backend.evaluate(GOOD), backend.evaluate(BAD)
        strided = backend.evaluate(LossCall(np.ones(4)[::2], np.ones(4)[::-2]))
    assert isinstance(before, LossResult)
    assert before.modified == ()
    for result in (answer, strided):
        assert isinstance(result, LossResult), result
        assert result.modified == ("logits", "targets")


def test_settings_that_a_call_changed_are_named() -> None:
    with BackendProcess(resolve("faulty:DrawsRandomNumbers")) as backend:
        before, answer = backend.evaluate(GOOD), backend.evaluate(BAD)
    assert isinstance(before, LossResult)
    assert before.modified == ()
    assert isinstance(answer, LossResult)
    assert answer.modified == (
        "NumPy's handling of floating-point errors",
        "NumPy's random numbers",
    )


def test_threads_are_set_for_one_call_only() -> None:
    with BackendProcess(resolve("faulty:Threads")) as backend:
        answers = [backend.evaluate(replace(GOOD, threads=count)) for count in (None, 3, None)]
    counts = [answer.values["threads"] for answer in answers if isinstance(answer, LossResult)]
    assert counts == [8, 3, 8]


def test_threads_of_an_adapter_that_has_no_such_switch_are_unsupported() -> None:
    with BackendProcess(resolve("faulty:Echo")) as backend:
        answer = backend.evaluate(replace(GOOD, threads=2))
    assert isinstance(answer, Failure)
    assert answer.kind == "unsupported"
    assert answer.detail == "its adapter has no threads"


def test_calls_from_several_threads_wait_for_each_other() -> None:
    calls = [LossCall(np.zeros(3), np.full(3, number)) for number in range(32)]
    with BackendProcess(resolve("faulty:Echo")) as backend, ThreadPoolExecutor(4) as threads:
        backend.info()
        answers = list(threads.map(backend.evaluate, calls))
    for call, answer in zip(calls, answers, strict=True):
        assert isinstance(answer, LossResult), answer
        np.testing.assert_array_equal(answer.values["targets"], call.targets)


def test_a_result_that_cannot_travel_is_a_failure() -> None:
    with BackendProcess(resolve("faulty:CannotTravel")) as backend:
        answer = backend.evaluate(GOOD)
    assert isinstance(answer, Failure)
    assert answer.error_type == "TypeError"
    assert "dtype object" in answer.detail


@pytest.mark.parametrize(
    ("name", "error_type", "detail"),
    [
        ("NotInstalled", "ModuleNotFoundError", "No module named 'a_framework_that_nobody_has'"),
        ("RaisesOnImport", "ImportError", "libframework.so: undefined symbol"),
        ("NoSuchClass", "AttributeError", "module 'faulty' has no attribute 'NoSuchClass'"),
    ],
)
def test_a_framework_that_does_not_import(name: str, error_type: str, detail: str) -> None:
    with BackendProcess(resolve(f"faulty:{name}")) as backend:
        expected = backend.info()
        assert isinstance(expected, Failure)
        assert (expected.kind, expected.error_type) == ("raised", error_type)
        lines = r"( \(faulty\.py, line \d+\))?"  # none of a class that is not there
        assert re.fullmatch(f"{error_type}: {re.escape(detail)}{lines}", expected.detail)
        assert ("line" in expected.detail) == (name != "NoSuchClass")
        assert backend.evaluate(GOOD) == expected
        assert backend.info() == expected


def test_a_framework_that_crashes_on_import_is_started_twice_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "starts"
    monkeypatch.setenv("START_COUNT_FILE", str(file))
    with BackendProcess(resolve("faulty:CrashesOnImport")) as backend:
        for _ in range(4):
            assert backend.evaluate(GOOD) == Failure("crashed", "SIGABRT")
    assert file.read_text() == "xx"


@pytest.mark.parametrize(("at", "tried"), [(4, 4), (9, 6)])
def test_a_start_that_was_killed_is_tried_more_often(
    at: int, tried: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "starts"
    monkeypatch.setenv("START_COUNT_FILE", str(file))
    monkeypatch.setenv("STARTS_AT", str(at))
    with BackendProcess(resolve("faulty:KilledOnImport")) as backend:
        answers = [backend.info() for _ in range(8)]
    assert [isinstance(answer, BackendInfo) for answer in answers] == [n >= at for n in range(1, 9)]
    assert file.read_text() == "x" * tried


def test_a_framework_that_hangs_on_import_is_ended_at_the_start_limit() -> None:
    with BackendProcess(resolve("faulty:HangsOnImport"), start_limit=0.5) as backend:
        assert backend.info() == Failure("timeout", "after 0.5 s")


@pytest.mark.parametrize("python", ["/nonexistent/python", "/bin/false"])
def test_an_interpreter_that_is_none(python: str) -> None:
    with BackendProcess(resolve(f"torch@python={python}")) as backend:
        answer = backend.info()
    assert isinstance(answer, Failure)
    assert answer.kind == "crashed"
    assert f"could not start {python}" in answer.detail


def test_another_interpreter_uses_the_source_of_this_one(tmp_path: Path) -> None:
    link = tmp_path / "other python"
    link.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    link.chmod(0o755)
    with BackendProcess(resolve(f"native@python={link}")) as backend:
        info = backend.info()
        assert isinstance(info, BackendInfo), info
        assert info.id == f"native@python={link}"
        assert isinstance(backend.evaluate(GOOD), LossResult)


def test_info_carries_what_the_backend_says_under_the_name_it_was_asked_for() -> None:
    with BackendProcess(resolve("faulty:Echo")) as backend:
        info = backend.info()
    set_ = instruction_sets.named(instruction_sets.level_of_machine())
    assert info == BackendInfo(
        id="faulty:Echo", framework="echo", version="1", variant="loud", instruction_set=set_
    )


@pytest.mark.parametrize(("own", "expected"), [(None, "given"), ("mine", "mine")])
def test_the_environment_is_there_before_the_framework_and_yields_to_this_process(
    own: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if own is not None:
        monkeypatch.setenv("BCE_WORD", own)
    spec = resolve("faulty:Repeats")
    with BackendProcess(spec, environment={"BCE_WORD": "given"}) as backend:
        info = backend.info()
    assert isinstance(info, BackendInfo)
    assert info.version == expected


def test_a_worker_that_dies_between_calls_is_replaced_without_a_failure() -> None:
    with BackendProcess(resolve("faulty:Echo")) as backend:
        backend.info()
        assert backend.pid is not None
        before = backend.pid
        os.kill(before, signal.SIGKILL)
        os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
        assert isinstance(backend.evaluate(GOOD), LossResult)
        assert backend.pid != before


def test_close_ends_the_worker_and_may_be_repeated() -> None:
    backend = BackendProcess(BackendSpec("echo", "faulty:Echo"))
    backend.info()
    pid = backend.pid
    assert pid is not None
    backend.close()
    assert gone(pid)
    backend.close()


@pytest.mark.parametrize("name", ["HangsOnImport", "Hang"])
def test_close_is_for_good_and_ends_what_another_thread_waits_for(name: str) -> None:
    backend = BackendProcess(BackendSpec("x", f"faulty:{name}"), time_limit=100)
    with ThreadPoolExecutor(1) as other:
        for _ in range(2):  # the second finds it closed
            waiting = other.submit(backend.evaluate, BAD)
            while backend.pid is None and not waiting.done():
                time.sleep(0.001)
            backend.close()
            failure = waiting.result(timeout=20)
            assert isinstance(failure, Failure)
            assert failure.reason == "crashed: it was closed"
    assert backend.pid is None


@pytest.mark.slow
def test_a_start_does_not_outlive_a_close_that_came_first() -> None:
    for pause in np.linspace(0, 0.4, 20):
        backend = BackendProcess(BackendSpec("x", "faulty:HangsOnImport"))
        with ThreadPoolExecutor(1) as other:
            waiting = other.submit(backend.info)
            time.sleep(pause)
            backend.close()
            assert isinstance(waiting.result(timeout=20), Failure)


PARENT = """
    import sys, numpy as np
    from bce_conformance.backends import BackendProcess, BackendSpec, LossCall
    sys.path.append({here!r})
    with BackendProcess(BackendSpec("x", "faulty:{name}")) as backend:
        backend.info()
        print(backend.pid, flush=True)
        backend.evaluate(LossCall(np.ones(1), np.ones(1)))
"""


@pytest.mark.parametrize("name", ["Hang", "HangWithoutInterpreter"])
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_parent(name: str, ending: signal.Signals) -> None:
    script = textwrap.dedent(PARENT.format(here=str(Path(__file__).parents[1]), name=name))
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background, Ctrl-C may be ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(0.2)
    started = time.monotonic()
    os.killpg(parent.pid, ending)  # as a terminal's Ctrl-C does
    _, errors = parent.communicate(timeout=5)
    assert time.monotonic() - started < 5
    assert gone(worker)
    if ending is signal.SIGINT:
        assert "KeyboardInterrupt" in errors
        assert "BrokenPipe" not in errors

"""``@ssh=host``: a worker on another machine, here behind a real sshd on the loopback."""

import os
import platform
import threading
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    Failure,
    LossCall,
    LossResult,
    instruction_sets,
    resolve,
)
from bce_conformance.backends.isolation import far_side
from tests.backends.isolation.sshd import Host, running
from tests.backends.isolation.test_process import BAD, GOOD, gone


@pytest.fixture(scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running(tmp_path_factory.mktemp("ssh")) as host:
        yield host


@pytest.fixture
def host(_host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv(far_side.VARIABLE, _host.client)
    return _host


def process(host: Host, name: str, *, time_limit: float = 20.0) -> BackendProcess:
    return BackendProcess(
        resolve(f"elsewhere:{name}@ssh=there@python={host.python}"), time_limit=time_limit
    )


def worker(host: Host) -> tuple[int, Path]:
    """The process that a worker was last in, and its folder."""
    from tests.backends.elsewhere import PID_FILE

    pid, folder = (host.home / PID_FILE).read_text().split()
    return int(pid), Path(folder)


def cleared(folder: Path, within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not folder.exists()


def test_a_worker_elsewhere_needs_nothing_of_ours_and_leaves_nothing(host: Host) -> None:
    rng = np.random.default_rng(0)
    large = rng.normal(size=300_000)  # more than is sent where memory can be shared
    with process(host, "Here") as backend:
        info = backend.info()
        assert isinstance(info, BackendInfo), info
        pid, folder = worker(host)
        assert folder.is_relative_to(host.temporary)
        assert info.version == str(folder)  # where it found this package
        assert info.id == backend.spec.id
        assert info.instruction_set == instruction_sets.named(instruction_sets.level_of_machine())
        assert info.notes[-1].startswith(f"on {platform.node()}: ")
        outcome = backend.evaluate(LossCall(large[::-2], large[1::2]))
        assert isinstance(outcome, LossResult), outcome
        np.testing.assert_array_equal(outcome.values["logits"], large[::-2])
        assert pid != os.getpid()
    assert gone(pid)
    assert cleared(folder)
    assert all(map(cleared, host.temporary.iterdir()))


def test_an_instruction_set_holds_there(host: Host) -> None:
    name = f"elsewhere:Here@ssh=there@python={host.python}@isa=x86-64-v2"
    with BackendProcess(resolve(name)) as backend:
        info = backend.info()
    assert isinstance(info, BackendInfo), info
    assert info.instruction_set.startswith("x86-64-v2")


@pytest.mark.parametrize("name", ["scipy", "scipy@isa=x86-64-v2"])
def test_a_framework_elsewhere(host: Host, name: str) -> None:
    pytest.importorskip("scipy")
    x = np.array([0.5, -3.0])
    with BackendProcess(resolve(f"{name}@ssh=there@python={host.python}")) as backend:
        outcome = backend.evaluate(LossCall(x, np.ones(2), reduction="none"))
        info = backend.info()
    assert isinstance(outcome, LossResult), outcome
    assert outcome.values["loss"] == pytest.approx(np.logaddexp(0, -x))
    assert isinstance(info, BackendInfo)
    assert info.framework == "scipy"


def test_a_function_in_a_file_is_sent(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "loss.py"
    path.write_text(
        "import numpy as np\n\ndef loss(logits, targets):\n"
        "    return np.logaddexp(0, logits) - targets * logits\n"
    )
    x = np.array([0.5, -3.0])
    name = f"numpy::{path}:loss@ssh=there@python={host.python}"
    with BackendProcess(resolve(name)) as backend:
        outcome = backend.evaluate(LossCall(x, np.ones(2), reduction="none"))
    assert isinstance(outcome, LossResult), outcome
    assert outcome.values["loss"] == pytest.approx(np.logaddexp(0, -x))


def test_what_is_printed_there_is_in_the_log_only(host: Host, capfd: pytest.CaptureFixture) -> None:
    with process(host, "Print") as backend:
        assert isinstance(backend.evaluate(BAD), LossResult)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_call_that_hangs_without_the_interpreter_ends_there_too(host: Host) -> None:
    with process(host, "Hang", time_limit=3.0) as backend:
        assert isinstance(backend.evaluate(GOOD), LossResult)
        pid, folder = worker(host)
        answer = backend.evaluate(BAD)
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.detail) == ("timeout", "after 3 s")
        assert gone(pid)
        assert cleared(folder)
        again = backend.evaluate(GOOD)
        assert isinstance(again, LossResult), again
        assert worker(host)[0] != pid


def test_a_worker_that_dies_there_says_how(host: Host) -> None:
    with process(host, "Segfault") as backend:
        answer = backend.evaluate(BAD)
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.detail) == ("crashed", "SIGSEGV on there")
        assert "the last words" in answer.log
        assert isinstance(backend.evaluate(GOOD), LossResult)


def test_a_connection_that_breaks_in_a_call_costs_that_call(host: Host) -> None:
    with process(host, "Hang") as backend:
        assert isinstance(backend.evaluate(GOOD), LossResult)
        pid, folder = worker(host)
        breaks = threading.Timer(1.0, host.break_off)
        breaks.start()
        answer = backend.evaluate(BAD)
        breaks.join()
        assert isinstance(answer, Failure)
        assert answer.kind == "crashed"
        assert answer.detail.startswith("no connection to there, or it broke")
        assert isinstance(backend.evaluate(GOOD), LossResult)
        assert gone(pid)
        assert cleared(folder)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("elsewhere:Here@ssh=there@python=/nowhere/python", "no /nowhere/python on there: "),
        ("elsewhere:Here@ssh=nowhere.invalid", "no connection to nowhere.invalid, or it broke: "),
        ("elsewhere:Here@ssh=127.0.0.1:1", "refused"),
        ("missing_there:Adapter@ssh=there@python=PYTHON", "No module named 'missing_there'"),
    ],
)
def test_what_does_not_start_there_says_why_in_a_line(host: Host, name: str, told: str) -> None:
    with BackendProcess(resolve(name.replace("PYTHON", host.python))) as backend:
        failure = backend.info()
    assert isinstance(failure, Failure)
    assert told in failure.detail
    assert len(failure.detail.splitlines()) == 1


def test_an_old_python_there_says_so(host: Host, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text(
        f"#!{host.python}\nimport sys\nsys.version_info = (3, 9, 2)\nexec(sys.argv[2])\n"
    )
    old.chmod(0o755)
    with BackendProcess(resolve(f"elsewhere:Here@ssh=there@python={old}")) as backend:
        failure = backend.info()
    assert isinstance(failure, Failure)
    assert failure.detail.endswith("Python 3.9 is too old there: 3.11 or newer is needed")


def test_a_python_without_numpy_there_says_so(host: Host, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    with BackendProcess(resolve(f"scipy@ssh=there@python={tmp_path}/bare/bin/python")) as backend:
        failure = backend.info()
    assert isinstance(failure, Failure)
    assert failure.detail == "ModuleNotFoundError: No module named 'numpy'"
    assert all(map(cleared, host.temporary.iterdir()))


def test_a_shell_that_greets_is_told_from_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(far_side.VARIABLE, "sh -c 'echo Welcome; cat > /dev/null'")
    with BackendProcess(resolve("elsewhere:Here@ssh=there")) as backend:
        failure = backend.info()
    assert isinstance(failure, Failure)
    assert failure.detail.startswith("there writes to standard output before Python does")


def test_the_sources_are_those_of_a_worker() -> None:
    import io
    import zipfile

    names = zipfile.ZipFile(io.BytesIO(far_side.sources(b"x = 1", "kernel.py"))).namelist()
    assert len(names) == len(set(names))
    assert "bce_conformance/backends/isolation/transport.py" in names
    assert "bce_conformance/native/api.py" in names
    assert "user/kernel.py" in names
    assert not [name for name in names if name.startswith("bce_conformance/backends/native")]

"""One process a backend: whatever its framework does, the caller gets a result or a Failure.

Guarantees that no call blocks beyond its limit, that a worker which died is replaced at the next
call, and that no process is left behind. It never imports a framework; execnet is imported where a
process is started, because workers import this package too and may live without it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from bce_conformance.backends import instruction_sets
from bce_conformance.backends.calls import BackendInfo, Failure, LossCall, LossResult
from bce_conformance.backends.environments import EnvironmentNotMadeError
from bce_conformance.backends.heap import resident
from bce_conformance.backends.measuring.workload import Workload
from bce_conformance.backends.registry import BackendSpec, environment

from . import far_side, worker
from .transport import pack_call, unpack_info, unpack_result
from .waiting import most, waited

TIME_LIMIT = 30.0
_PATIENCE = 10  # how much longer than its limit a call may take where others keep it waiting
_SHORT = 0.02  # of the limit: a shorter wait is none
START_LIMIT = 900.0  # the native kernels compile for minutes on a busy machine, once
# A user's function is called to describe it, and may hang: that it may take less long.
FUNCTION_START_LIMIT = 60.0
# A backend that could not start this often in a row is not tried again; one that something else
# killed each time, as the system does where memory is short, is tried more often.
START_ATTEMPTS = 2
KILLED_ATTEMPTS = 6

_LOG_TAIL = 2000
_DEATH_LIMIT = 5.0
_CLOSED = Failure("crashed", "it was closed")
_SHARED_PACKAGES = (
    "bce_conformance",
    "bce_conformance.backends",
    "bce_conformance.native",
)


class BackendProcess:
    """A backend in a process of its own, started when it is first asked and again when it died.

    Use it as a context manager, or call ``close``. The thread that makes the first call should live
    as long as the object: Linux ends the worker when the thread that started it ends, and the next
    call then pays for a new one. Calls of several threads wait for each other.

    Args:
        spec: which backend, from ``resolve``.
        time_limit: seconds a call may take.
        start_limit: seconds that starting the interpreter, importing the framework and describing
            it may take; for a user's function ten times ``time_limit``, if that is less.
        environment: variables that the worker gets before it loads the framework, unless this
            process has them.
    """

    def __init__(
        self,
        spec: BackendSpec,
        *,
        time_limit: float = TIME_LIMIT,
        start_limit: float = START_LIMIT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.spec = spec
        self._environment = environment or {}
        self._time_limit = time_limit
        self._start_limit = start_limit
        if spec.function:
            longer = max(_PATIENCE * time_limit, FUNCTION_START_LIMIT)
            self._start_limit = min(start_limit, longer)
        self._group: Any = None
        self._channel: Any = None
        self._pid: int | None = None
        self._client: subprocess.Popen[bytes] | None = None  # of OpenSSH, for a worker elsewhere
        self._info: BackendInfo | None = None
        self._failed_starts: list[Failure] = []
        self._prepared = False
        self._closed = False
        self._one_at_a_time = threading.Lock()
        # What the worker wrote to its standard output and error, during the last call only.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the object

    def __enter__(self) -> BackendProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The worker's process id while there is one, or that of the connection to it."""
        return self._pid

    def info(self) -> BackendInfo | Failure:
        """Describe the backend, or say why it cannot be started."""
        if self._info is None:
            failure = self._start_if_needed()
            if failure is not None:
                return failure
        assert self._info is not None
        return self._info

    def evaluate(self, call: LossCall, *, time_limit: float | None = None) -> LossResult | Failure:
        """Evaluate ``call``; a worker that is not there, or died since, is started first.

        Raises:
            TypeError: an array of ``call`` has a dtype that cannot travel, such as object.
        """
        limit = self._time_limit if time_limit is None else time_limit
        with contextlib.ExitStack() as shared:
            mapped = None if self.spec.host else shared  # memory that only this machine has
            answer = self._ask(pack_call(call, mapped), limit)
        return answer if isinstance(answer, Failure) else unpack_result(answer)

    def time(
        self,
        workload: Workload,
        seconds: float,
        *,
        ahead: bool = False,
        time_limit: float | None = None,
    ) -> list[float] | Failure:
        """Return seconds a call of ``workload``, measured for about ``seconds`` in the worker.

        The first time for a workload takes longer: its arrays are made, and the framework compiles.
        With ``ahead``, the worker has real-time priority while it measures.
        """
        message = {"workload": asdict(workload), "seconds": seconds, "ahead": ahead}
        answer = self._ask(message, self._time_limit if time_limit is None else time_limit)
        if isinstance(answer, Failure):
            return answer
        return Failure(**answer["failure"]) if "failure" in answer else list(answer["seconds"])

    def _ask(self, message: dict[str, Any], limit: float) -> dict[str, Any] | Failure:
        """Send a message to the worker, started if need be, and return what it answers."""
        with self._one_at_a_time:
            failure = self._start_if_needed() or self._prepare_if_needed()
            if failure is not None:
                return failure
            if os.fstat(self._log.fileno()).st_size:  # most calls print nothing
                self._log.truncate(0)
            with self._ended_on_interrupt():
                try:
                    self._send(message)
                except OSError:
                    return self._bury()
                answer: dict[str, Any] | Failure = self._receive(limit)
        return answer

    def memory(self) -> int:
        """Bytes of memory that the worker takes now; 0 where there is none, or no way to tell."""
        return 0 if self._pid is None else resident(self._pid)

    def rest(self) -> None:
        """End the worker between two calls; the next call starts another one."""
        with self._one_at_a_time:
            self._end()

    def close(self) -> None:
        """End the worker at once, whatever it is doing, for good: no call starts another one.

        A call, or a start, that another thread is in comes back with a Failure.
        """
        self._closed = True
        self._end()
        self._log.close()

    def _start_if_needed(self) -> Failure | None:
        if self._channel is not None and self._status() is None:
            return None
        self._end()
        if self._closed:
            return _CLOSED
        killed = all(failure.detail == "SIGKILL" for failure in self._failed_starts)
        if len(self._failed_starts) >= (KILLED_ATTEMPTS if killed else START_ATTEMPTS):
            return self._failed_starts[-1]
        with self._ended_on_interrupt():
            outcome = self._start()
        if isinstance(outcome, Failure):
            self._end()
            self._failed_starts.append(outcome)
            return outcome
        self._failed_starts.clear()
        self._info = replace(outcome, id=self.spec.id)
        return None

    def _prepare_if_needed(self) -> Failure | None:
        """Let the adapter compile what it does ahead of its first call: no call pays for it."""
        if self._prepared:
            return None
        with self._ended_on_interrupt():
            try:
                self._send({"prepare": True})
            except OSError:
                return self._bury()
            answer = self._receive(self._start_limit)
        if isinstance(answer, Failure):
            return answer
        self._prepared = True
        return Failure(**answer["failure"]) if "failure" in answer else None

    def _start(self) -> BackendInfo | Failure:
        try:
            environment(self.spec)
        except (EnvironmentNotMadeError, OSError) as error:
            return Failure("raised", f"{type(error).__name__}: {error}", type(error).__name__)
        deadline = time.monotonic() + self._start_limit
        self._log.close()
        # The name goes as soon as the worker has opened the file, so that nothing can stay behind.
        with tempfile.NamedTemporaryFile(prefix="bce-conformance-") as named:
            self._log = open(named.name, "r+b")  # noqa: SIM115 - lives as long as the object
            try:
                self._channel = self._open_channel(named.name)
                self._send(self._configuration(named.name))
            except (OSError, EOFError, AssertionError) as error:
                return self._not_started(error)
            if self._closed:  # before there was a worker that could be ended
                return _CLOSED
            pid = self._receive(self._start_limit)
        if isinstance(pid, Failure):
            return pid
        self._pid = self._client.pid if self._client else pid
        answer = self._receive(max(deadline - time.monotonic(), 0.0), self._start_limit)
        return answer if isinstance(answer, Failure) else unpack_info(answer)

    def _not_started(self, error: Exception) -> Failure:
        python = self.spec.python or sys.executable
        detail = f"could not start {python}: {type(error).__name__}: {error}"
        if self.spec.host and isinstance(error, AssertionError):
            detail = f"{self.spec.host} writes to standard output before Python does: is there an "
            detail += "echo in what its shell reads when it starts?"
        elif self.spec.host:
            return self._bury()
        return Failure("crashed", detail)

    def _open_channel(self, log: str) -> Any:
        import execnet

        self._group = self._group or execnet.Group()
        # main_thread_only: frameworks and their signal handlers expect the main thread.
        gateway_spec = execnet.XSpec("popen//execmodel=main_thread_only")
        gateway_spec.python = shlex.join(self._command(log))
        gateway = self._group.makegateway(gateway_spec)
        if self.spec.host:
            self._client = gateway._io.popen
        return gateway.remote_exec(worker)

    def _command(self, log: str) -> list[str]:
        """What starts the interpreter; `env` sets variables that are read before Python is."""
        if self.spec.host:
            return far_side.command(self.spec, self._environment, log)
        variables = {n: v for n, v in self._environment.items() if n not in os.environ}
        if self.spec.instruction_set:
            variables |= instruction_sets.limits(self.spec.instruction_set)
        python = os.path.normpath(self.spec.python) if self.spec.python else sys.executable
        settings = [f"{name}={value}" for name, value in variables.items()]
        return ["env", *settings, python] if settings else [python]

    def _configuration(self, log: str) -> dict[str, Any]:
        told = {
            "factory": self.spec.factory,
            "function": self.spec.function,
            "instruction_set": self.spec.instruction_set,
        }
        if self.spec.host:
            return told | far_side.configuration(self.spec)
        packages = {}
        for name in _SHARED_PACKAGES:
            with contextlib.suppress(ImportError):
                packages[name] = str(next(iter(importlib.import_module(name).__path__)))
        return told | {
            "parent": os.getpid(),
            "log": log,
            # Another interpreter has its own packages; this one's belong to this one.
            "path": [*map(os.path.abspath, [] if self.spec.python else sys.path), os.getcwd()],
            "packages": packages,
        }

    def _send(self, message: dict[str, Any]) -> None:
        channel = self._channel  # another thread may close this object
        if channel is None:
            raise OSError(_CLOSED.detail)
        channel.send(message)

    def _receive(self, limit: float, stated_limit: float | None = None) -> Any:
        channel = self._channel
        if channel is None:
            return _CLOSED
        try:
            return self._received(channel, limit)
        except channel.TimeoutError:
            failure = Failure("timeout", f"after {stated_limit or limit:g} s", log=self._log_tail())
            self._end()
            return failure
        except channel.RemoteError as error:
            # Only the worker's own code can get here, as it catches what an adapter raises.
            lines = str(error).strip().splitlines() or ["RemoteError"]
            self._end()
            return Failure("raised", lines[-1], "RemoteError", log=str(error)[-_LOG_TAIL:])
        except EOFError:
            return self._bury()

    def _received(self, channel: Any, limit: float) -> Any:
        """What the worker sends within ``limit`` seconds, not counting those it had to wait in.

        While others keep it from running it is not late, up to ``_PATIENCE`` times the limit.
        """
        end, short = time.monotonic() + _PATIENCE * limit, _SHORT * limit
        with contextlib.suppress(channel.TimeoutError):  # nearly all answers come soon
            return channel.receive(timeout=short)
        before, left = waited(self._pid), limit - short
        while True:
            try:
                return channel.receive(timeout=left)
            except channel.TimeoutError:
                after = waited(self._pid)
                left = min(most(before, after), end - time.monotonic())
                before = after
                if left < short:
                    raise

    def _bury(self) -> Failure:
        """Say how the worker died and clear it away."""
        if self._closed:
            return _CLOSED
        deadline = time.monotonic() + _DEATH_LIMIT
        status = self._status()
        while status is None and time.monotonic() < deadline:
            time.sleep(0.005)
            status = self._status()
        failure = Failure("crashed", status or "channel closed", log=self._log_tail())
        self._end()
        return failure

    def _status(self) -> str | None:
        """Return how the worker ended, or None while it lives, without reaping it."""
        if self._client is not None:
            return self._status_there(self._client)
        if self._pid is None:
            return "before it said who it was"
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        state = os.waitid(os.P_PID, self._pid, flags)
        if state is None:
            return None
        if state.si_code == os.CLD_EXITED:
            return f"exit code {state.si_status}"
        return signal.Signals(state.si_status).name

    def _status_there(self, client: subprocess.Popen[bytes]) -> str | None:
        code = client.poll()
        if code is None:
            return None
        return far_side.ended(self.spec.host, self.spec.python, code, self._log_tail())

    def _end(self) -> None:
        if self._client is not None:
            self._client.kill()  # the far side ends with the connection
        elif self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        if self._group is not None:
            self._group.terminate(timeout=1.0)
        self._channel = self._pid = self._client = None
        self._prepared = False

    @contextlib.contextmanager
    def _ended_on_interrupt(self) -> Any:
        """End the worker when the caller is interrupted: a late answer must meet no later call."""
        try:
            yield
        except BaseException:
            self._end()
            raise

    def _log_tail(self) -> str:
        self._log.seek(max(os.fstat(self._log.fileno()).st_size - _LOG_TAIL, 0))
        return self._log.read().decode(errors="replace").strip()

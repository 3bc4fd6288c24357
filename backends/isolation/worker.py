"""The far side of a backend process: it serves one adapter over an execnet channel.

execnet sends the source of this module to the new interpreter, so it imports nothing but the
standard library until it has settled in. It guarantees that what the framework prints reaches only
the log, that the terminal's Ctrl-C does not, and that the process does not outlive its parent.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import importlib.machinery
import importlib.util
import io
import os
import resource
import signal
import sys
import traceback
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

MESSAGE_LENGTH = 300
LOG_LENGTH = 2000
PR_SET_PDEATHSIG = 1
# Modules whose frames a traceback begins after; this one is sent, and runs under the first name.
OWN = ("__channelexec__", "bce_conformance.")

# Frameworks that log to the terminal or take all of a GPU's memory, asked to do neither. What the
# user has set stays.
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "GLOG_minloglevel": "2",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    # Compile in this process: a pool of compilers would have to be ended too.
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
}


class _SourceFinder:
    """Finds this package's modules in the parent's source, for an interpreter without them."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = folders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        folder = self._folders.get(name)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )


def settle(config: Mapping[str, Any]) -> None:
    """Make this process quiet, deaf to Ctrl-C, and mortal with its parent."""
    os.setpgid(0, 0)  # the parent ends the whole group, compilers that a framework started too
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if "sources" in config:
        unpack(config["sources"])
    else:
        stay(config)
    faulthandler.enable(file=2, all_threads=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def stay(config: Mapping[str, Any]) -> None:
    """Settle beside the parent: write to its log, and find its packages where they are."""
    if os.getppid() != config["parent"]:  # it died before it could be watched
        os._exit(1)
    log = os.open(config["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.path.extend(entry for entry in config["path"] if entry not in sys.path)
    sys.meta_path.append(_SourceFinder(config["packages"]))


def unpack(sources: bytes) -> None:
    """Settle on another machine, in the folder that is cleared away behind this process.

    What is printed goes by way of standard error to the parent's log.
    """
    os.dup2(2, 1)
    folder = os.environ["BCE_CONFORMANCE_FOLDER"]
    zipfile.ZipFile(io.BytesIO(sources)).extractall(folder)
    os.chdir(folder)
    sys.path.insert(0, folder)  # before what may be installed of ours here


def shortened(text: str) -> str:
    """Return ``text``, with its middle left out where it is long: wrapped errors end in theirs."""
    if len(text) <= MESSAGE_LENGTH:
        return text
    gap = " … "
    start = MESSAGE_LENGTH // 2
    return text[:start] + gap + text[start + len(gap) - MESSAGE_LENGTH :]


def failure(error: Exception, *, located: bool = False) -> dict[str, Any]:
    """Return ``error`` as a message; an adapter's refusal is told from the framework's error.

    With ``located``, its detail says which line of the user's file it came from.
    """
    name = type(error).__name__
    message = " ".join(str(error).split())[:LOG_LENGTH]
    text = shortened(message) + (line_of(error) if located else "")
    log = traceback_of(error)
    if name == "UnsupportedCall":
        return {"failure": {"kind": "unsupported", "detail": text, "log": log}}
    detail = f"{name}: {text}" if text else name
    bases = tuple(base.__name__ for base in type(error).__mro__[1:])
    raised = {"kind": "raised", "detail": detail, "error_type": name, "error_bases": bases}
    return {"failure": {**raised, "message": message, "log": log}}


def traceback_of(error: Exception) -> str:
    """Return the end of an error's traceback, from the first frame that is not this package's."""
    here, frames = error.__traceback__, error.__traceback__
    while here is not None and here.tb_frame.f_globals.get("__name__", "").startswith(OWN):
        here = here.tb_next
    lines = traceback.format_exception(type(error), error, here or frames)
    return "".join(lines)[-LOG_LENGTH:].strip()


def line_of(error: Exception) -> str:
    """Return the last line that an error came by in the user's file, in words; empty without one.

    That is the first file which is neither this package's nor Python's importing.
    """
    names = {f.f_code.co_filename: str(f.f_globals.get("__name__")) for f, _ in frames_of(error)}
    lines = [(frame.f_code.co_filename, line) for frame, line in frames_of(error)]
    others = [f for f in names if not names[f].startswith((*OWN, "importlib"))]
    if not others or isinstance(error, SyntaxError):  # whose text has the line
        return ""
    line = [number for file, number in lines if file == others[0]][-1]
    return f" ({os.path.basename(others[0])}, line {line})"


def frames_of(error: Exception) -> list[tuple[Any, int]]:
    """Return the frames of an error's traceback with their lines, the outermost first."""
    return list(traceback.walk_tb(error.__traceback__))


def evaluate(adapter: Any, message: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one call, with what Python warned of and which arrays it changed.

    Raises:
        UnsupportedCall: the call asks for something that the adapter does not list.
    """
    from bce_conformance.backends.adapter_state import mode, thread_count
    from bce_conformance.backends.calls import UnsupportedCall
    from bce_conformance.backends.isolation import transport
    from bce_conformance.backends.isolation.repetition import evaluated, prepare
    from bce_conformance.backends.isolation.side_effects import Watch

    call = transport.unpack_call(message)
    unlisted = set(call.extensions) - set(getattr(adapter, "extensions", ()))
    if unlisted:
        raise UnsupportedCall(f"its adapter has no {', '.join(sorted(unlisted))}")
    with (
        warnings.catch_warnings(record=True) as caught,
        thread_count(adapter, call.threads),
        mode(adapter, call.mode),
    ):
        warnings.simplefilter("always")
        prepare(adapter, call)
        thunk = adapter.bind(call)
        watch = Watch(adapter, call, message)
        result = evaluated(adapter, thunk, call)
        changed = watch.changed()
    given = (f"{w.category.__name__}: {' '.join(str(w.message).split())}" for w in caught)
    texts = tuple(dict.fromkeys(text[:MESSAGE_LENGTH] for text in given))
    return transport.pack_result(replace(result, warnings=texts, modified=changed))


def made(factory: str, function: str) -> Any:
    """Return an adapter, of a user's function where one is named.

    Raises:
        TypeError: it lacks a method of an adapter.
    """
    module, _, name = factory.partition(":")
    kind = getattr(importlib.import_module(module), name)
    adapter = kind(function) if function else kind()
    lacking = [m for m in ("info", "bind", "fetch") if not callable(getattr(adapter, m, None))]
    if lacking:
        raise TypeError(f"{name} is no adapter: it has no method {', '.join(lacking)}")
    return adapter


def described(adapter: Any, held: str, *, elsewhere: bool) -> Any:
    """Return what an adapter says of itself, with the instruction set of this process.

    Args:
        adapter: which.
        held: the level of instruction sets that this process is held to; empty for none.
        elsewhere: whether this is another machine than the parent's; then a note says which.

    Raises:
        TypeError: that is no BackendInfo.
    """
    from bce_conformance.backends import instruction_sets
    from bce_conformance.backends.calls import BackendInfo

    info = adapter.info()
    if not isinstance(info, BackendInfo):
        given = f"an object of type {type(info).__name__}"
        raise TypeError(f"info() returned {given}; accepted is a BackendInfo")
    if not info.instruction_set:  # an adapter whose code does not say it
        level = held or instruction_sets.level_of_machine()
        info = replace(info, instruction_set=instruction_sets.named(level))
    if elsewhere:
        info = replace(info, notes=(*info.notes, instruction_sets.machine()))
    return info


def serve(channel: Any) -> None:
    """Answer the parent: a process id, a description, then whatever it asks for."""
    config = channel.receive()
    settle(config)
    channel.send(os.getpid())
    try:
        from bce_conformance.backends.isolation import transport
        from bce_conformance.backends.measuring.timer import Timer
        from bce_conformance.backends.measuring.workload import Workload

        adapter = made(config["factory"], config["function"])
        timer = Timer(adapter)
        elsewhere = "sources" in config
        info = described(adapter, config["instruction_set"], elsewhere=elsewhere)
        message = transport.pack_info(info)
    except Exception as error:
        channel.send(failure(error, located=True))
        return
    channel.send(message)
    while True:
        message = channel.receive()
        try:
            if "prepare" in message:
                getattr(adapter, "prepare", lambda: None)()
                message = {}
            elif "workload" in message:
                timed = Workload(**message["workload"])
                seconds, ahead = message["seconds"], message["ahead"]
                message = {"seconds": timer.measure(timed, seconds, ahead=ahead)}
            else:
                message = evaluate(adapter, message)
        except Exception as error:
            message = failure(error, located=bool(config["function"]))
        channel.send(message)


if __name__ == "__channelexec__":
    try:
        serve(globals()["channel"])
    except EOFError:  # the parent is gone
        os._exit(0)
    except SystemExit as leave:
        # A framework that leaves takes the process with it, whatever execnet would make of it.
        os._exit(leave.code if isinstance(leave.code, int) else int(leave.code is not None))

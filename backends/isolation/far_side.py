"""The far side of ``@ssh=host``: a worker on another machine, by OpenSSH's client.

The worker is the one of this machine: it, and the sources that it needs, are sent. The far side
needs Python, NumPy, ml_dtypes and the framework. Nothing of it stays there: see ``supervisor``.
"""

from __future__ import annotations

import base64
import io
import os
import shlex
import signal
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import bce_conformance
from bce_conformance.backends import instruction_sets
from bce_conformance.backends.registry import BackendSpec

VARIABLE = "BCE_CONFORMANCE_SSH"
"""Names another command than ``ssh``, with its options: ``ssh -F my_config``."""

PACKAGES = ("bce_conformance.backends", "bce_conformance.native")
"""What a worker needs of ours."""

# No question can be answered, and a host that is silent for a minute is gone.
_OPTIONS = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=15"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"),
    *("-T", "-x", "-a"),
)
_BROKEN = 255  # what OpenSSH exits with where it has no connection, or lost it
_NO_PROGRAM = (126, 127)  # what shells exit with
_USER_FILES = "user"
_SUPERVISOR = Path(__file__).with_name("supervisor.py")


def command(spec: BackendSpec, environment: Mapping[str, str], log: str) -> list[str]:
    """What starts the worker of a backend on its host.

    Args:
        spec: the backend.
        environment: variables that the worker gets, unless they are set there.
        log: the file that the worker's output and OpenSSH's messages go to.

    Returns:
        A command whose process is OpenSSH's client; further arguments are ignored.
    """
    limits = (
        instruction_sets.limits(spec.instruction_set, environment={})
        if spec.instruction_set
        else {}
    )
    source = (
        f"{_SUPERVISOR.read_text('utf-8')}\nsys.exit(supervise({dict(environment)!r}, {limits!r}))"
    )
    coded = base64.b64encode(source.encode()).decode()
    python = shlex.quote(spec.python or "python3")
    # Without a line break or an exclamation mark: every shell reads it alike.
    there = f"exec {python} -c 'import base64;exec(base64.b64decode(\"{coded}\"))'"
    host, _, port = spec.host.partition(":")
    client = shlex.split(os.environ.get(VARIABLE, "")) or ["ssh"]
    options = [*_OPTIONS, *(("-p", port) if port else ())]
    line = shlex.join([*client, *options, "--", host, there])
    # Ctrl-C is for the suite, which ends the client itself.
    return ["sh", "-c", f"trap '' INT; exec {line} 2>>{shlex.quote(log)}"]


def configuration(spec: BackendSpec) -> dict[str, Any]:
    """What the worker is told beside its backend: the sources, and its function in them."""
    where, _, name = spec.function.rpartition(":")
    if not where.endswith(".py"):
        return {"sources": sources(), "function": spec.function}
    path = Path(where)
    return {
        "sources": sources(path.read_bytes(), path.name),
        "function": f"{_USER_FILES}/{path.name}:{name}",
    }


@lru_cache(maxsize=4)
def sources(function: bytes = b"", name: str = "") -> bytes:
    """The sources that a worker needs, as a zip file.

    Args:
        function: content of the user's file, if a function in it is judged.
        name: of that file.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bce_conformance/__init__.py", Path(bce_conformance.__file__).read_bytes())
        for package in PACKAGES:
            root = _folder(package)
            inner = {folder for folder in map(_folder, PACKAGES) if root in folder.parents}
            for path in sorted(root.rglob("*.py")):
                if not inner.intersection(path.parents):
                    inside = path.relative_to(root).as_posix()
                    archive.writestr(f"{package.replace('.', '/')}/{inside}", path.read_bytes())
        if name:
            archive.writestr(f"{_USER_FILES}/{name}", function)
    return packed.getvalue()


def _folder(package: str) -> Path:
    from importlib.util import find_spec

    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def ended(host: str, python: str, code: int, log: str) -> str:
    """Why a worker on another machine ended, in a line.

    Args:
        host: the machine.
        python: the interpreter there; empty for ``python3``.
        code: what OpenSSH's client exited with; negative for a signal that ended itself.
        log: what it and the worker wrote.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = f": {lines[-1]}" if lines else ""
    if code == _BROKEN or code < 0:
        return f"no connection to {host}, or it broke{last}"
    if code in _NO_PROGRAM:
        return f"no {python or 'python3'} on {host}{last}"
    try:
        return f"{signal.Signals(code - 128).name} on {host}"
    except ValueError:
        return f"exit code {code} on {host}{last}"

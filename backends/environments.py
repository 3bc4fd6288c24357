"""Environments: a framework of another version, installed by pip where no other one is.

Guarantees that an environment which is there is complete: one whose installation was cut off is
made again. Each is made once, by one process, in the cache folder of the user.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

VARIABLE = "BCE_CONFORMANCE_CACHE"
"""Names another folder than the user's cache."""
BESIDE = ("numpy", "ml_dtypes")
"""What every backend needs in its environment beside its framework."""
_READY = "complete"
PIP = ("pip", "--disable-pip-version-check", "--no-input")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+!_-]*")
_ABSENT = re.compile(r"satisfies the requirement (\S+) \(from versions: ([^)]*)\)")
_NEAR = 3  # versions on either side that are told


class EnvironmentNotMadeError(Exception):
    """pip could not install what an environment needs; the message has pip's own reason."""


def check_version(version: str) -> None:
    """Require something that can be a version.

    Raises:
        ValueError: it is none.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"pip={version!r} names no version; accepted is one, such as pip=2.10.0")


def folder_of(distribution: str, version: str) -> Path:
    """The folder of the environment of one version, whether or not it is there."""
    import platformdirs  # here, for workers in such an environment come past this module

    named = os.environ.get(VARIABLE, "")
    cache = (
        Path(named) if named not in ("", "off") else platformdirs.user_cache_path("bce-conformance")
    )
    return cache / "environments" / f"{distribution}-{version}-python-{python_name()}"


def python_name() -> str:
    """The version of Python that environments are made with, such as ``3.12``."""
    return ".".join(map(str, sys.version_info[:2]))


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def offered(distribution: str) -> list[str]:
    """The releases that pip finds for this Python, the oldest first; no pre-releases.

    Args:
        distribution: such as ``torch``.

    Raises:
        EnvironmentNotMadeError: pip finds none, or no package index.
    """
    # An environment may have been made without pip; each has it that is made here.
    python = Path(sys.executable) if find_spec("pip") else _pip_of_its_own()
    listed = _run([str(python), "-I", "-m", *PIP, "index", "versions", distribution])
    lines = [line for line in listed.splitlines() if line.startswith("Available versions:")]
    named = lines[0].partition(":")[2].split(",") if lines else []
    return [name.strip() for name in reversed(named)]


def _pip_of_its_own() -> Path:
    from filelock import FileLock

    folder = folder_of("pip", "own")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not python_of(folder).exists():
            _run([sys.executable, "-m", "venv", str(folder)])
    return python_of(folder)


def make(distribution: str, version: str, needs: Sequence[str] = ()) -> Path:
    """Make the environment of one version, if it is not there, and return its interpreter.

    Args:
        distribution: such as ``torch``.
        version: such as ``2.10.0``.
        needs: further distributions.

    Raises:
        EnvironmentNotMadeError: pip found no such version, or could not install it.
    """
    from filelock import FileLock

    folder = folder_of(distribution, version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not is_made(distribution, version):
            shutil.rmtree(folder, ignore_errors=True)
            wanted = [f"{distribution}=={version}", *BESIDE, *needs]
            try:
                _run([sys.executable, "-m", "venv", str(folder)])
                # -I: what PYTHONPATH has is not installed there. What is imported is compiled then.
                pip = [str(python_of(folder)), "-I", "-m", *PIP, "install", "--no-compile"]
                _run([*pip, "--quiet", *wanted])
            except EnvironmentNotMadeError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            (folder / _READY).touch()
    return python_of(folder)


def is_made(distribution: str, version: str) -> bool:
    """Whether the environment of one version is there, and complete."""
    return (folder_of(distribution, version) / _READY).exists()


def remove(distribution: str, version: str) -> None:
    """Delete the environment of one version, if it is there; it is made again where it is needed.

    Raises:
        OSError: it cannot be deleted.
    """
    folder = folder_of(distribution, version)
    (folder / _READY).unlink(missing_ok=True)  # what is half deleted is not complete
    if folder.exists():
        shutil.rmtree(folder)


def _run(command: Sequence[str]) -> str:
    """Run a command, and return what it prints."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EnvironmentNotMadeError(_reason(command, done.stderr))
    return done.stdout


def _reason(command: Sequence[str], said: str) -> str:
    """Why a command failed, in a line; of a version that there is not, which there are."""
    absent = _ABSENT.search(said)
    if absent:
        wanted, listed = absent.groups()
        distribution, _, version = wanted.partition("==")
        there = [] if listed == "none" else listed.split(", ")
        lacking = f"pip has no {distribution} {version} for Python {python_name()}"
        return f"{lacking}; {_near(version, there)}"
    lines = [line for line in said.splitlines() if line.startswith("ERROR")]
    return f"{' '.join(command[-4:])}: {lines[-1] if lines else said.strip()[-200:]}"


def _near(version: str, there: Sequence[str]) -> str:
    """Which versions there are instead of one, in words: those next to it, and how many.

    Args:
        version: the one that there is not.
        there: the others, the oldest first, as pip lists them.
    """
    from packaging.version import InvalidVersion, Version

    if not there:
        return "it finds none at all: is the name right, and is there a network?"
    if len(there) <= 2 * _NEAR:
        return f"it has {', '.join(there)}"
    try:
        at = sum(Version(one) < Version(version) for one in there)
    except InvalidVersion:
        at = len(there)
    first = min(max(at - _NEAR, 0), len(there) - 2 * _NEAR)
    return (
        f"it has {len(there)}, {there[0]} to {there[-1]}, and the nearest are "
        f"{', '.join(there[first : first + 2 * _NEAR])}"
    )

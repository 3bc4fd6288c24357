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
from pathlib import Path

VARIABLE = "BCE_CONFORMANCE_CACHE"
"""Names another folder than the user's cache."""
BESIDE = ("numpy", "ml_dtypes")
"""What every backend needs in its environment beside its framework."""
_READY = "complete"
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+!_-]*")


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
    python = ".".join(map(str, sys.version_info[:2]))
    return cache / "environments" / f"{distribution}-{version}-python-{python}"


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


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
        if not (folder / _READY).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)])
            wanted = [f"{distribution}=={version}", *BESIDE, *needs]
            pip = [str(python_of(folder)), "-m", "pip", "--disable-pip-version-check", "--no-input"]
            _run([*pip, "install", "--quiet", *wanted])
            (folder / _READY).touch()
    return python_of(folder)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = lines[-1] if lines else done.stderr.strip()[-200:]
        raise EnvironmentNotMadeError(f"{' '.join(command[-4:])}: {said}")

"""Backends for another machine: they say in which process and folder they are, and have faults."""

import os
from pathlib import Path

import faulty

import bce_conformance
from bce_conformance.backends import BackendInfo

PID_FILE = "elsewhere.pid"


class Here(faulty.Echo):
    """Leaves its process id in its home folder; its version is where this package was found."""

    def info(self):
        Path(os.environ["ELSEWHERE"], PID_FILE).write_text(f"{os.getpid()} {os.getcwd()}")
        place = Path(bce_conformance.__file__).parents[1]
        return BackendInfo(id="here", framework="echo", version=str(place))


class Hang(Here, faulty.HangWithoutInterpreter):
    """Hangs while it holds the GIL."""


class Segfault(Here, faulty.Segfault):
    """Ends by a signal, with last words."""


class Print(Here, faulty.Print):
    """Prints in every way."""

"""Clusters for tests: schedulers and workers as processes, and a client that needs none."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CONFORMANCE = Path(__file__).parent / "conformance"
PATH = os.pathsep.join(map(str, (CONFORMANCE / "sweeping", CONFORMANCE)))
ENVIRONMENT = os.environ | {"PYTHONPATH": PATH, "COLUMNS": "300", "NO_COLOR": "1"}
LIMIT = 600.0  # seconds for what takes a few on an idle machine
# What is said of a scheduler that cannot be used, and the options that name it.
REFUSED = {
    "scheduler is 'nowhere'; accepted are local, local:2": ("--scheduler=nowhere",),
    "no scheduler answers at tcp://127.0.0.1:": ("--scheduler=tcp://127.0.0.1:{port}", "--wait=1"),
}


def program(*words: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", *words], env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True
    )


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = program(*words)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def scheduler(port: int) -> tuple[str, ...]:
    places = ("--host=127.0.0.1", f"--port={port}", "--dashboard-address=127.0.0.1:0")
    return ("dask", "scheduler", "--no-dashboard", *places)


def worker(address: str, folder: Path) -> tuple[str, ...]:
    places = ("--no-dashboard", f"--local-directory={folder}")
    return ("dask", "worker", address, "--nthreads=1", "--no-nanny", "--host=127.0.0.1", *places)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Future:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        lost = isinstance(answer, CancelledError)
        failed = isinstance(answer, Exception)
        self.status = "cancelled" if lost else "error" if failed else "finished"

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def exception(self) -> Any:
        return self.answer


class Client:
    """Answers at once what it is told to.

    Args:
        answered: is given the number of the question, from 0 on, and its arguments.
    """

    scheduler = SimpleNamespace(address="tcp://there:8786")
    status = "running"

    def __init__(self, answered: Callable[..., Any]) -> None:
        self.answered, self.asked = answered, 0
        self.cancelled: list[Future] = []
        self.told: list[Any] = []

    def wait_for_workers(self, count: int, timeout: float) -> None:
        if self.status != "running":
            raise TimeoutError

    def nthreads(self) -> dict[str, int]:
        return {"one": 1, "two": 1}

    def submit(self, function: Any, *arguments: Any, pure: bool, **where: Any) -> Future:
        self.asked += 1
        return Future(self.answered(self.asked - 1, *arguments))

    def run(self, function: Any, *, wait: bool) -> None:
        self.told.append(function)

    def cancel(self, futures: list[Future]) -> None:
        self.cancelled += futures

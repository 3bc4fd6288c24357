"""The slow path over several processes, for jobs long enough to pay for starting them.

Guarantees: the results, and their order, of certifying the rows one after another. The processes
are started as ``python -c``, never by forking or by importing the caller's main module again, so
that any script may ask for a truth; they end with the call, also when it is interrupted.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bce_conformance.reference.formats import Format
from bce_conformance.reference.quantities import Row

from .certified import Rounded
from .parts import certify_rows

PAYS_FROM = 50_000  # rows: one and a half seconds of work, against half a second to start
_CHUNK = 2_000

Job = tuple[str, list[Row], int, Format]


def certify_rows_parallel(quantity: str, rows: list[Row], count: int, fmt: Format) -> list[Rounded]:
    """Certify rows on all cores, with a progress bar on a terminal's standard error."""
    starts = range(0, len(rows), _CHUNK)
    jobs = [(quantity, rows[start : start + _CHUNK], count, fmt) for start in starts]
    size = min(os.cpu_count() or 1, len(jobs))
    console = Console(stderr=True)
    with ExitStack() as stack:
        bar = stack.enter_context(Progress(console=console, disable=not console.is_terminal))
        task = bar.add_task("ground truth", total=len(rows))
        idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for _ in range(size):
            idle.put(stack.enter_context(_worker()))
        pool = ThreadPoolExecutor(size)
        stack.callback(pool.shutdown, cancel_futures=True)  # before the processes end

        def done(job: Job) -> list[Rounded]:
            worker = idle.get()
            try:
                result = _ask(worker, job)
            finally:
                idle.put(worker)  # also a dead one, so that the next job fails instead of waiting
            bar.advance(task, len(job[1]))
            return result

        return [rounded for result in pool.map(done, jobs) for rounded in result]


class _worker:  # noqa: N801 - used as a function
    """A process that ends with the block."""

    def __enter__(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", f"from {__name__} import serve; serve()"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()


def _ask(worker: subprocess.Popen[bytes], job: Job) -> list[Rounded]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    pickle.dump(job, worker.stdin)
    worker.stdin.flush()
    result: list[Rounded] = pickle.load(worker.stdout)
    return result


def serve() -> None:
    """Certify jobs from standard input until there are no more."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            job: Any = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(certify_rows(*job), answers)
        answers.flush()

"""What runs on another machine beside a worker: it starts the worker, and clears away behind it.

Its source is part of the command that OpenSSH runs there, so it imports nothing but the standard
library, and is read by older versions of Python too. Guarantees that the worker and what it has
started end when the connection does, however deep in a call they are, and that nothing is left on
the disk.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

OLDEST = (3, 11)
FOLDER = "BCE_CONFORMANCE_FOLDER"
CHUNK = 1 << 20


def supervise(environment: dict[str, str], limits: dict[str, str]) -> int:
    """Run a worker with the standard streams of this process, and return its exit code.

    Args:
        environment: variables that it gets, unless they are set here.
        limits: variables that it gets in any case.

    Returns:
        Its exit code; 128 and the number of a signal that ended it.
    """
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:2]))
        sys.stderr.write(f"Python {found} is too old there: 3.11 or newer is needed\n")
        return 1
    folder = tempfile.mkdtemp(prefix="bce-conformance-")
    try:
        worker = subprocess.Popen(
            [sys.executable, "-u", "-c", "import sys;exec(eval(sys.stdin.readline()))"],
            stdin=subprocess.PIPE,
            env={**environment, **os.environ, **limits, FOLDER: folder},
            preexec_fn=os.setpgrp,  # so that what it starts ends with it
        )
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, lambda *_: end(worker))
        relay(worker)
        code = worker.wait()
        end(worker)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


def end(worker: subprocess.Popen[bytes]) -> None:
    """End a worker, and all processes of its group."""
    with contextlib.suppress(OSError):  # they are gone
        os.killpg(worker.pid, signal.SIGKILL)


def relay(worker: subprocess.Popen[bytes]) -> None:
    """Hand standard input on to a worker from now on, and end it where there is no more.

    Reading does not wait for a worker that reads nothing: it hangs, and the end must be seen.
    """
    waiting: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        while True:
            data = os.read(0, CHUNK)
            if not data:
                break
            waiting.put(data)
        end(worker)

    def write() -> None:
        assert worker.stdin is not None
        with contextlib.suppress(OSError):  # it is gone
            while True:
                worker.stdin.write(waiting.get())
                worker.stdin.flush()

    for target in (read, write):
        threading.Thread(target=target, daemon=True).start()

"""Commands of ``bce-conformance`` in processes of their own, with the backends of ``impaired``."""

import os
import signal
import subprocess
import sys
from pathlib import Path

IMPAIRED = Path(__file__).parents[1] / "conformance"
LITTLE = ("--requirement=VAL-1", "--dtype=float32")


def started(folder: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    """Run in a working directory; output without colour, 200 columns wide.

    ``ENTRY_POINTS`` among the variables is one more folder of modules.
    """
    environment = {k: v for k, v in os.environ.items() if k != "FORCE_COLOR"} | more
    modules = os.pathsep.join(filter(None, [str(IMPAIRED), more.get("ENTRY_POINTS", "")]))
    return subprocess.Popen(
        [sys.executable, "-m", "bce_conformance", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": modules, "NO_COLOR": "1", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C may be ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def command(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    process = started(folder, *arguments, **more)
    output, errors = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

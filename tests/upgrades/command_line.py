"""Commands of ``bce-conformance`` in processes of their own, with the backends of ``impaired``."""

import os
import subprocess
import sys
from pathlib import Path

IMPAIRED = Path(__file__).parents[1] / "conformance"
LITTLE = ("--requirement=VAL-1", "--dtype=float32")


def command(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run in a working directory; output without colour, 200 columns wide.

    ``ENTRY_POINTS`` among the variables is one more folder of modules.
    """
    environment = {k: v for k, v in os.environ.items() if k != "FORCE_COLOR"} | more
    modules = os.pathsep.join(filter(None, [str(IMPAIRED), more.get("ENTRY_POINTS", "")]))
    return subprocess.run(
        [sys.executable, "-m", "bce_conformance", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": modules, "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

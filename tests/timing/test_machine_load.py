"""What others take of the machine while something is measured."""

import os
import subprocess
import sys
import time

from bce_conformance.timing.machine_load import Others


def test_what_others_take_is_counted() -> None:
    others = Others()
    assert others.processors is None
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with others.watch(os.getpid()):
            time.sleep(0.5)
        assert others.processors is not None
        assert 0.3 < others.processors <= (os.cpu_count() or 1) + 0.1
        alone = Others()
        with alone.watch(burner.pid):
            time.sleep(0.5)
        assert alone.processors is not None
        assert alone.processors < others.processors
    finally:
        burner.kill()
        burner.wait()

"""Freed memory is kept for the next array, so that it comes from the kernel once only."""

import os
import platform
import subprocess
import sys

import pytest

from bce_conformance.backends.heap import resident

SCRIPT = """
import resource
import sys
from bce_conformance.backends.heap import keep_freed_memory
import numpy as np

if sys.argv[1] == "keep":
    print(keep_freed_memory())


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


np.ones(1 << 18)
before = faults()
for _ in range(50):
    np.ones(1 << 18)  # 2 MiB: 512 pages
print(faults() - before)
"""


def printed(*arguments: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_an_array_takes_the_memory_of_the_one_before() -> None:
    done, faults = printed("keep")
    assert done == "True"
    assert int(faults) < 512


def test_what_the_user_has_set_stays() -> None:
    done, _ = printed("keep", MALLOC_TRIM_THRESHOLD_="131072")
    assert done == "False"


# Small arrays after which others stay: freed, they lie in the heap, and no end of it is free.
FRAGMENTED = """
import numpy as np
from bce_conformance.backends.heap import give_back_freed_memory, resident

arrays = [np.ones(10_000) for _ in range(4_000)]
full = resident()
del arrays[::2]
half = resident()
print(full - half, give_back_freed_memory(), half - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_what_is_freed_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FRAGMENTED],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    freed, was_some, given_back = done.stdout.split()
    assert int(freed) < 50 << 20
    assert was_some == "True"
    assert int(given_back) > 100 << 20


def test_of_no_process_nothing_is_known() -> None:
    assert resident(2**22 + 1) == 0
    assert resident() == pytest.approx(resident(os.getpid()), rel=0.5)

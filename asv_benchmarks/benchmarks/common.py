"""What the benchmarks share: the backends, and calls that are bound once in a process.

Importing this module imports no framework and writes nothing: discovery does it. A benchmark whose
framework or device is not there skips itself, which asv reads from NotImplementedError in setup.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from bce_conformance.backends.measuring.workload import Workload
from bce_conformance.backends.registry import installed, resolve

# Parameters of benchmarks are names in a history: written down, and held to the registry by
# `measure.py check`.
BACKENDS = (
    "native",
    "native:torch",
    "native:jax",
    "torch",
    "torch:compile",
    "paddle",
    "paddle:static",
    "tensorflow",
    "tensorflow:xla",
    "jax",
    "jax:jit",
    "optax",
    "optax:jit",
)
# The fastest of each framework, where all of them would take too long.
FASTEST = ("native", "torch:compile", "paddle", "tensorflow:xla", "jax:jit", "optax:jit")
PASSES = ("forward", "gradient")
SMALL, MIDDLE, LARGE = 32, 1_000_000, 16_000_000

WARM_UP = 3
"""Calls before anything is measured: they compile, allocate and fill the caches."""

_ONE_PROCESSOR = 1


def available(backend: str) -> bool:
    """Whether the backend's framework is installed, and among those that ``measure.py`` chose."""
    chosen = os.environ.get("BCE_BENCHMARK_BACKENDS", "")
    framework = backend.partition(":")[0]
    return (not chosen or framework in chosen.split(",")) and installed(resolve(backend))


def require(backend: str, device: str = "cpu") -> None:
    """Skip the benchmark where the backend's framework or the device is not there."""
    if not available(backend):
        raise NotImplementedError(f"{backend} is not installed, or was not asked for")
    if device != "cpu" and not any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg"))):
        raise NotImplementedError(f"no device {device}")


def adapter(backend: str) -> Any:
    """The adapter of a backend, in this process: asv gives each benchmark one of its own."""
    keep_compiled_code_by_source()
    module, _, name = resolve(backend).factory.partition(":")
    return getattr(importlib.import_module(module), name)()


@cache
def bound(backend: str, workload: Workload) -> Callable[[], Any]:
    """What is timed: the thunk that is judged, warmed up; bound once however often asv asks.

    Raises:
        NotImplementedError: the framework, the device or the operation is not there.
    """
    require(backend, workload.device)
    if workload.threads == _ONE_PROCESSOR:
        # Before the framework is imported: it sizes its pools by the processors allowed to it.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    thunk: Callable[[], Any] = bind(adapter(backend), workload)
    for _ in range(WARM_UP):
        thunk()
    return thunk


def bind(backend: Any, workload: Workload) -> Any:
    """``backend.bind``; what the adapter refuses is skipped."""
    from bce_conformance.backends import UnsupportedCall

    try:
        return backend.bind(workload.call())
    except UnsupportedCall as refusal:
        raise NotImplementedError(str(refusal)) from None


def keep_compiled_code_by_source() -> None:
    """Keep the compiled kernels of several commits beside each other in asv's environments.

    asv installs one commit over the other, round by round, and numba would compile them anew each
    time.
    """
    if os.environ.get("ASV_ENV_TYPE", "existing") == "existing":
        return
    package = importlib.util.find_spec("bce_conformance.native")
    assert package is not None
    assert package.submodule_search_locations is not None
    sources = sorted(Path(package.submodule_search_locations[0]).rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    os.environ["NUMBA_CACHE_DIR"] = str(Path(os.environ["ASV_ENV_DIR"], "numba", digest[:16]))

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bce_conformance.backends import BackendProcess, installed, resolve


@pytest.fixture(scope="package")
def process() -> Iterator[Callable[[str], BackendProcess]]:
    """Return what gives the one process of a backend that all tests of this folder share."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(Path(__file__).parents[1]))
    running: dict[str, BackendProcess] = {}

    def get(name: str) -> BackendProcess:
        spec = resolve(name)
        if not installed(spec):
            pytest.skip(f"{name} is not installed")
        if name not in running:
            running[name] = BackendProcess(spec)
        return running[name]

    yield get
    for backend in running.values():
        backend.close()
    patch.undo()

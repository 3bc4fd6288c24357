"""Time until a backend is of use: its import, and its first call, in fresh interpreters."""

from __future__ import annotations

from bce_conformance.backends.measuring.workload import Workload
from bce_conformance.backends.registry import resolve

from .common import BACKENDS, SMALL, bound, require


class Start:
    """The native kernels are compiled already: what is measured is a warm cache on disk."""

    params = (BACKENDS,)
    param_names = ("backend",)
    repeat = 3
    rounds = 1
    number = 1
    timeout = 600

    def setup(self, backend: str) -> None:
        """Skip, or see to it that compiled code is on disk."""
        require(backend)
        if backend == "native":
            bound(backend, Workload(SMALL, what="gradient"))

    def timeraw_import(self, backend: str) -> str:
        """Import the framework by way of its adapter."""
        return _adapter(backend) + "adapter.module()"

    def timeraw_first_call(self, backend: str) -> str:
        """Import, and evaluate loss and gradient of 32 elements."""
        return _adapter(backend) + (
            "from bce_conformance.backends.measuring.workload import Workload\n"
            f"call = Workload({SMALL}, what='gradient').call()\n"
            "adapter.fetch(adapter.bind(call)())"
        )


def _adapter(backend: str) -> str:
    module, _, name = resolve(backend).factory.partition(":")
    return f"from {module} import {name}\nadapter = {name}()\n"

"""The processes of backends: they end when nothing is left for them to do."""

from typing import Any

from bce_conformance.backends import resolve
from bce_conformance.conformance.running.call_slots import CallSlots
from bce_conformance.conformance.running.processes import Processes
from bce_conformance.conformance.running.progress import Progress


class Process:
    closed = False

    def close(self) -> None:
        self.closed = True


def test_a_process_ends_when_neither_its_backend_nor_a_variant_of_it_has_anything_left() -> None:
    specs = {name: resolve(name) for name in ("native", "torch", "torch:compile", "jax:jit")}
    slots = CallSlots(1)
    kept = Processes(specs, 1.0, slots, Progress())
    processes: dict[str, Any] = {backend: Process() for backend in specs}
    siblings: dict[str, Any] = {"jax": Process()}
    kept._processes, kept._siblings = processes, siblings
    every = {**processes, **siblings}

    def closed() -> set[str]:
        return {backend for backend, process in every.items() if process.closed}

    slots.left.update({"torch:compile": 1, "jax:jit": 1})
    kept.release()
    assert closed() == {"native"}
    slots.left["torch:compile"] -= 1
    kept.release()
    assert closed() == {"native", "torch", "torch:compile"}
    slots.left["jax:jit"] -= 1
    kept.release()
    assert closed() == set(every)
    kept.close()

"""The matrix: processes end when nothing is left for them to do."""

from typing import Any

from bce_conformance.conformance.ledger.read import Ledger
from bce_conformance.conformance.running.matrix import Matrix, Settings


class Process:
    closed = False

    def close(self) -> None:
        self.closed = True


def test_a_process_ends_when_neither_its_backend_nor_a_variant_of_it_has_anything_left() -> None:
    matrix = Matrix(Settings(("native", "torch", "torch:compile", "jax:jit")), Ledger([]))
    processes: dict[str, Any] = {backend: Process() for backend in matrix.specs}
    siblings: dict[str, Any] = {"jax": Process()}
    matrix._processes, matrix._siblings = processes, siblings
    every = {**processes, **siblings}

    def closed() -> set[str]:
        return {backend for backend, process in every.items() if process.closed}

    matrix.slots.left.update({"torch:compile": 1, "jax:jit": 1})
    matrix.release()
    assert closed() == {"native"}
    matrix.slots.left["torch:compile"] -= 1
    matrix.release()
    assert closed() == {"native", "torch", "torch:compile"}
    matrix.slots.left["jax:jit"] -= 1
    matrix.release()
    assert closed() == set(every)
    matrix.close()

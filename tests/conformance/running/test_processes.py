"""The processes of backends: what they are given, and when they end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bce_conformance.backends import LossCall, LossResult, resolve
from bce_conformance.conformance.running.call_slots import CallSlots
from bce_conformance.conformance.running.processes import Processes
from bce_conformance.conformance.running.progress import Progress
from bce_conformance.reference import cache


class Process:
    ended = False

    def rest(self) -> None:
        self.ended = True

    close = rest


def test_a_process_ends_when_neither_its_backend_nor_a_variant_of_it_has_anything_left() -> None:
    specs = {name: resolve(name) for name in ("native", "torch", "torch:compile", "jax:jit")}
    slots = CallSlots(1)
    kept = Processes(specs, 1.0, slots, Progress())
    processes: dict[str, Any] = {backend: Process() for backend in specs}
    siblings: dict[str, Any] = {"jax": Process()}
    kept._processes, kept._siblings = processes, siblings
    every = {**processes, **siblings}

    def ended() -> set[str]:
        return {backend for backend, process in every.items() if process.ended}

    kept.turns.await_all(["native", "torch:compile", "jax:jit"])
    kept.release("native")
    assert ended() == {"native"}
    kept.turns.take("torch:compile")
    kept.turns.take("jax:jit")
    kept.release("torch:compile")
    assert ended() == {"native", "torch", "torch:compile"}
    kept.release("jax:jit")
    assert ended() == set(every)
    kept.close()


@pytest.mark.parametrize(("setting", "kept"), [("folder", True), ("off", False)])
def test_what_jax_compiles_is_kept_beside_the_truths_unless_nothing_is(
    setting: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path) if setting == "folder" else setting)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    processes = Processes({"jax": resolve("jax")}, 60.0, CallSlots(1), Progress())
    assert processes.status("jax") == "ok"
    x = np.ones(3, np.float32)
    assert isinstance(processes.own("jax").evaluate(LossCall(x, x)), LossResult)
    processes.close()
    assert any(tmp_path.rglob("jit_*")) == kept
    assert not kept or cache.info().compiled_bytes > 0

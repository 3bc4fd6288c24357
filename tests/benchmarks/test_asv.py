"""The asv suite: what it covers, what it imports, and that nothing measured is no success."""

import argparse
import ast
import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bce_conformance.backends import BackendSpec, builtin_backends

ROOT = Path(__file__).resolve().parents[2] / "asv_benchmarks"
FRAMEWORKS = ("torch", "paddle", "tensorflow", "jax", "optax")


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    pytest.importorskip("asv", reason="asv is in the extra 'bench'")
    spec = importlib.util.spec_from_file_location("measure", ROOT / "measure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measured() -> list[BackendSpec]:
    """The backends that every run measures."""
    return [spec for spec in builtin_backends() if not spec.on_request]


def test_discovery_imports_no_framework_and_finds_every_backend() -> None:
    script = (
        "import importlib, pkgutil, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import benchmarks\n"
        "for module in pkgutil.iter_modules(benchmarks.__path__):\n"
        "    importlib.import_module(f'benchmarks.{module.name}')\n"
        f"print([name for name in {FRAMEWORKS!r} if name in sys.modules])\n"
        "print(benchmarks.common.BACKENDS)\n"
        "print({one.partition(':')[0] for one in benchmarks.common.FASTEST})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded, backends, fastest = done.stdout.splitlines()
    assert loaded == "[]"
    assert backends == str(tuple(spec.id for spec in measured()))
    assert ast.literal_eval(fastest) == {"native", *FRAMEWORKS}


def test_a_backend_without_a_benchmark_is_named(measure: ModuleType) -> None:
    ids = [repr(spec.id) for spec in measured()]
    assert measure.without_benchmark({"a": [ids], "b": []}) == []
    assert measure.without_benchmark({"a": [ids[1:]], "b": []}) == ["native"]


@pytest.mark.parametrize(
    ("values", "code"),
    [([1.0, math.nan], 0), ([math.nan, math.nan], 1), ([1.0, None], 1), ([None], 1)],
)
def test_what_measured_nothing_is_no_success(
    measure: ModuleType, values: list[float | None], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure.tell({"speed.time_it": values}) == code
    assert ("measured nothing: speed.time_it" in capsys.readouterr().out) == bool(code)


def test_a_run_without_any_benchmark_is_no_success(measure: ModuleType) -> None:
    assert measure.tell({}) == 1
    assert measure.tell({"a": [1.0]}, expected=["a"]) == 0
    assert measure.tell({"a": [1.0]}, expected=["a", "b"]) == 1


def test_the_quick_pass_has_every_benchmark(measure: ModuleType) -> None:
    benchmarks = {
        "a.time_x": [["'native'", "'torch'", "'jax'"], ["1000", "2000"]],
        "b.time_y": [["'float16'", "'float32'"]],
        "c.time_z": [],
    }
    chosen = measure.one_of_each(benchmarks)
    names = [n for name, params in benchmarks.items() for n in measure.spelt(name, params)]
    assert [n for n in names if re.search(chosen, n)] == [
        "a.time_x('native', 1000)",
        "a.time_x('torch', 1000)",
        "b.time_y('float16')",
        "c.time_z",
    ]


def test_each_framework_has_an_environment_of_its_own(measure: ModuleType) -> None:
    names = {f: measure.environment_of(f) for f in ("native", *FRAMEWORKS)}
    assert names["jax"] == names["optax"]
    assert len(set(names.values())) == len(names) - 1
    frameworks_in = [sum(f in name for f in FRAMEWORKS if f != "optax") for name in names.values()]
    assert frameworks_in == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("command", "turns"), [("bench", False), ("continuous", True)])
def test_benchmarks_are_spawned_and_only_two_commits_take_turns(
    measure: ModuleType, monkeypatch: pytest.MonkeyPatch, command: str, turns: bool
) -> None:
    told: list[str] = []
    monkeypatch.setenv(measure.VARIABLE, "")
    monkeypatch.setattr(measure, "asv", lambda *arguments, **_: told.extend(arguments) or 7)
    options = argparse.Namespace(
        framework="native", bench="", base="main", rounds=None, factor=measure.FACTOR
    )
    assert getattr(measure, command)(options) == 7
    assert told[told.index("--launch-method") + 1] == "spawn"
    assert ("--interleave-rounds" in told) == turns
    assert ("rounds=1" in told) != turns

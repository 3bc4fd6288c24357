"""Instruction sets: what a machine has, what a process is held to, and that it is."""

import os

import pytest

from bce_conformance.backends import BackendInfo, BackendProcess, Failure, instruction_sets, resolve
from bce_conformance.backends.instruction_sets import LEVELS

V2 = {"sse4_1", "sse4_2", "ssse3", "popcnt", "cx16"}
V3 = V2 | {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}
V4 = V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
FP16 = V4 | {"avx512_fp16", "avx512_bf16"}

on_x86 = pytest.mark.skipif(
    instruction_sets.level_of_machine() not in LEVELS, reason="no levels on this machine"
)


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        (set(), ""),
        (V2, "x86-64-v2"),
        (V3 - {"avx2"}, "x86-64-v2"),
        (V3, "x86-64-v3"),
        (V4 - {"avx512vl"}, "x86-64-v3"),
        (V4, "x86-64-v4"),
        (FP16, "x86-64-v4-fp16"),
        (FP16 - {"fma"}, "x86-64-v2"),
    ],
)
def test_a_level_needs_all_its_flags_and_those_below(flags: set[str], level: str) -> None:
    assert instruction_sets.level_of({"fpu", *flags}) == level


@pytest.fixture
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruction_sets, "level_of_machine", lambda: LEVELS[-1])


@pytest.mark.usefixtures("large_machine")
@pytest.mark.parametrize("level", LEVELS[:3])
@pytest.mark.parametrize("variable", ["ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS"])
def test_what_holds_a_process_to_a_level_is_read_back(level: str, variable: str) -> None:
    held = instruction_sets.limits(level, {})
    unheld = variable == "XLA_FLAGS" and level == "x86-64-v4"
    right = LEVELS[-1] if unheld else level
    assert instruction_sets.level_of_process([variable], held) == right


@pytest.mark.usefixtures("large_machine")
@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ({}, LEVELS[-1]),
        ({"ATEN_CPU_CAPABILITY": "avx2"}, "x86-64-v3"),
        ({"XLA_FLAGS": "--xla_a=1 --xla_cpu_max_isa=AVX --xla_b=2"}, "x86-64-v2"),
        ({"XLA_FLAGS": "--xla_cpu_max_isa=AMX"}, LEVELS[-1]),
        ({"XLA_FLAGS": "--xla_cpu_max_isa=AVX2 --xla_cpu_max_isa=AVX512"}, LEVELS[-1]),
        ({"ONEDNN_MAX_CPU_ISA": "avx2_vnni"}, "x86-64-v3"),
        ({"NUMBA_CPU_NAME": "x86-64-v2"}, LEVELS[-1]),  # Numba adds the processor's features
        ({"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": "+sse4.2"}, "x86-64-v2"),
        ({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, "x86-64-v2"),
        ({"NUMBA_CPU_FEATURES": "+avx2,-avx512f"}, "x86-64-v3"),
        ({"NUMBA_CPU_FEATURES": "-avx"}, "x86-64-v2"),
    ],
)
def test_what_users_set_is_understood(environment: dict[str, str], level: str) -> None:
    variables = ["ATEN_CPU_CAPABILITY", "XLA_FLAGS", "ONEDNN_MAX_CPU_ISA"]
    variables += ["NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"]
    assert instruction_sets.level_of_process(variables, environment) == level


def test_no_process_has_more_than_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruction_sets, "level_of_machine", lambda: "x86-64-v3")
    told = {"ATEN_CPU_CAPABILITY": "avx512"}
    assert instruction_sets.level_of_process(["ATEN_CPU_CAPABILITY"], told) == "x86-64-v3"
    with pytest.raises(ValueError, match="this machine has x86-64-v3; accepted are x86-64-v2, x86"):
        instruction_sets.check("x86-64-v4")
    with pytest.raises(ValueError, match="v3; avx512 is x86-64-v4, which it lacks"):
        instruction_sets.check("avx512")
    with pytest.raises(ValueError, match="perhaps x86-64-v3 is meant"):
        instruction_sets.check("AVX2")


def test_other_architectures_have_no_level_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruction_sets, "level_of_machine", lambda: "aarch64")
    assert instruction_sets.level_of_process(["XLA_FLAGS"], {}) == "aarch64"
    assert instruction_sets.named("aarch64") == "aarch64"
    assert instruction_sets.below("aarch64") == ()
    with pytest.raises(ValueError, match="this machine has aarch64; accepted are none"):
        instruction_sets.check("x86-64-v2")


def test_settings_of_the_user_are_kept() -> None:
    environment = {"XLA_FLAGS": "--xla_a=1", "GLIBC_TUNABLES": "glibc.malloc.check=1"}
    held = instruction_sets.limits("x86-64-v3", environment)
    assert held["XLA_FLAGS"] == "--xla_a=1 --xla_cpu_max_isa=AVX2"
    assert held["GLIBC_TUNABLES"].startswith("glibc.malloc.check=1:glibc.cpu.hwcaps=")


@on_x86
@pytest.mark.parametrize(
    ("name", "python"),
    [
        ("torch@isa=x86-64-v2", ""),
        ("torch@python=/opt/python@3.11/bin/python@isa=x86-64-v2", "/opt/python@3.11/bin/python"),
    ],
)
def test_a_location_may_hold_a_backend_to_a_level(name: str, python: str) -> None:
    spec = resolve(name)
    assert (spec.id, spec.python, spec.instruction_set) == (name, python, "x86-64-v2")


@on_x86
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch@isa=avx2", "instruction set 'avx2' cannot be chosen: this machine has"),
        ("torch@isa=x86-64-v2@isa=x86-64-v2", "and isa=INSTRUCTION-SET, each once"),
        ("torch@cpu=x86-64-v2", "has location 'cpu=x86-64-v2'; accepted are"),
    ],
)
def test_a_location_that_is_none_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve(name)


@on_x86
def test_the_processes_environment_is_set_before_it_starts() -> None:
    """glibc reads its settings before Python runs."""
    with BackendProcess(resolve("native@isa=x86-64-v2")) as process:
        info = process.info()
        assert isinstance(info, BackendInfo)
        assert info.instruction_set.startswith("x86-64-v2")
        with open(f"/proc/{process.pid}/environ", "rb") as file:
            variables = dict(v.split(b"=", 1) for v in file.read().split(b"\0") if v)
    for name, value in instruction_sets.limits("x86-64-v2").items():
        assert variables[name.encode()] == os.fsencode(value)


@on_x86
def test_an_adapter_that_does_not_say_what_it_uses_is_taken_at_its_limit() -> None:
    with BackendProcess(resolve("faulty:Echo@isa=x86-64-v2")) as process:
        info = process.info()
    assert not isinstance(info, Failure), info
    assert info.instruction_set.startswith("x86-64-v2")

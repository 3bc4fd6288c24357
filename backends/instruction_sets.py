"""Instruction sets: which vector level a processor offers, and how code is held to a lower one.

Libraries choose code by the processor that they find, so that the same version gives other bits on
another machine. Guarantees that the level named for a process is the one that the processor has, or
less where a variable of its libraries says so. The maker of the processor is part of the name:
approximate reciprocals such as `rcpps` have bits of the maker's own. That is the likely cause of
what was seen: TensorFlow's float32 gradient has another level on one maker's, at any vector level.

Written for Linux on x86-64; elsewhere the architecture alone is known, and nothing can be chosen.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path

from .names import meant

# The levels of the x86-64 psABI, least first, and processors of 2023 and later, which compute in
# float16: XLA's float16 losses are others on them, of the wrong sign at times.
LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4-fp16")

_OTHER_NAMES = {
    **dict.fromkeys(("sse", "sse4", "sse4.2", "sse42", "default", "v2"), "x86-64-v2"),
    **dict.fromkeys(("avx", "avx2", "haswell", "v3"), "x86-64-v3"),
    **dict.fromkeys(("avx512", "avx512f", "avx512core", "v4"), "x86-64-v4"),
}

# What /proc/cpuinfo lists of each level, beyond the level before.
_FLAGS: dict[str, frozenset[str]] = {
    "x86-64-v2": frozenset({"sse4_1", "sse4_2", "ssse3", "popcnt", "cx16"}),
    "x86-64-v3": frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}),
    "x86-64-v4": frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    "x86-64-v4-fp16": frozenset({"avx512_fp16", "avx512_bf16"}),
}
_MAKERS = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}

# What glibc is told not to use, by level: its exp and log have variants with FMA, AVX2 and AVX-512.
_NO_AVX512 = "-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD"
_HWCAPS = {
    "x86-64-v2": f"{_NO_AVX512},-AVX2,-AVX,-FMA,-FMA4,-BMI1,-BMI2",
    "x86-64-v3": _NO_AVX512,
}

# For each variable that a library reads: what holds it to a level, and the levels of the values
# that users write. XLA and glibc read theirs among others in one text.
_VALUES: dict[str, dict[str, str]] = {
    "ATEN_CPU_CAPABILITY": {
        "x86-64-v2": "default",
        "x86-64-v3": "avx2",
        "x86-64-v4": "avx512",
    },
    "ONEDNN_MAX_CPU_ISA": {
        "x86-64-v2": "SSE41",
        "x86-64-v3": "AVX2",
        "x86-64-v4": "AVX512_CORE",
    },
    "XLA_FLAGS": {
        "x86-64-v2": "--xla_cpu_max_isa=SSE4_2",
        "x86-64-v3": "--xla_cpu_max_isa=AVX2",
        # AVX512 changed no bit where the processor computes in float16: it does not hold to v4.
    },
    "NUMBA_CPU_NAME": {level: level for level in LEVELS[:3]},
    # Without it Numba adds whatever the processor has to what the name means.
    "NUMBA_CPU_FEATURES": dict.fromkeys(LEVELS[:3], "+sse4.2"),
    "GLIBC_TUNABLES": {level: f"glibc.cpu.hwcaps={hwcaps}" for level, hwcaps in _HWCAPS.items()},
}
_JOINED_BY = {"XLA_FLAGS": " ", "GLIBC_TUNABLES": ":"}
# Other values of theirs; what is not here, such as AMX, is above every level that can be chosen.
_OTHER_VALUES = {
    "AVX": "x86-64-v2",
    "AVX2_VNNI": "x86-64-v3",
    "AVX2_VNNI_2": "x86-64-v3",
    "GENERIC": "x86-64-v2",
}
# What is left of the levels without one of these features, as LLVM names them.
_LOST = {
    "x86-64-v2": {"avx", "avx2", "fma"},
    "x86-64-v3": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}


def check(level: str) -> None:
    """Check that code can be held to a level on this machine.

    Raises:
        ValueError: it is no level, or the processor does not have it.
    """
    machine = level_of_machine()
    possible = [name for name in LEVELS if machine in LEVELS and not is_less(machine, name)]
    if level not in possible:
        raise ValueError(
            f"instruction set {level!r} cannot be chosen: this machine has {machine}; "
            f"accepted are {', '.join(possible) or 'none'}{_meant(level, possible)}"
        )


def check_name(level: str) -> None:
    """Check that there is such a level, whatever this machine has.

    Raises:
        ValueError: there is none.
    """
    if level not in LEVELS:
        near = _meant(level, LEVELS)
        raise ValueError(
            f"instruction set {level!r} is unknown; accepted are {', '.join(LEVELS)}{near}"
        )


def _meant(name: str, levels: Collection[str]) -> str:
    """The level that is meant by another name of it, such as ``avx2``, or by one mistyped."""
    if name in LEVELS:
        return ""
    other = _OTHER_NAMES.get(name.lower().replace("-", "").replace("_", ""))
    if other is None or other in levels:
        return meant(other or name, levels)
    return f"; {name} is {other}, which it lacks"


def is_less(level: str, other: str) -> bool:
    """Whether a level of ``LEVELS`` is less than another."""
    return LEVELS.index(level) < LEVELS.index(other)


def below(name: str) -> tuple[str, ...]:
    """The levels below that of an instruction set such as ``x86-64-v4/intel``, least first."""
    level = name.partition("/")[0]
    return LEVELS[: LEVELS.index(level)] if level in LEVELS else ()


@cache
def level_of_machine() -> str:
    """The highest level of this machine, such as ``x86-64-v3``; elsewhere its architecture."""
    machine = platform.machine().lower()
    if machine not in ("x86_64", "amd64"):
        return machine
    return level_of(_cpuinfo("flags").split()) or "x86-64"


@cache
def maker() -> str:
    """Who made the processor: ``intel``, ``amd``, or what it says itself; empty where unknown."""
    vendor = _cpuinfo("vendor_id")
    return _MAKERS.get(vendor, vendor.lower())


def machine() -> str:
    """This machine in words: its name, processor, system and Python."""
    cpu = _cpuinfo("model name") or platform.machine()
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"on {platform.node()}: {cpu}, {system}"


@cache
def processor() -> str:
    """A short name of the processor with all that it offers: code is compiled for one of them."""
    flags = sorted(_cpuinfo("flags").split())
    parts = (platform.machine(), _cpuinfo("model name"), *flags)
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def level_of(flags: Iterable[str]) -> str:
    """The highest level whose flags, and those of all lower ones, are there; empty for none."""
    present = set(flags)
    found = ""
    for level in LEVELS:
        if not _FLAGS[level] <= present:
            break
        found = level
    return found


def named(level: str) -> str:
    """A level on a processor of this machine's maker: ``x86-64-v3/intel``, or ``aarch64``."""
    return f"{level}/{maker()}" if level in LEVELS and maker() else level


def limits(level: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that hold the libraries of a process to a level.

    Args:
        level: one of ``LEVELS``.
        environment: what the process would have; where a variable takes several settings, they are
            kept.

    Returns:
        Variable → value. Libraries read them as they are loaded, glibc as the process starts.
    """
    found: dict[str, str] = {}
    for variable, values in _VALUES.items():
        if level in values:
            before = environment.get(variable, "") if variable in _JOINED_BY else ""
            found[variable] = _JOINED_BY.get(variable, "").join(
                filter(None, [before, values[level]])
            )
    return found


def level_of_process(variables: Iterable[str], environment: Mapping[str, str] = os.environ) -> str:
    """The level that libraries of this process use: the machine's, or less where they are told so.

    Args:
        variables: those that the libraries read.
        environment: where they are looked for.
    """
    machine = level_of_machine()
    if machine not in LEVELS:
        return machine
    told = (_told(variable, environment) for variable in variables)
    return min([machine, *filter(None, told)], key=LEVELS.index)


def _told(variable: str, environment: Mapping[str, str]) -> str:
    """The level that the value of a variable means; empty where it means none."""
    value = environment.get(variable, "")
    if variable == "NUMBA_CPU_NAME" and "NUMBA_CPU_FEATURES" not in environment:
        return ""  # Numba adds what the processor has
    if variable == "NUMBA_CPU_FEATURES":
        return _without(value)
    if variable == "XLA_FLAGS":
        value = "".join(re.findall(r"--xla_cpu_max_isa=\S+", value)[-1:])
    for level, text in _VALUES[variable].items():
        if text.upper() == value.upper():
            return level
    return _OTHER_VALUES.get(value.rpartition("=")[2].upper(), "")


def _without(features: str) -> str:
    """The level that is left where LLVM is told to leave features out, such as ``-avx512f``."""
    left_out = {feature[1:] for feature in features.split(",") if feature.startswith("-")}
    return next((below for below, lost in _LOST.items() if left_out & lost), "")


def _cpuinfo(field: str) -> str:
    """What Linux says of the first processor; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    values = (
        line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == field
    )
    return next(values, "")

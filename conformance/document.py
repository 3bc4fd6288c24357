"""Writes results.json, schema 1: what a session measured, as a plain JSON document.

The format is documented and validated in ``bce_conformance.reports``.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bce_conformance.backends import BackendInfo, BackendSpec, instruction_sets

from .matrix import Matrix
from .specification import requirements
from .tiers import TIERS

SCHEMA = 1


def now() -> str:
    """The present moment as results.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def document(
    matrix: Matrix, *, started: str, measuring: float, interrupted: bool, argv: Sequence[str]
) -> dict[str, Any]:
    """The results of a matrix; ``measuring`` is how many seconds it took after start-up."""
    settings = matrix.settings
    order = {requirement: number for number, requirement in enumerate(requirements())}
    cells = sorted(matrix.cells.values(), key=lambda cell: order[cell.requirement])
    return {
        "schema": SCHEMA,
        "run": {
            "id": str(uuid.uuid4()),
            "started": started,
            "finished": now(),
            "tier": settings.tier,
            "argv": list(argv),
            "commit": commit(),
            "host": host(),
            "interrupted": interrupted,
            "inputs": sum(cell.inputs for cell in cells),
            "seed": settings.seed,
            "seconds": {
                "start_up": round(matrix.start_up, 3),
                "measuring": round(measuring, 3),
            },
            "leaves_out": list(TIERS[settings.tier].left_out),
        },
        "backends": [_backend(matrix, spec) for spec in matrix.specs.values()],
        "requirements": [
            {"id": requirement.id, "family": requirement.family, "text": requirement.text}
            for requirement in requirements().values()
            if settings.selects(requirement)
        ],
        "cells": [cell.as_json() for cell in cells],
        "curves": matrix.curves.as_json(),
    }


def write(document: dict[str, Any], path: Path) -> None:
    """Write a document whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False), "utf-8")
    partial.replace(path)


def _backend(matrix: Matrix, spec: BackendSpec) -> dict[str, Any]:
    info = matrix.info(spec.id)
    known = info if isinstance(info, BackendInfo) else None
    return {
        "id": spec.id,
        "framework": known.framework if known else spec.id.partition(":")[0],
        "version": known.version if known else "",
        "variant": known.variant if known else spec.variant,
        "devices": [{"kind": d.kind, "name": d.name} for d in known.devices] if known else [],
        "dtypes": list(known.dtypes) if known else [],
        "composed": list(known.composed) if known else [],
        "instruction_set": known.instruction_set if known else "",
        "subnormals": [
            {"device": place.device, "dtype": place.dtype, **asdict(flushes)}
            for place, flushes in matrix.flushes.items()
            if place.backend == spec.id
        ],
        "status": matrix.status(spec.id),
    }


def commit() -> str:
    """The commit of the suite's own source; empty where it is not a checkout."""
    source = Path(__file__).resolve().parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=source,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        tracked = subprocess.run(
            ["git", "ls-files", "--error-unmatch", Path(__file__).name],
            cwd=source,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return described.stdout.strip() if tracked.returncode == 0 else ""


def host() -> dict[str, Any]:
    """The machine."""
    return {
        "cpu": _cpu(),
        "instruction_set": instruction_sets.named(instruction_sets.level_of_machine()),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": memory(),
        "os": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def memory() -> int:
    """Physical memory in bytes; 0 where the system does not tell."""
    if sys.platform == "win32" or "SC_PHYS_PAGES" not in os.sysconf_names:
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

"""Writes results.json, schema 1: what a session measured, as a plain JSON document.

The format is documented and validated in ``bce_conformance.reports``.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bce_conformance.backends import (
    DTYPES,
    BackendInfo,
    BackendSpec,
    Failure,
    instruction_sets,
)

from .cells import Cell, Place
from .ledger import LEDGER
from .matrix import NOT_INSTALLED, Matrix, Settings
from .memory import physical
from .specification import requirements
from .tiers import TIERS

SCHEMA = 1


def now() -> str:
    """The present moment as results.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def identity_of_settings(settings: Settings) -> dict[str, Any]:
    """What a run measures and with which inputs: runs that differ in it have other cells."""
    ledgers = [*sorted(LEDGER.glob("*.toml")), *settings.ledgers]
    content = b"".join(path.read_bytes() for path in ledgers)
    return {
        "tier": settings.tier,
        "seed": settings.seed,
        "commit": commit(),
        "requirements": [r.id for r in requirements().values() if settings.selects(r)],
        "backends": [spec.id for spec in settings.specs()],
        "devices": list(settings.devices),
        "dtypes": list(settings.dtypes or DTYPES),
        "time limit": settings.time_limit,
        "instruction set": settings.instruction_set,
        "ledger": hashlib.sha256(content).hexdigest()[:12],
    }


def identity_of_backends(matrix: Matrix) -> dict[str, Any]:
    """What was measured: each backend as it describes itself, or why it does not."""
    identity: dict[str, Any] = {}
    for backend in matrix.specs:
        info = matrix.info(backend)
        if isinstance(info, BackendInfo):
            described = json.loads(json.dumps(asdict(info)))
        else:
            described = {"status": info.kind if isinstance(info, Failure) else NOT_INSTALLED}
        identity |= {f"{name} of {backend}": value for name, value in described.items()}
    return identity


def document(
    matrix: Matrix,
    *,
    run_id: str,
    started: str,
    start_up: float,
    measuring: float,
    interrupted: bool,
    argv: Sequence[str],
) -> dict[str, Any]:
    """The results of a matrix, in an order that does not depend on which cell was finished first.

    Args:
        matrix: what was measured.
        run_id: names the run.
        started: when it began.
        start_up: seconds that the backends took to start.
        measuring: seconds from then on.
        interrupted: whether something is left to measure.
        argv: the command line.
    """
    settings = matrix.settings
    cells = sorted(matrix.cells.values(), key=_in_order(matrix))
    return {
        "schema": SCHEMA,
        "run": {
            "id": run_id,
            "started": started,
            "finished": now(),
            "tier": settings.tier,
            "argv": list(argv),
            "commit": commit(),
            "host": host(),
            "interrupted": interrupted,
            "inputs": sum(cell.inputs for cell in cells),
            "seed": settings.seed,
            "seconds": {"start_up": round(start_up, 3), "measuring": round(measuring, 3)},
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


def _in_order(matrix: Matrix) -> Callable[[Cell], tuple[Any, ...]]:
    """Where a cell stands among the others: by requirement, backend, device and format."""
    place_of = {requirement: number for number, requirement in enumerate(requirements())}
    backends = list(matrix.specs)
    return lambda cell: (
        place_of[cell.requirement],
        backends.index(cell.backend),
        cell.device,
        DTYPES.index(cell.dtype),
    )


def write(document: dict[str, Any], path: Path) -> None:
    """Write a document whole or not at all.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False), path)


def write_text(text: str, path: Path) -> None:
    """Write a file whole or not at all, on the disk when this returns.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def timings_in(path: Path) -> dict[str, Any]:
    """The field ``timings`` of a results.json that is about to be written anew, if it has one."""
    try:
        document = json.loads(path.read_text("utf-8"))
        return {"timings": document["timings"]}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


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
            for place, flushes in sorted(matrix.flushes.items(), key=_device_and_format)
            if place.backend == spec.id
        ],
        "status": matrix.status(spec.id),
    }


def _device_and_format(flushes: tuple[Place, Any]) -> tuple[str, int]:
    place, _ = flushes
    return place.device, DTYPES.index(place.dtype)


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
        "memory_bytes": physical(),
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

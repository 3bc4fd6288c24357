"""The outcome of a session: what a matrix has measured, as results.json has it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from bce_conformance.backends import (
    DTYPES,
    BackendInfo,
    BackendSpec,
    Failure,
    instruction_sets,
)
from bce_conformance.conformance.findings.reading import defects
from bce_conformance.conformance.ledger.reading import LEDGER
from bce_conformance.conformance.settings import Settings
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.results.cells import Cell
from bce_conformance.results.host import commit, describe, now
from bce_conformance.results.model import (
    BackendEntry,
    Device,
    Host,
    Probed,
    Requirement,
    Results,
    Run,
    Subnormals,
)

from .journal import SOURCES
from .matrix import Matrix
from .processes import NOT_INSTALLED


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
        "claims": str(settings.claims or "none"),
        "ledger": hashlib.sha256(content).hexdigest()[:12],
        **({SOURCES: dict(settings.sources)} if settings.sources else {}),
    }


def identity_of_backends(matrix: Matrix) -> dict[str, Any]:
    """What was measured: each backend as it describes itself, or why it does not."""
    identity: dict[str, Any] = {}
    for backend in matrix.specs:
        info = matrix.processes.info(backend)
        if isinstance(info, BackendInfo):
            described = json.loads(json.dumps(asdict(info)))
        else:
            described = {"status": info.kind if isinstance(info, Failure) else NOT_INSTALLED}
        identity |= {f"{name} of {backend}": value for name, value in described.items()}
    return identity


def identity(matrix: Matrix) -> dict[str, Any]:
    """All that identifies a run: what goes into its journal."""
    return identity_of_settings(matrix.settings) | identity_of_backends(matrix)


def outcome(
    matrix: Matrix,
    *,
    run_id: str,
    started: str,
    start_up: float,
    measuring: float,
    interrupted: bool,
    argv: Sequence[str],
) -> Results:
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
    measured = {spec.partition("@")[0] for spec in matrix.specs}
    return Results(
        Run(
            id=run_id,
            started=started,
            finished=now(),
            tier=settings.tier,
            argv=tuple(argv),
            commit=commit(),
            host=matrix.host or machine(),
            interrupted=interrupted,
            inputs=sum(cell.inputs for cell in cells),
            seed=settings.seed,
            leaves_out=tuple(TIERS[settings.tier].left_out),
            seconds={"start_up": round(start_up, 3), "measuring": round(measuring, 3)},
            identity=matrix.identity,
        ),
        tuple(_backend(matrix, spec) for spec in matrix.specs.values()),
        tuple(
            Requirement(requirement.id, requirement.family, requirement.text, requirement.why)
            for requirement in requirements().values()
            if settings.selects(requirement)
        ),
        tuple(cells),
        matrix.curves.curves(),
        defects=tuple(d for d in defects().values() if set(d.backends) & measured),
        maps=matrix.curves.maps(),
    )


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


def _backend(matrix: Matrix, spec: BackendSpec) -> BackendEntry:
    info, status = matrix.processes.info(spec.id), matrix.processes.status(spec.id)
    if not isinstance(info, BackendInfo):
        framework = spec.id.partition(":")[0]
        return BackendEntry(spec.id, framework, "", spec.variant, (), (), (), status)
    subnormals = (
        Subnormals(probed.device, probed.dtype, flushes.inputs, flushes.results)
        for probed, flushes in sorted(matrix.flushes.items(), key=_device_and_format)
        if probed.backend == spec.id
    )
    source = matrix.settings.source(spec)
    return replace(entry(info), id=spec.id, subnormals=tuple(subnormals), source=source)


def entry(info: BackendInfo) -> BackendEntry:
    """A backend as it describes itself."""
    return BackendEntry(
        info.id,
        info.framework,
        info.version,
        info.variant,
        tuple(Device(device.kind, device.name) for device in info.devices),
        tuple(info.dtypes),
        tuple(info.composed),
        "ok",
        instruction_set=info.instruction_set,
        notes=tuple(info.notes),
    )


def machine() -> Host:
    """The machine, as backends tell its instruction set."""
    return describe(instruction_sets.named(instruction_sets.level_of_machine()))


def _device_and_format(flushes: tuple[Probed, Any]) -> tuple[str, int]:
    probed, _ = flushes
    return probed.device, DTYPES.index(probed.dtype)

"""Timings in results.json: beside the run that the file holds, or alone.

Guarantees that nothing of an earlier run is touched. The format is documented and validated in
``bce_conformance.reports``.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from bce_conformance.backends import BackendInfo, Failure
from bce_conformance.conformance.document import SCHEMA, commit, host, now

from .goals import judge
from .plan import AGAIN, LIMIT, has_goals
from .session import Session

NO_CELLS = "timings only"
"""Tier of a results.json that no run of the matrix wrote."""


def timings(session: Session, *, started: str, argv: Sequence[str]) -> dict[str, Any]:
    """What a session measured, as the field ``timings``."""
    judged = has_goals(session.plan)
    return {
        "started": started,
        "finished": now(),
        "interrupted": session.interrupted,
        "argv": list(argv),
        "commit": commit(),
        "host": host(),
        "rounds": session.rounds,
        "others": session.others.processors,
        "versions": {name: info.version for name, info in _backends(session).items()},
        "measurements": [timing.as_json() for timing in session.timings],
        "goals": [
            verdict.as_json()
            for verdict in (judge(session.timings, session.apart) if judged else ())
        ],
    }


def document(session: Session, timed: dict[str, Any]) -> dict[str, Any]:
    """A results.json that holds timings and no cell."""
    run = {name: timed[name] for name in ("started", "finished", "argv", "commit", "host")}
    run |= {"id": str(uuid.uuid4()), "tier": NO_CELLS, "interrupted": session.interrupted}
    return {
        "schema": SCHEMA,
        "run": run,
        "backends": [_entry(info) for info in _backends(session).values()],
        "requirements": [],
        "cells": [],
        "timings": timed,
    }


def _backends(session: Session) -> dict[str, BackendInfo]:
    return {
        name: info
        for name, info in session.infos.items()
        if not isinstance(info, Failure) and name != LIMIT and not name.endswith(AGAIN)
    }


def _entry(info: BackendInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "framework": info.framework,
        "version": info.version,
        "variant": info.variant,
        "devices": [{"kind": device.kind, "name": device.name} for device in info.devices],
        "dtypes": list(info.dtypes),
        "composed": list(info.composed),
        "status": "ok",
    }

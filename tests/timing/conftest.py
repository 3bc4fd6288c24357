"""A run's results.json, and the backends of tests/backends within reach of the workers."""

import sys
from pathlib import Path
from typing import Any

import pytest

BACKENDS = str(Path(__file__).parents[1] / "backends")


@pytest.fixture(autouse=True)
def _backends_of_the_tests_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, BACKENDS])


@pytest.fixture
def document_of_a_run() -> dict[str, Any]:
    host = {"cpu": "", "cores": 1, "memory_bytes": 0, "os": "", "python": ""}
    moment = "2026-01-01T00:00:00Z"
    run = {"id": "a run", "started": moment, "finished": moment, "tier": "quick", "argv": []}
    return {
        "schema": 1,
        "run": run | {"commit": "", "host": host},
        "backends": [],
        "requirements": [],
        "cells": [],
    }

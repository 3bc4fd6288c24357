from __future__ import annotations

import pytest

from bce_conformance.reference import cache


@pytest.fixture(autouse=True)
def _no_cached_truths(monkeypatch):
    """Every truth of these tests is computed; compiled code stays where it is."""
    monkeypatch.setenv(cache.VARIABLE, "off")

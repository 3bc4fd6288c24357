import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def _backends_of_these_tests_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put `faulty` and `probes` within reach of resolve(), and through it of the workers."""
    monkeypatch.setattr(sys, "path", [*sys.path, HERE])

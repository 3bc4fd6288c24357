"""A ledger file is written whole or not at all: people wrote its reasons."""

import resource
from pathlib import Path

import pytest

from bce_conformance.conformance.ledger.updating import Found, update
from bce_conformance.results.cells import Place


def test_a_file_that_cannot_be_written_whole_is_as_it_was(tmp_path: Path) -> None:
    ledger = tmp_path / "torch.toml"
    cell = Found(Place("VAL-1", "torch", "cpu", "float32"), "A", "2.13.0", "default")
    update(tmp_path, [], [cell])
    before = ledger.read_text("utf-8")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            update(tmp_path, [], [Found(cell.place, "AA", "2.13.0", "default")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ledger.read_text("utf-8") == before
    assert list(tmp_path.iterdir()) == [ledger]

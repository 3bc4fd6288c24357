"""The suite catches every impostor, and every requirement catches one.

The whole table is slow. Without it, every requirement is tried with the one impostor that the page
names for it.
"""

import re

import numpy as np
import pytest

from bce_conformance.backends.calls import LossCall
from bce_conformance.reference import FORMATS

from . import table
from .impostor import IMPOSTORS


@pytest.mark.parametrize("requirement", table.ASKED)
def test_the_requirement_catches_the_impostor_of_its_row(requirement: str) -> None:
    rows = table.DOCUMENT.read_text("utf-8")
    row = re.search(rf"^\| {requirement} .* \| \d+ \| ([\w ]+) \|$", rows, re.MULTILINE)
    assert row, "python -m tests.impostors --write adds its row to the page"
    impostor = IMPOSTORS[row[1].replace(" ", "_")]
    cells = [cell for cell in table.cells_of(impostor) if cell[1] == requirement]
    assert any(table.is_caught(cell, table.outcome(cell)) for cell in cells)


@pytest.mark.slow
def test_the_right_implementation_is_right_in_process() -> None:
    verdicts = {
        (requirement.id, dtype): table.right_verdict(requirement.id, dtype)
        for requirement in table.ASKED.values()
        for dtype in requirement.dtypes
    }
    assert {cell: verdict for cell, verdict in verdicts.items() if verdict != "AAA"} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", IMPOSTORS)
def test_the_impostor_is_caught(name: str) -> None:
    assert table.catchers()[name], f"no requirement catches {name}: {IMPOSTORS[name].mistake}"


@pytest.mark.slow
@pytest.mark.parametrize("requirement", table.ASKED)
def test_the_requirement_catches_an_impostor(requirement: str) -> None:
    assert any(requirement in caught for caught in table.catchers().values())


@pytest.mark.slow
def test_the_page_shows_what_was_measured() -> None:
    written = table.DOCUMENT.read_text("utf-8")
    assert written == table.document(), "python -m tests.impostors --write brings it up to date"


def test_an_impostor_behaves_as_an_adapter() -> None:
    """Each answers a plain call with arrays: an exception at every call would be no mistake."""
    for impostor in IMPOSTORS.values():
        for dtype in impostor.dtypes:
            x = np.linspace(-3, 3, 6).astype(FORMATS[dtype].dtype)
            adapter = impostor.adapter()
            assert adapter.info().dtypes == impostor.dtypes
            values = adapter.fetch(adapter.bind(LossCall(x, x * 0, reduction="none"))()).values
            assert set(values) == {"loss"}, impostor.name

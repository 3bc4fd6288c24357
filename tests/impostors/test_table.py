"""The suite catches every impostor, and every requirement catches one."""

import numpy as np
import pytest

from bce_conformance.backends.calls import LossCall
from bce_conformance.conformance.specification import requirements
from bce_conformance.reference import FORMATS

from . import table
from .impostor import IMPOSTORS


def test_the_right_implementation_is_right_in_process() -> None:
    verdicts = {
        (requirement.id, dtype): table.right_verdict(requirement.id, dtype)
        for requirement in requirements().values()
        for dtype in requirement.dtypes
    }
    assert {cell: verdict for cell, verdict in verdicts.items() if verdict != "AAA"} == {}


@pytest.mark.parametrize("name", IMPOSTORS)
def test_the_impostor_is_caught(name: str) -> None:
    assert table.catchers()[name], f"no requirement catches {name}: {IMPOSTORS[name].mistake}"


@pytest.mark.parametrize("requirement", requirements())
def test_the_requirement_catches_an_impostor(requirement: str) -> None:
    assert any(requirement in caught for caught in table.catchers().values())


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

"""Calls of the parts of the space are calls of the whole, and all of their levels meet in them."""

from math import prod

import pytest

from bce_conformance.backends.calls import DTYPES
from bce_conformance.conformance.covering.arrays import coverage
from bce_conformance.conformance.covering.files import read
from bce_conformance.conformance.space.costly import is_costly
from bce_conformance.conformance.space.drawing import draw
from bce_conformance.conformance.space.factors import FACTORS
from bce_conformance.conformance.space.parts import MADE, USUAL, Part
from bce_conformance.conformance.space.rules import space

PARTS = pytest.mark.parametrize("part", [USUAL, MADE], ids=lambda part: part.name)


@PARTS
def test_calls_of_a_part_are_calls_of_the_space(part: Part) -> None:
    for dtype in DTYPES:
        found = part.combinations(dtype)
        rows = [[f.names.index(levels[f.name]) for f in FACTORS] for levels in found]
        assert len(space().rows(rows)) == len(rows)  # refuses a row with a forbidden pair
        assert not any(is_costly(levels) for levels in found)


def test_usual_calls_have_many_elements() -> None:
    assert all(
        prod(draw(each).logits.shape) >= 1_000 for each in USUAL.combinations("float32")[::20]
    )


def test_a_real_mistake_of_five_conditions_is_met() -> None:
    """A matrix of whole blocks, a weight for each class, none for each sample, the mean."""
    wanted = {
        "shape": "matrix",
        "weight shape": "none",
        "pos_weight shape": "last",
        "reduction": "mean",
    }
    met = [draw(row) for row in USUAL.combinations("float32") if wanted.items() <= row.items()]
    assert any(call.logits.size > 4_096 for call in met)


def test_losses_alone_are_kept_over_the_next_call() -> None:
    """A buffer that is used again, where no graph is asked for and nothing is reduced."""
    wanted = {"quantities": "loss", "reduction": "none", "repetition": "changed"}
    assert any(wanted.items() <= each.items() for each in MADE.combinations("float32"))


@PARTS
def test_the_evidence_is_counted(part: Part) -> None:
    rows = [
        list(map(int, row)) for row in read(part.space(), part.strengths["float32"], part.folder)
    ]
    complete = coverage(part.space(), rows, part.strengths["float32"])
    assert complete.complete
    assert complete.required > 30_000
    assert not coverage(part.space(), rows[1:], part.strengths["float32"]).complete

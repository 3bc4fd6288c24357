"""Usual calls are calls of the space, and all that is usual meets in them."""

from math import prod

from bce_conformance.conformance.covering.arrays import coverage
from bce_conformance.conformance.covering.files import read
from bce_conformance.conformance.space.costly import is_costly
from bce_conformance.conformance.space.drawing import draw
from bce_conformance.conformance.space.factors import FACTORS
from bce_conformance.conformance.space.rules import space
from bce_conformance.conformance.space.usual import FOLDER, STRENGTHS, usual, usual_space


def test_usual_calls_are_calls_of_the_space() -> None:
    rows = [[f.names.index(levels[f.name]) for f in FACTORS] for levels in usual("float32")]
    assert len(space().rows(rows)) == len(rows)  # refuses a row with a forbidden pair
    assert not any(is_costly(levels) for levels in usual("float32"))
    assert all(prod(draw(levels).logits.shape) >= 1_000 for levels in usual("float32")[::20])


def test_a_real_mistake_of_five_conditions_is_met() -> None:
    """A matrix of whole blocks, a weight for each class, none for each sample, the mean."""
    wanted = {
        "shape": "matrix",
        "weight shape": "none",
        "pos_weight shape": "last",
        "reduction": "mean",
    }
    met = [draw(row) for row in usual("float32") if wanted.items() <= row.items()]
    assert any(call.logits.size > 4_096 for call in met)


def test_the_evidence_is_counted() -> None:
    complete = coverage(usual_space(), _numbered(), STRENGTHS["float32"])
    assert complete.complete
    assert complete.required > 100_000
    assert not coverage(usual_space(), _numbered()[1:], STRENGTHS["float32"]).complete


def _numbered() -> list[list[int]]:
    return [list(map(int, row)) for row in read(usual_space(), STRENGTHS["float32"], FOLDER)]

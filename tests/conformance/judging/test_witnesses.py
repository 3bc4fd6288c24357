"""What shows a deviation only by chance is told from what every run shows."""

from collections.abc import Sequence

import numpy as np
import pytest

from bce_conformance.conformance.inputs.inputs import Inputs, Source
from bce_conformance.conformance.judging.judge import Judgement
from bce_conformance.conformance.judging.witnesses import Witnesses
from bce_conformance.reference import FLOAT32
from bce_conformance.results import reading, writing
from bce_conformance.results.cells import Level, Witness

ELEMENT = Witness("m.f", "float32", element=(("logits", "0x1.0p+0"), ("targets", "0x0.0p+0")))
DRAW = Witness("m.f", "float64", "3", 7)


@pytest.mark.parametrize("witness", [ELEMENT, DRAW])
def test_a_witness_reads_back(witness: Witness) -> None:
    assert reading.witness(writing.witness(witness)) == witness


def test_an_element_is_written_without_a_draw() -> None:
    assert list(writing.witness(ELEMENT)) == ["pool", "dtype", "logits", "targets"]
    assert writing.witness(DRAW) == {"pool": "m.f", "dtype": "float64", "draw": "3", "seed": 7}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logit": "0x1p0"}, "the fields are"),
        ({"draw": "1"}, "the fields are"),
        ({"logits": "x"}, "logits is 'x', not a number in hex"),
        ({"targets": 1.0}, "targets is 1.0, not a number in hex"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
    ],
)
def test_a_damaged_witness_says_what_is_wrong(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reading.witness(writing.witness(ELEMENT) | change)


X = np.array([1, 2, 3, 4], np.float32)


def judged(
    witnesses: Witnesses, levels: Sequence[Level], *, fixed: int, ulp: Sequence[float]
) -> None:
    """Four elements, of which the first ones are the same for every seed."""
    source = Source("m.f", np.arange(4) < fixed)
    inputs = Inputs("four", FLOAT32, X, X * 0, weight=X * 2, source=source)
    witnesses.add(inputs, Judgement(np.array(levels, np.int8), np.array(ulp)))


def test_what_only_the_elements_of_a_seed_show_has_a_witness() -> None:
    witnesses = Witnesses()
    levels = [Level.AA, Level.AAA, Level.A, Level.A]
    judged(witnesses, levels, fixed=2, ulp=[9.0, 0.1, 5.0, 6.0])
    element = (("logits", (4.0).hex()), ("targets", (0.0).hex()), ("weight", (8.0).hex()))
    assert witnesses.witness() == Witness("m.f", "float32", element=element)


@pytest.mark.parametrize("fixed", [3, 4])
def test_what_every_run_shows_needs_none(fixed: int) -> None:
    witnesses = Witnesses()
    judged(
        witnesses, [Level.AA, Level.AAA, Level.A, Level.A], fixed=fixed, ulp=[1.0, 0.1, 5.0, 6.0]
    )
    assert witnesses.witness() is None


def test_what_another_pool_or_a_condition_shows_in_every_run_needs_none() -> None:
    levels, ulp = [Level.AAA, Level.AAA, Level.AA, Level.AAA], [0.1, 0.1, 2.0, 0.1]
    for level, needed in ((Level.AAA, True), (Level.AA, False), (Level.FAILS, False)):
        witnesses = Witnesses()
        judged(witnesses, levels, fixed=2, ulp=ulp)
        witnesses.lasts(level)
        assert (witnesses.witness() is not None) is needed


def test_aaa_needs_no_witness() -> None:
    witnesses = Witnesses()
    judged(witnesses, [Level.AAA] * 4, fixed=2, ulp=[0.1, 0.2, 0.3, 0.9])
    assert witnesses.witness() is None


@pytest.mark.parametrize("results", [1, 2, 4])
@pytest.mark.parametrize(("lasting", "draw"), [(False, "3"), (True, "fixed 1")])
def test_whatever_comes_of_a_draw_is_shown_by_the_draw(
    lasting: bool, draw: str, results: int
) -> None:
    witnesses = Witnesses()
    inputs = Inputs("sum", FLOAT32, X, X, reduction="sum", source=Source("m.f", lasting, draw, 7))
    levels = np.full(results, Level.AAA, np.int8)
    levels[-1] = Level.A
    witnesses.add(inputs, Judgement(levels, np.full(results, 40.0)))
    assert witnesses.witness() == (None if lasting else Witness("m.f", "float32", "3", 7))


def test_results_that_are_no_elements_need_no_witness() -> None:
    witnesses = Witnesses()
    inputs = Inputs("row", FLOAT32, X, X, source=Source("m.f", np.zeros(4, bool)))
    witnesses.add(inputs, Judgement(np.array([Level.A], np.int8), np.array([40.0])))
    assert witnesses.witness() is None

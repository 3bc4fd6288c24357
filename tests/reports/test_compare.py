"""The comparison reports every cell that moved, and no other."""

import copy
from typing import Any

import pytest
from rich.console import Console

from bce_conformance.reports.compare import Comparison, compare, comparison_table
from bce_conformance.results.reading import from_document

Document = dict[str, Any]


def _compare(before: Document, after: Document, **options: float) -> Comparison:
    return compare(from_document(before), from_document(after), **options)


def _text(comparison: Comparison) -> str:
    console = Console(width=160, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(comparison_table(comparison))
    return capture.get()


def test_a_run_does_not_move_against_itself(document: Document) -> None:
    comparison = _compare(document, document)
    assert comparison.moves == ()
    assert comparison.unmoved == len(document["cells"])
    assert "0 cells moved" in _text(comparison)


def test_every_kind_of_move_is_found(document: Document) -> None:
    after = copy.deepcopy(document)
    worse, better, ulp, gone = after["cells"][0], after["cells"][81], after["cells"][2], 3
    assert (worse["verdict"], better["verdict"]) == ("AAA", "fails")
    worse["verdict"] = "AA"
    better["verdict"] = "AAA"
    ulp["ulp"]["max"] = 3.0
    removed = after["cells"].pop(gone)
    before = copy.deepcopy(document)
    added = before["cells"].pop(4)
    comparison = _compare(before, after)
    found = {
        (move.kind, move.place.requirement, move.place.dtype, move.better)
        for move in comparison.moves
    }
    assert found == {
        ("verdict", worse["requirement"], worse["dtype"], False),
        ("verdict", better["requirement"], better["dtype"], True),
        ("ulp", ulp["requirement"], ulp["dtype"], False),
        ("disappeared", removed["requirement"], removed["dtype"], None),
        ("appeared", added["requirement"], added["dtype"], None),
    }
    assert comparison.unmoved == len(document["cells"]) - 5
    text = _text(comparison)
    assert "5 cells moved: 2 worse, 1 better, 2 other" in text
    assert "disappeared" in text


@pytest.mark.parametrize(
    ("old", "new", "moved", "better"),
    [
        (1.0, 2.0, False, None),
        (1.0, 2.01, True, False),
        (2.01, 1.0, True, True),
        (0.0, 0.5, False, None),
        (0.1, 0.5, False, None),
        (0.1, 1.01, True, False),
        ("inf", "inf", False, None),
        (1e300, "inf", True, False),
        ("inf", 1.0, True, True),
    ],
)
def test_largest_error_moves_by_more_than_the_factor(
    old: float | str, new: float | str, moved: bool, better: bool | None, document: Document
) -> None:
    after = copy.deepcopy(document)
    document["cells"][0]["ulp"]["max"] = old
    after["cells"][0]["ulp"]["max"] = new
    moves = _compare(document, after).moves
    assert [(move.kind, move.better) for move in moves] == [("ulp", better)] * moved


def test_unmeasured_is_neither_better_nor_worse(document: Document) -> None:
    after = copy.deepcopy(document)
    after["cells"][0] |= {"verdict": "not measured", "inputs": 0, "ulp": None, "worst": None}
    (move,) = _compare(document, after).moves
    assert (move.kind, move.better) == ("verdict", None)


def test_versions_of_both_runs(document: Document) -> None:
    after = copy.deepcopy(document)
    after["backends"][1]["version"] = "2.14.0"
    del after["backends"][-1]
    comparison = _compare(document, after)
    changed = [(v.backend, v.before, v.after) for v in comparison.versions if v.before != v.after]
    assert changed == [("torch", "2.13.0", "2.14.0"), ("torch:compile", "", None)]
    assert "not listed" in _text(comparison)


@pytest.mark.parametrize("factor", [0.5, float("nan"), -1.0])
def test_a_factor_below_one_is_refused(factor: float, document: Document) -> None:
    with pytest.raises(ValueError, match=r"factor is .*; accepted is a number of at least 1"):
        _compare(document, document, factor=factor)


def test_timings_that_lie_apart_have_moved(document: Document) -> None:
    before = from_document(document)
    for measurement in document["timings"]["measurements"][:2]:
        factor = 2.0 if measurement["series"] == "native" else 1.2
        for name in ("seconds", "low", "high"):
            measurement[name] *= factor
    found = compare(before, from_document(document))
    assert [(move.series, move.after / move.before) for move in found.timings] == [("native", 2.0)]
    assert not found.moves
    assert "2.00" in _text(found)


def test_timings_of_one_run_only_are_no_movement(document: Document) -> None:
    both = from_document(document)
    del document["timings"]
    assert compare(both, from_document(document)).timings == ()


def test_moves_fit_80_columns_and_name_cells_whole(document: Document) -> None:
    after = copy.deepcopy(document)
    after["cells"][0]["verdict"] = "AA"
    console = Console(width=80, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(comparison_table(_compare(document, after)))
    (line,) = [line for line in capture.get().splitlines() if "worse " in line and "/" in line]
    assert " ".join(line.split()) == "worse VAL-1/native/cpu/float16 AAA, 0.5 ULP AA, 0.5 ULP"

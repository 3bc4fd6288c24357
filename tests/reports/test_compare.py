"""The comparison reports every cell that moved, and no other."""

import copy
import json
import re
from typing import Any

import pytest
from rich.console import Console

from bce_conformance.reports.compare import (
    Comparison,
    compare,
    comparison_table,
    differences,
    distance,
)
from bce_conformance.reports.compare import document as compared
from bce_conformance.reports.comparison_page import direction, render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader
from tests.reports.test_accessible import violations

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
    assert "3 cells moved: 2 worse, 1 better, 0 other; 475 did not move; 2 in one" in text
    assert "disappeared" in text
    for_programs = json.loads(json.dumps(compared(comparison), allow_nan=False))
    assert (for_programs["worse"], for_programs["unmoved"]) == (2, comparison.unmoved)
    assert {(move["kind"], move["better"]) for move in for_programs["moves"]} == {
        (kind, better) for kind, _, _, better in found
    }
    first = for_programs["moves"][0]
    assert (first["before"], first["after"]) == ("AAA", "AA")
    assert first["cell"].split("/")[0] == worse["requirement"]


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


def test_measured_no_more_is_worse_and_measured_now_is_neither(document: Document) -> None:
    after = copy.deepcopy(document)
    after["cells"][0] |= {"verdict": "not measured", "inputs": 0, "ulp": None, "worst": None}
    (move,) = _compare(document, after).moves
    assert (move.kind, move.better) == ("verdict", False)
    (move,) = _compare(after, document).moves
    assert (move.kind, move.better) == ("verdict", None)


@pytest.mark.parametrize(
    ("before", "after", "better", "done"),
    [
        ("unsupported", "fails", False, "worse"),
        ("unsupported", "crashed", False, "worse"),
        ("unsupported", "timeout", False, "worse"),
        ("unsupported", "not measured", False, "worse"),
        ("unsupported", "A", None, "newly measured"),
        ("not measured", "fails", None, "newly measured"),
        ("not measured", "unsupported", None, "newly refused"),
    ],
)
def test_a_refusal_that_becomes_a_wrong_result_is_worse(
    before: str, after: str, better: bool | None, done: str, document: Document
) -> None:
    new, blank = copy.deepcopy(document), {"inputs": 0, "ulp": None, "worst": None}
    document["cells"][0] |= {"verdict": before, **blank}
    new["cells"][0] |= {"verdict": after, **blank, "inputs": int(after == "A")}
    found = _compare(document, new)
    (move,) = found.moves
    assert (move.better, direction(move), found.worse) == (better, done, int(better is False))


def test_runs_that_were_not_measured_alike_say_so(document: Document) -> None:
    assert differences(_compare(document, document)) == []
    after = copy.deepcopy(document)
    after["run"] |= {"seed": 7, "tier": "quick", "interrupted": True}
    after["run"]["host"] |= {"cores": 64}
    found = _compare(document, after)
    assert [name for name, *_ in differences(found)] == ["tier", "seed", "interrupted", "processor"]
    text = _text(found)
    for shown in ("20261121", "quick", "interrupted: cells are missing", "AMD EPYC, 64 cores"):
        assert shown in text
        assert shown in render(found)


def test_a_moved_cell_says_how_far_and_shows_both_worst_inputs(document: Document) -> None:
    after = copy.deepcopy(document)
    after["cells"][0]["ulp"]["max"] = 6.0
    after["cells"][0]["worst"]["logit"] = "0x1.8p+3"
    (move,) = _compare(document, after).moves
    said = distance(move)
    assert said.startswith("error × 12; worst before at x = 22.1807098, y = 0, p = 3; worst after")
    assert said.endswith("at x = 12, y = 0, p = 3")
    (move,) = _compare(after, document).moves
    assert distance(move).startswith("error ÷ 12; ")


def test_page_escapes_what_it_shows_and_puts_the_worse_first(document: Document) -> None:
    after = copy.deepcopy(document)
    after["cells"][81]["verdict"] = "AAA"
    after["cells"][100]["verdict"] = "crashed"
    after["backends"][0]["version"] = "<b>1</b>"
    page = render(_compare(document, after))
    assert "<b>1</b>" not in page
    assert "&lt;b&gt;1&lt;/b&gt;" in page
    assert page.index('<section id="worse"') < page.index('<section id="better"')
    assert "<script" not in page


def test_what_does_most_harm_comes_first(known: Document) -> None:
    after = copy.deepcopy(known)
    for cell in (*known["cells"], *after["cells"]):
        cell |= {"verdict": "AAA", "inputs": 1, "ulp": known["cells"][0]["ulp"]}
        cell |= {"worst": known["cells"][0]["worst"], "defects": []}
    error, small, large, harmful, gone = (after["cells"][turn] for turn in (5, 10, 20, 30, 40))
    error["ulp"] = error["ulp"] | {"max": 9.0}
    small["verdict"], large["verdict"], gone["verdict"] = "AA", "fails", "not measured"
    harmful |= {"verdict": "AA", "defects": [known["defects"][0]["id"]]}
    gone |= {"inputs": 0, "ulp": None, "worst": None}
    moves = _compare(known, after).moves
    assert [(str(move.place), move.harm) for move in moves] == [
        ("/".join(cell[name] for name in ("requirement", "backend", "device", "dtype")), harm)
        for cell, harm in ((harmful, 192), (gone, 0), (large, 0), (small, 0), (error, 0))
    ]
    # What became better is ranked by the harm that it did.
    assert _compare(after, known).moves[1].harm == 192


def test_page_shows_both_worst_inputs_and_counts_by_backend(document: Document) -> None:
    after = copy.deepcopy(document)
    after["backends"][1]["version"] = "2.14.0"
    worse = next(cell for cell in after["cells"] if cell["backend"] == "torch")
    worse["verdict"] = "A"
    worse["worst"] |= {"logit": "0x1.8p+3", "got": "0x0p+0"}
    after["cells"] = [cell for cell in after["cells"] if cell["backend"] != "optax"]
    page = render(_compare(document, after))
    assert "The runs differ in the versions of torch." in page
    head = page[: page.index("</header>")]
    assert re.findall("<span>([^<]*)</span>", head) == ["torch 2.13.0 → 2.14.0"]
    section = page[page.index('<section id="worse"') : page.index('<section id="disappeared"')]
    assert "at x = 22.1807098, y = 0, p = 3: returned 0.99999994, exact -1" in section
    assert "at x = 12, y = 0, p = 3: returned 0, exact -1" in section
    assert worse["reproduce"] in section
    gone = sum(cell["backend"] == "optax" for cell in document["cells"])
    assert f"optax: {gone}</summary>" in page
    assert "worse: 1 cell<" in page.lower()
    lines = [line for line in _text(_compare(document, after)).splitlines() if "optax" in line]
    assert len(lines) == 2
    assert lines[1].split() == ["disappeared", str(gone), "cells", "of", "optax"]


@pytest.mark.parametrize("width", [390, 1400])
def test_axe_finds_no_violation(width: int, browser: Reader, document: Document) -> None:
    after = copy.deepcopy(document)
    after["cells"][0]["verdict"] = "A"
    after["cells"][81]["verdict"] = "AAA"
    after["cells"] = [cell for cell in after["cells"] if cell["backend"] != "optax"]
    page = render(_compare(document, after)).replace("<details", "<details open")
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": "dark"}
    tab = browser.page(page, wait=False, **options)
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") == width


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

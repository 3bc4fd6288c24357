"""The small histogram of a finding: its cell's own errors, and words where there is none."""

import re
from typing import Any

import pytest

from bce_conformance.reports.figures.spark import HEIGHT, WIDTH
from bce_conformance.reports.figures.spread import Spread, spread, why_none
from bce_conformance.reports.findings import Finding, distinct
from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader, act

Document = dict[str, Any]
COUNTS = [60000, 5000, 400, 50, 0, 80, 0, 0, 0, 0, 3, 2]
BAR = re.compile(r"M([\d.]+) 60v-([\d.]+)h([\d.]+)v([\d.]+)z")


def _finding(document: Document, *others: str) -> Finding:
    """The defect of torch's first cell, of which ``others`` explain the cell too."""
    cell = next(one for one in document["cells"] if one["backend"] == "torch")
    cell["defects"] = [document["defects"][0]["id"], *others]
    return next(
        finding
        for finding, _ in distinct(from_document(document))
        if finding.defect and finding.defect.id == document["defects"][0]["id"]
    )


def _measured(document: Document, histogram: list[int]) -> Document:
    cell = next(one for one in document["cells"] if one["backend"] == "torch")
    ulp = {"max": 1e9, "p99": 1.0, "mean": 1.0, "correctly_rounded": 0.5}
    cell["ulp"] = ulp | ({"histogram": histogram} if histogram else {})
    return document


def _drawn(document: Document, histogram: list[int]) -> Spread | None:
    return spread(_finding(_measured(document, histogram)))


def test_each_count_is_a_bar_in_its_place(known: Document) -> None:
    drawn = _drawn(known, COUNTS)
    assert drawn is not None
    bars = {name: BAR.findall(path) for name, path in drawn.bars.items()}
    assert {name: len(found) for name, found in bars.items()} == {"fine": 3, "close": 1, "far": 3}
    step = WIDTH / 12
    for name, places in {"fine": [0, 1, 2], "close": [3], "far": [5, 10, 11]}.items():
        for place, (x, up, width, down) in zip(places, bars[name], strict=True):
            assert float(x) == pytest.approx(place * step + 1, abs=0.1)
            assert float(x) + float(width) <= WIDTH
            assert up == down
            assert 0 < float(up) <= HEIGHT
    heights = [float(up) for found in bars.values() for _, up, _, _ in found]
    assert heights[0] == HEIGHT
    assert heights[:4] == sorted(heights[:4], reverse=True)
    assert drawn.bounds == (pytest.approx(3 * step, abs=0.1), pytest.approx(5 * step, abs=0.1))
    assert drawn.words.replace("\N{NARROW NO-BREAK SPACE}", "") == (
        "65535 results: 65400 within 1 ULP, 50 up to 4, 83 further off, 2 infinite or NaN."
    )


def test_a_cell_that_shows_other_defects_too_is_drawn_only_for_what_the_defect_is_known_by(
    known: Document,
) -> None:
    other = known["defects"][2]["id"]
    finding = _finding(_measured(known, COUNTS), other)
    assert finding.defect is not None
    assert not finding.cells
    assert spread(finding) is None
    assert "show other defects too" in why_none(finding)
    known["defects"][0]["requirement"] = finding.shared[0].requirement
    assert spread(_finding(known, other)) is not None


@pytest.mark.parametrize(
    ("histogram", "words"),
    [([], "neither a curve nor a histogram"), ([3, 2, 1], "neither a curve nor a histogram")],
)
def test_without_errors_of_more_than_an_ulp_nothing_is_drawn(
    histogram: list[int], words: str, known: Document
) -> None:
    assert _drawn(known, histogram) is None
    assert words in why_none(_finding(known))


def test_what_is_right_or_wrong_is_said_to_be(known: Document) -> None:
    finding = _finding(_measured(known, []))
    cell = next(one for one in known["cells"] if one["backend"] == "torch")
    cell["ulp"] = None
    assert "neither" in why_none(finding)
    assert "each is right or wrong" in why_none(_finding(known))


def test_the_page_has_it_with_words_and_its_link_leads_to_the_numbers(
    browser: Reader, known: Document
) -> None:
    finding = _finding(_measured(known, COUNTS))
    defect, cell = known["defects"][0], finding.worst
    defect["explain"] = ""  # no curve
    tab = browser.page(render(from_document(known)), f"#finding/{defect['id']}")
    figure = tab.locator(f"[id='finding/{defect['id']}'] figure")
    assert str(figure.locator("svg").get_attribute("aria-label")).startswith("Errors of torch: ")
    assert "83 further off" in figure.inner_text()
    figure.get_by_role("link").click()
    rows = "all('.histogram tbody tr').length"
    assert act(tab, f"await until(() => {rows}); return {rows}") == len(COUNTS)
    assert tab.url.endswith(f"#cell/{cell.requirement}/torch/cpu/{cell.dtype}")
    assert browser.console == []


def test_a_finding_without_a_plot_says_why(known: Document) -> None:
    for cell in known["cells"]:
        cell["ulp"] = None
    assert "No plot: none of its cells measures errors" in render(from_document(known))

"""The heat map of soft targets: each error in its class, each square once, the worst in words."""

import json
import math
from typing import Any

from bce_conformance.reports.figures.heat import CLASSES, classed, packed
from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader, act

Document = dict[str, Any]
ROWS = "all('#heat-table tbody tr').map((row) => [...row.cells].map((one) => one.textContent))"


def test_an_error_is_in_the_class_whose_bounds_hold_it() -> None:
    errors = (None, 0.0, 0.5, 0.51, 1.0, 4.0, 4.01, 100.0, 1e4, 1e6, 1.1e6, 1e308, math.inf)
    assert "".join(map(classed, errors)) == ".aabccddefggh"
    assert list(CLASSES) == list("abcdefgh")


def test_every_square_is_packed_and_the_worst_is_found(document: Document) -> None:
    found = packed(from_document(document))
    assert len(found["edges"]) == 1
    assert len(found["maps"]) == len(document["maps"])
    native, torch = found["maps"][0], found["maps"][4]
    assert native["classes"] == "aaca....aaea"
    assert torch["classes"] == "aach....aaea"
    assert (native["worst"], torch["worst"]) == ((1234.0, 2, 2), (None, 0, 3))


def test_a_map_in_which_nothing_was_tried_is_left_out(document: Document) -> None:
    document["maps"][0]["ulps"] = [[None] * 4] * 3
    assert len(packed(from_document(document))["maps"]) == len(document["maps"]) - 1


def test_the_panels_follow_the_switches(browser: Reader, document: Document) -> None:
    tab = browser.page(render(from_document(document)), "#curves?curve-dtype=float64")
    act(tab, "await drawn(); await until(() => 'drawn' in curves.dataset);")
    assert act(tab, f"return {ROWS}") == [
        ["native", "1 of 8", "1234", "0 to 10", "0.5 to 1"],
        ["torch", "2 of 8", "∞", "10 to 1000", "0 to 0.25"],
    ]
    assert act(tab, "return all('#heat-chart canvas').length") == 1
    tab.locator("#curve-backends label", has_text="torch").click()
    tab.wait_for_function("document.querySelectorAll('#heat-table tbody tr').length === 1")
    tab.locator("#curve-dtype span", has_text="bfloat16").click()
    tab.wait_for_function("!document.getElementById('heat-none').hidden")
    assert not tab.is_visible("#heat-chart")
    assert browser.console == []


def test_a_square_under_the_pointer_is_told_as_text(browser: Reader, document: Document) -> None:
    hostile = "torch<img src=x onerror=alert(1)>"
    page = json.dumps(document).replace('"torch"', json.dumps(hostile))
    tab = browser.page(render(from_document(json.loads(page))), "#curves")
    act(tab, "await drawn(); await until(() => 'drawn' in curves.dataset);")
    panels = tab.locator("#heat-chart canvas")
    panels.scroll_into_view_if_needed()
    panels.hover(position={"x": 420, "y": 45})
    tab.wait_for_selector("#tip:not([hidden])")
    names = ["backend", "logit", "target", "error"]
    lines = [line.split(": ") for line in tab.inner_text("#tip").split("\n")]
    assert [line[0] for line in lines] == names
    assert lines[0][1] == hostile
    assert act(tab, "return all('#tip *').length") == 0
    tab.mouse.move(5, 5)
    tab.wait_for_selector("#tip", state="hidden")
    assert browser.console == []


def test_a_run_without_maps_says_so(document: Document) -> None:
    del document["maps"]
    page = render(from_document(document))
    assert "This run recorded no map over logit and target" in page
    assert 'id="heat-chart"' not in page

"""The error curves: a window and a cursor by pointer, keys and address; regions of the format."""

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
from playwright.sync_api import Page

from bce_conformance.reference import FORMATS
from bce_conformance.reports.charts import packed_curves, regions
from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader, act, settles

Document = dict[str, Any]
TICKS = "all('#chart .role-axis-label text').map((one) => one.textContent).sort()"
SAID = "document.getElementById('curve-said').textContent"
HERE = "all('#curve-here tbody tr').map((row) => [...row.cells].map((cell) => cell.textContent))"


@pytest.fixture(scope="module")
def page(builder: Callable[..., Document]) -> str:
    return render(from_document(builder()))


def _tab(browser: Reader, page: str, fragment: str = "#curves", **options: Any) -> Page:
    tab = browser.page(page, fragment, **options)
    act(tab, "await drawn(); await until(() => 'drawn' in curves.dataset);")
    return tab


def _view(tab: Page) -> tuple[float, float]:
    """The window in the address."""
    tab.wait_for_function("location.hash.includes('curve-view=')")
    text = tab.evaluate("new URLSearchParams(location.hash.split('?')[1]).get('curve-view')")
    low, high = map(float, text.split(".."))
    return low, high


def _drag(tab: Page, begin: float, end: float) -> None:
    """Drag across shares of the chart's ground."""
    ground = tab.locator("#chart .background").first.bounding_box()
    assert ground is not None
    tab.mouse.move(ground["x"] + begin * ground["width"], ground["y"] + 99)
    tab.mouse.down()
    tab.mouse.move(ground["x"] + end * ground["width"], ground["y"] + 120)
    tab.mouse.up()


@pytest.mark.slow
def test_a_drag_zooms_and_back_takes_it_back(browser: Reader, page: str) -> None:
    tab = _tab(browser, page)
    whole = act(tab, f"return {TICKS}")
    _drag(tab, 0.5, 0.75)
    # Half of the right half: 2.5 of 5 decades beyond 0.01, which is 10^2.5 · 0.01.
    low, high = _view(tab)
    assert abs(low) < 1e-3
    assert high == pytest.approx(3.15, rel=0.01)
    assert "logits: " in act(tab, f"return {SAID}")
    assert " to 3.15" in act(tab, f"return {SAID}")
    assert act(tab, f"return {TICKS}") != whole
    address = tab.evaluate("location.hash")
    ticks = act(tab, f"return {TICKS}")
    tab.go_back()
    back = f"await until(() => {TICKS}.join() === {whole!r}.join()); return {TICKS}"
    assert act(tab, back) == whole
    assert act(_tab(browser, page, address), f"return {TICKS}") == ticks
    assert browser.console == []


def test_buttons_zoom_move_and_show_all(browser: Reader, page: str) -> None:
    tab = _tab(browser, page)
    assert tab.is_disabled("[data-zoom=whole]")
    tab.click("[data-zoom=in]")
    low, high = _view(tab)
    assert low == pytest.approx(-high)
    assert high < 1000
    tab.focus("[data-zoom=right]")
    tab.keyboard.press("Enter")
    tab.wait_for_function("!location.hash.includes('curve-view=-')")
    right = _view(tab)
    assert right[0] > low
    assert right[1] == pytest.approx(1000, rel=1e-5)
    tab.click("[data-zoom=whole]")
    tab.wait_for_function("!location.hash.includes('curve-view')")
    assert tab.is_disabled("[data-zoom=whole]")
    settles(tab, "document.activeElement.dataset.zoom", "in")
    assert browser.console == []


def test_the_wheel_zooms_with_ctrl_alone(browser: Reader, page: str) -> None:
    tab = _tab(browser, page)
    tab.hover("#chart")
    tab.mouse.wheel(0, -60)
    tab.wait_for_timeout(400)
    assert "curve-view" not in tab.evaluate("location.hash")
    act(tab, "document.getElementById('chart').scrollIntoView()")
    tab.hover("#chart")
    tab.keyboard.down("Control")
    tab.mouse.wheel(0, -200)
    low, high = _view(tab)
    assert -1000 < low < high < 1000
    assert browser.console == []


def test_the_pointer_reads_every_backend_at_a_logit(
    browser: Reader, page: str, document: Document
) -> None:
    tab = _tab(browser, page, "#curves?curve-target=1")
    ground = tab.locator("#chart .background").first.bounding_box()
    assert ground is not None
    tab.mouse.move(ground["x"] + 0.9 * ground["width"], ground["y"] + 80)
    rows = act(tab, f"await until(() => {HERE}.length); return {HERE}")
    assert tab.inner_text("#curve-here-said") == "Near logit 99.99:"
    wanted = {"dtype": "float32", "quantity": "loss", "target": "1"}
    curves = [curve for curve in document["curves"] if wanted.items() <= curve.items()]
    named = [name for row in rows for name in row[0].split(", ")]
    assert sorted(named) == sorted(curve["backend"] for curve in curves)
    torch = next(curve["points"] for curve in curves if curve["backend"] == "torch")
    logit, ulp = min(torch, key=lambda point: abs(math.log10(max(point[0], 0) + 0.01) - 2))
    assert ulp > 1e6
    (row,) = [row for row in rows if "torch" in row[0]]
    assert row[1:] == [f"{ulp:.2e} ULP".replace("e+0", "e"), "below AA", f"at {logit:.4g}"]
    assert tab.is_visible(".cursor")
    assert browser.console == []


def test_keys_move_the_cursor_and_say_what_is_worst(browser: Reader, page: str) -> None:
    tab = _tab(browser, page, "#curves?curve-quantity=grad_logits&curve-target=0&curve-view=1..50")
    tab.focus("#curve-at")
    tab.keyboard.press("End")
    tab.keyboard.press("PageDown")
    said = tab.get_attribute("#curve-at", "aria-valuetext") or ""
    assert said.startswith("logit 3")
    assert said.endswith(("ULP, below AA", "∞ ULP, infinitely wrong"))
    before = act(tab, f"return {HERE}")
    for _ in range(12):
        tab.keyboard.press("PageDown")
    assert act(tab, f"return {HERE}") != before
    assert browser.console == []


@pytest.mark.parametrize(
    ("fragment", "words"),
    [
        ("curve-target=0", ["rounds to 0", "eˣ overflows", "e⁻ˣ overflows"]),
        ("curve-target=soft", ["eˣ overflows", "e⁻ˣ overflows"]),
        ("curve-view=-140..-80", ["subnormal:AA may flush", "rounds to 0", "e⁻ˣ overflows"]),
        ("curve-view=-5..5", []),
    ],
)
def test_regions_are_marked_where_they_are_in_sight(
    fragment: str, words: list[str], browser: Reader, page: str
) -> None:
    tab = _tab(browser, page, f"#curves?{fragment}")
    shown = "all('#chart .mark-text.role-mark text').map((one) => one.textContent)"
    assert sorted(filter(None, act(tab, f"return {shown}"))) == sorted(words)


@pytest.mark.parametrize("name", FORMATS)
def test_regions_are_those_of_the_format(name: str) -> None:
    import mpmath

    format_ = FORMATS[name]
    found = regions(format_)
    with mpmath.workprec(200):
        assert found["subnormal"] == pytest.approx(float(-mpmath.log(format_.smallest_normal)))
        zero = mpmath.mpf(format_.smallest_subnormal) / 2
        assert found["zero"] == pytest.approx(float(-mpmath.log(zero)))
        assert found["overflow"] == pytest.approx(float(mpmath.log(format_.largest_finite)))


def test_logits_keep_their_order_when_they_are_shortened(document: Document) -> None:
    logits = [-1.7976931348623157e308, -1234.5, -999.96, -0.0123456, 0.0, 9.9996e-3, 16.63553, 1e30]
    document["curves"] = document["curves"][:1]
    document["curves"][0]["points"] = [[logit, 1.0] for logit in logits]
    packed = packed_curves(from_document(document))
    (steps,) = packed["logits"]
    drawn = [packed["known"][place] for place in accumulate(steps)]
    assert list(drawn) == sorted(drawn)
    assert drawn[-2] == 16.64
    assert drawn[0] == logits[0]


def test_what_is_drawn_is_on_the_same_side_of_a_level_as_what_was_measured(
    document: Document,
) -> None:
    ulps = [0.50000001, 1.0000001, 4.00000001, 0.49999999, 1.7976931348623157e308, 123456.0]
    document["curves"] = document["curves"][:1]
    document["curves"][0]["points"] = [[float(n), ulp] for n, ulp in enumerate(ulps)]
    (drawn,) = packed_curves(from_document(document))["ulps"]
    for bound in (0.5, 1.0, 4.0):
        assert [one > bound for one in drawn] == [one > bound for one in ulps]
    assert [one < 1 for one in drawn] == [one < 1 for one in ulps]
    assert drawn[-1] == 123000.0

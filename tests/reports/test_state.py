"""What a reader has chosen is in the address, and the back button takes it back."""

from collections.abc import Callable
from typing import Any

import pytest

from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader, act, settles

Document = dict[str, Any]
SQUARE = 'a.square[href="#cells?backend=jax&family=RED"]'
COUNT = "document.getElementById('cell-count').textContent"
HASH = "location.hash"


@pytest.fixture(scope="module")
def page(builder: Callable[..., Document]) -> str:
    return render(from_document(builder()))


def test_filters_and_sorting_are_in_the_address_and_back_takes_them_back(
    browser: Reader, page: str
) -> None:
    tab = browser.page(page)
    steps = ["", "#cells?backend=torch", "#cells?backend=torch&verdict=fails"]
    address = f"{steps[2]}&sort=-ulp"
    tab.select_option("#f-backend", "torch")
    settles(tab, HASH, steps[1])
    tab.select_option("#f-verdict", "fails")
    settles(tab, HASH, steps[2])
    tab.click("#cell-table th:nth-child(6) button")
    settles(tab, HASH, address)
    counted = tab.evaluate(COUNT)
    shown = "all('#cell-table tr.row').map((row) => row.textContent)"
    rows = act(tab, f"return {shown}")
    sorted_by = "document.querySelector('#cell-table th:nth-child(6)').getAttribute('aria-sort')"
    for step in reversed(steps):  # one at a time: a browser joins steps that come at once
        tab.go_back()
        settles(tab, HASH, step)
        settles(tab, sorted_by, None)
    settles(tab, COUNT, "480 cells")
    for step in (*steps[1:], address):
        tab.go_forward()
        settles(tab, HASH, step)
    settles(tab, COUNT, counted)
    assert act(tab, f"return {shown}") == rows
    assert act(browser.page(page, address), f"return {shown}") == rows
    assert browser.console == []


def test_typing_is_one_step_back(browser: Reader, page: str) -> None:
    tab = browser.page(page)
    # All keys at once: on a busy machine the time between two may be longer than the page waits.
    act(
        tab,
        """
        const field = document.getElementById('f-text');
        for (const letter of 'torch gradient') {
          field.value += letter;
          field.dispatchEvent(new Event('input'));
        }
        """,
    )
    tab.wait_for_function("location.hash === '#cells?text=torch+gradient'")
    tab.go_back()
    assert tab.input_value("#f-text") == ""
    settles(tab, COUNT, "480 cells")


def test_open_cells_are_in_the_address(browser: Reader, page: str) -> None:
    tab = browser.page(page)
    # Not by the pointer: charts that are drawn when they come into sight move the rows below it.
    for place in (3, 1):
        tab.locator("#cell-table tr.row button").nth(place).evaluate("button => button.click()")
    cells = "all('tr.evidence').map((row) => row.querySelector('code').textContent)"
    tab.wait_for_function("document.querySelectorAll('tr.evidence').length === 2")
    found = act(tab, f"return {cells}")
    assert len(found) == 2
    address = tab.evaluate(HASH)
    assert act(browser.page(page, address), f"return {cells}") == found
    tab.go_back()
    tab.wait_for_function("document.querySelectorAll('tr.evidence').length === 1")
    assert act(tab, f"return {cells}") == found[1:]
    tab.locator("#cell-table tr.row button").nth(3).evaluate("button => button.click()")
    assert act(tab, f"return {cells}") == []


def test_curves_choices_are_in_the_address(browser: Reader, page: str) -> None:
    fragment = "#curves?curve-quantity=grad_logits&curve-dtype=float16&curve-without=jax"
    chosen = "all('#curves input:checked').map((input) => input.value)"
    tab = browser.page(page, fragment)
    act(tab, "await drawn()")
    backends = ["native", "torch", "paddle", "tensorflow", "optax"]
    assert act(tab, f"return {chosen}") == ["grad_logits", "0", "float16", "cpu", "near", *backends]
    assert act(tab, "return all('#chart .mark-line path').length") == 5
    tab.locator("#curve-target span", has_text="soft").click()
    tab.locator("#curve-backends label", has_text="jax").click()
    assert tab.evaluate(HASH).startswith("#curves?curve-quantity=grad_logits&curve-target=soft")
    assert "without" not in tab.evaluate(HASH)
    tab.go_back()
    tab.go_back()
    assert act(tab, f"return {chosen}") == ["grad_logits", "0", "float16", "cpu", "near", *backends]
    assert act(tab, "await until(() => all('#chart .mark-line path').length === 5); return 1")
    assert browser.console == []


def test_a_choice_that_the_run_lacks_is_that_of_the_start(browser: Reader, page: str) -> None:
    fragment = "#curves?curve-dtype=float8&grid-dtype=float8&sort=-nothing&open=a/b/c/d"
    tab = browser.page(page, fragment)
    act(tab, "await drawn()")
    assert tab.input_value("#curve-dtype input:checked") == "float32"
    assert tab.input_value("input[name=grid-dtype]:checked") == ""
    settles(tab, COUNT, "480 cells")
    assert browser.console == []


def test_a_second_click_on_a_square_closes_it_and_the_focus_stays(
    browser: Reader, page: str
) -> None:
    tab = browser.page(page)
    tab.click(SQUARE)
    tab.wait_for_function(f"{COUNT} === '16 of 480 cells'")
    assert tab.get_attribute(SQUARE, "aria-current") == "true"
    settles(tab, "document.activeElement.closest('section').id", "cells")
    tab.click(SQUARE)
    settles(tab, COUNT, "480 cells")
    assert tab.get_attribute(SQUARE, "aria-current") is None
    settles(tab, f"document.activeElement === document.querySelector('{SQUARE}')", True)
    tab.go_back()
    settles(tab, COUNT, "16 of 480 cells")


def test_the_focus_stays_on_the_row_when_rows_change(browser: Reader, page: str) -> None:
    tab = browser.page(page, "#cells?backend=torch")
    row = tab.locator("#cell-table tr.row button").nth(5)
    row.press("Enter")
    named = "document.activeElement.closest('tr')?.dataset.order"
    order = tab.evaluate(named)
    tab.go_back()
    settles(tab, named, order)


@pytest.mark.parametrize("part", ["%E0%A4%A", "%", "VAL-1%2F", "<b>"])
def test_an_address_that_is_none_is_no_error(part: str, browser: Reader, page: str) -> None:
    tab = browser.page(page, f"#cell/{part}/x/y/z")
    assert tab.evaluate(COUNT).startswith("This run has no cell ")
    assert browser.console == []


def test_every_cell_has_a_link_that_leads_to_it(
    browser: Reader, page: str, document: Document
) -> None:
    tab = browser.page(page)
    for cell in (document["cells"][0], document["cells"][199], document["cells"][-1]):
        names = ("requirement", "backend", "device", "dtype")
        address = "/".join(cell[name] for name in names)
        tab.evaluate(f"location.hash = '#cell/{address}'")
        shown = f"document.querySelector('tr.evidence code')?.textContent === '{address}'"
        tab.wait_for_function(shown)
        link = tab.get_attribute("tr.evidence .links a", "href")
        assert link == f"#cell/{address}"
        focused = "document.activeElement.closest('tr').nextElementSibling.className"
        settles(tab, focused, "evidence")


def test_a_link_to_a_section_keeps_what_is_chosen(browser: Reader, page: str) -> None:
    tab = browser.page(page, "#cells?backend=torch")
    tab.click("nav a[href='#matrix']")
    tab.wait_for_function("location.hash === '#matrix?backend=torch'")
    tab.reload()
    assert tab.input_value("#f-backend") == "torch"
    assert browser.requests == [
        url for url in browser.requests if url.startswith(("file:", "data:"))
    ]

"""The matrix: its families open to requirements, its switches narrow it, the address has both."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from bce_conformance.reports.grid import switches
from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader, act, settles
from tests.reports.test_accessible import violations

Document = dict[str, Any]
HASH = "location.hash"
HEADS = "document.querySelectorAll('#grid thead th').length"
SQUARES = """all('#grid a.square').map((one) =>
  [one.getAttribute('href'), one.title, one.className, one.textContent.replace(/\\s+/g, '')])"""


@pytest.fixture(scope="module")
def several(builder: Callable[..., Document]) -> Document:
    """A run of torch in two versions, of jax on two instruction sets, of native on two devices."""
    document = builder()
    entries = {entry["id"]: entry for entry in document["backends"]}
    for entry in document["backends"]:
        entry["instruction_set"] = "x86-64-v4"
    elsewhere = {
        "torch@pip=2.10.0": entries["torch"] | {"version": "2.10.0"},
        "jax@isa=x86-64-v3": entries["jax"] | {"instruction_set": "x86-64-v3"},
    }
    for name, entry in elsewhere.items():
        own = [c for c in document["cells"] if c["backend"] == name.partition("@")[0]]
        document["backends"].append(entry | {"id": name})
        document["cells"] += [cell | {"backend": name} for cell in own]
    native = [cell for cell in document["cells"] if cell["backend"] == "native"]
    document["cells"] += [cell | {"device": "cuda", "verdict": "AA"} for cell in native]
    return document


@pytest.fixture(scope="module")
def page(several: Document) -> str:
    return render(from_document(several))


def _heads(tab: Page) -> list[str]:
    return [str(text) for text in act(tab, "return all('#grid thead th').map((h) => h.innerText)")]


def _rows(tab: Page) -> list[str]:
    found = act(tab, "return all('#grid tbody th a').map((one) => one.textContent)")
    return [str(name) for name in found]


def test_what_the_page_draws_is_what_came_with_it(browser: Reader, page: str) -> None:
    static = browser.page(page, wait=False, java_script_enabled=False)
    before = static.locator("#grid a.square").evaluate_all(
        "(all) => all.map((one) => [one.getAttribute('href'), one.title, one.className,"
        " one.textContent.replace(/\\s+/g, '')])"
    )
    assert len(before) == 8 * 5
    assert act(browser.page(page), f"return {SQUARES}") == before
    rows = static.locator("#grid tbody tr").all_inner_texts()
    drawn = browser.page(page).locator("#grid tbody tr").all_inner_texts()
    assert drawn == rows


def test_a_family_opens_to_its_requirements_by_mouse_and_key(
    browser: Reader, page: str, several: Document
) -> None:
    tab = browser.page(page)
    button = tab.locator("#grid button[data-family=GRAD]")
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    settles(tab, HASH, "#matrix?grid-open=GRAD")
    opened = [f"GRAD-{number}" for number in range(1, 5)]
    heads = [head.splitlines()[0].strip("▾▸ ") for head in _heads(tab)]
    assert heads == ["backend", "VAL", "INF", "GRAD", *opened, "BRD", "RED"]
    assert button.get_attribute("aria-expanded") == "true"
    settles(tab, "document.activeElement.dataset.family", "GRAD")
    assert tab.inner_text("#grid-said") == "GRAD open: 4 requirements"
    cells = [c for c in several["cells"] if (c["backend"], c["requirement"]) == ("torch", "GRAD-2")]
    one = tab.locator("#grid a.square[href='#cells?backend=torch&requirement=GRAD-2']")
    numbers = re.findall(r"\d+", str(one.get_attribute("title")))
    assert sum(map(int, numbers)) == len(cells) == 4
    tab.keyboard.press("Enter")
    settles(tab, HASH, "#matrix")
    settles(tab, HEADS, 6)
    tab.keyboard.press("Space")
    settles(tab, HEADS, 10)
    assert browser.console == []


def test_back_closes_what_was_opened(browser: Reader, page: str) -> None:
    tab = browser.page(page)
    for family in ("GRAD", "VAL"):
        tab.click(f"#grid button[data-family={family}]")
    address = "#matrix?grid-open=GRAD&grid-open=VAL"
    settles(tab, HASH, address)
    both = _heads(tab)
    assert len(both) == 6 + 8
    tab.go_back()
    settles(tab, HEADS, 6 + 4)
    settles(tab, HASH, "#matrix?grid-open=GRAD")
    tab.go_back()
    settles(tab, HEADS, 6)
    assert _heads(browser.page(page, address)) == both
    tab.go_forward()
    tab.go_forward()
    tab.click("#grid-close")
    settles(tab, HEADS, 6)
    assert not tab.is_visible("#grid-close")
    tab.go_back()
    settles(tab, HEADS, len(both))
    assert _heads(tab) == both


def test_a_requirement_of_the_matrix_leads_to_its_cells(browser: Reader, page: str) -> None:
    tab = browser.page(page, "#matrix?grid-open=RED&grid-dtype=float64")
    tab.click("#grid a.square[href='#cells?backend=jax&requirement=RED-3&dtype=float64']")
    tab.wait_for_function("document.querySelectorAll('#cell-table tr.row').length === 1")
    current = "all('#grid [aria-current]').map((one) => one.getAttribute('href'))"
    found = act(tab, f"return {current}")
    assert found == ["#cells?backend=jax&requirement=RED-3&dtype=float64"]
    assert act(tab, "return all('#grid thead th').length") == 10


def test_switches_are_there_where_a_run_has_several(
    builder: Callable[..., Document], several: Document
) -> None:
    assert switches(from_document(builder())) == []
    assert switches(from_document(several)) == [
        ("device", "device", ["cpu", "cuda"]),
        ("isa", "instruction set", ["x86-64-v4", "x86-64-v3"]),
        ("version", "version", ["torch 2.13.0", "torch 2.10.0"]),
    ]


def test_switches_narrow_rows_and_cells(browser: Reader, page: str) -> None:
    tab = browser.page(page)
    every = _rows(tab)
    assert "torch@pip=2.10.0" in every
    tab.select_option("#grid-version", "torch 2.10.0")
    old = _rows(tab)
    assert set(every) - set(old) == {"torch", "torch:compile"}  # the latter was not measured
    tab.select_option("#grid-isa", "x86-64-v3")
    assert _rows(tab) == ["jax@isa=x86-64-v3"]
    tab.select_option("#grid-isa", "")
    tab.select_option("#grid-device", "cuda")
    squares = act(tab, f"return {SQUARES}")
    assert [one[0] for one in squares] == [
        f"#cells?backend=native&family={family}&device=cuda"
        for family in ("VAL", "INF", "GRAD", "BRD", "RED")
    ]
    assert {one[1] for one in squares} == {"16 AA"}
    assert "no cells" in tab.inner_text("#grid tbody tr:nth-child(2)")
    tab.locator(".segments span", has_text="float64").first.click()
    address = tab.evaluate(HASH)
    wanted = "grid-dtype=float64&grid-device=cuda&grid-version=torch+2.10.0"
    assert address == f"#matrix?{wanted}"
    shown = act(tab, f"return {SQUARES}")
    assert {one[1] for one in shown} == {"4 AA"}
    assert act(browser.page(page, address), f"return {SQUARES}") == shown
    for _ in range(5):
        tab.go_back()
    assert _rows(tab) == every
    assert browser.console == []


@pytest.mark.slow
def test_an_open_matrix_is_for_everyone(browser: Reader, page: str) -> None:
    for width in (1400, 390):
        options: dict[str, Any] = {"viewport": {"width": width, "height": 800}}
        tab = browser.page(page, "#matrix?grid-open=GRAD&grid-open=VAL", **options)
        assert violations(tab) == []
        assert tab.evaluate("document.documentElement.scrollWidth") == width

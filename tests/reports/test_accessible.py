"""The page for everyone: axe-core finds nothing; no width, printer or contrast loses a thing."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page

from bce_conformance.reports.charts import DASHES, PALETTE
from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader, act

Document = dict[str, Any]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
RULES = ["label-content-name-mismatch", "heading-order", "svg-img-alt"]
GROUNDS = ("#ffffff", "#151c24")


@pytest.fixture(scope="module")
def page(builder: Callable[..., Document]) -> str:
    document = builder()
    document["cells"][0] |= {"log": "Traceback", "flushed": 3}
    return render(from_document(document))


def _opened(tab: Page) -> None:
    """Draw the charts and open whatever can be opened."""
    act(
        tab,
        """
        await drawn();
        for (const details of all('details')) details.open = true;
        for (const row of all('#cell-table tr.row').slice(0, 3)) row.click();
        document.getElementById('curve-at').value = 300;
        document.getElementById('curve-at').dispatchEvent(new Event('input'));
        document.querySelector('[data-zoom=in]').click();
        document.getElementById('timings').scrollIntoView();
        await until(() => all('#timing-chart .mark-symbol path').length);
        """,
    )


def violations(tab: Page, **options: Any) -> list[Any]:
    """What axe-core finds of level A and AA: its rules, and the nodes."""
    tab.evaluate(AXE)
    rules = {name: {"enabled": True} for name in RULES}
    found = tab.evaluate(
        "(options) => axe.run(document, options)",
        {"runOnly": LEVELS, "rules": rules, "resultTypes": ["violations"], **options},
    )
    assert len(found["passes"]) > 10
    return [(one["id"], [n["html"][:200] for n in one["nodes"]]) for one in found["violations"]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"color_scheme": "dark"},
        {"viewport": {"width": 390, "height": 800}},
        {"viewport": {"width": 768, "height": 900}},
    ],
    ids=["light", "dark", "phone", "tablet"],
)
def test_axe_finds_no_violation(options: dict[str, Any], browser: Reader, page: str) -> None:
    tab = browser.page(page, **options)
    _opened(tab)
    assert tab.locator("table.histogram").count() == 1
    assert tab.locator("figure.spark svg").first.is_visible()
    assert violations(tab) == []


@pytest.mark.parametrize("height", range(300, 900, 50))
def test_a_linked_cell_leaves_no_button_partly_behind_the_navigation(
    height: int, browser: Reader, builder: Callable[..., Document]
) -> None:
    document = builder()
    cell = document["cells"][-1]
    address = "/".join(cell[name] for name in ("requirement", "backend", "device", "dtype"))
    size = {"width": 1280, "height": height}
    page = render(from_document(document))
    tab = browser.page(page, f"#cell/{address}", viewport=size)
    partly = act(
        tab,
        """
        await until(() => document.querySelector('#cell-table [aria-expanded=true]'));
        const edge = document.querySelector('nav').getBoundingClientRect().bottom;
        return all('#cells button').map((button) => button.getBoundingClientRect())
          .filter((box) => box.top < edge - 1 && box.bottom > edge + 1).length;
        """,
    )
    assert partly == 0


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_a_linked_cell_is_below_the_head_of_its_table(
    width: int, browser: Reader, page: str, builder: Callable[..., Document]
) -> None:
    cell = builder()["cells"][60]
    address = "/".join(cell[name] for name in ("requirement", "backend", "device", "dtype"))
    tab = browser.page(page, f"#cell/{address}", viewport={"width": width, "height": 900})
    head, row = act(
        tab,
        """
        await until(() => document.querySelector('#cell-table [aria-expanded=true]'));
        const head = document.querySelector('#cell-table thead th').getBoundingClientRect();
        return [head.bottom, document.activeElement.closest('tr').getBoundingClientRect().top];
        """,
    )
    nav = tab.locator("nav").bounding_box()
    assert nav is not None
    edge = max(head, nav["height"])
    assert edge - 2 <= row <= edge + 12


def test_axe_would_find_a_violation(browser: Reader, page: str) -> None:
    planted = '<p style="color: #999; background: #fff">faint</p><button></button></main>'
    found = violations(browser.page(page.replace("</main>", planted)))
    assert {name for name, _ in found} == {"color-contrast", "button-name"}


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_nothing_is_cut_off(width: int, browser: Reader, page: str) -> None:
    tab = browser.page(page, viewport={"width": width, "height": 900})
    _opened(tab)
    cut = act(
        tab,
        """
        const scrolls = (node) => node.closest('.scroll, nav .wrap, .unseen, #chart');
        const hides = (node) => getComputedStyle(node).overflowX === 'hidden'
          && node.scrollWidth > node.clientWidth + 1;
        return all('main *, header *').filter((node) => node.checkVisibility() && !scrolls(node)
          && (node.getBoundingClientRect().right > innerWidth + 1 || hides(node)))
          .map((node) => node.outerHTML.slice(0, 200));
        """,
    )
    assert cut == []
    assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_a_histogram_is_a_table_on_a_phone_too(browser: Reader, page: str) -> None:
    tab = browser.page(page, viewport={"width": 390, "height": 900})
    act(tab, "for (const row of all('#cell-table tr.row').slice(0, 3)) row.click();")
    shown = act(
        tab,
        """
        return all('.histogram tbody tr').map((row) => [
          row.getBoundingClientRect().height,
          row.querySelector('.length').getBoundingClientRect().right]);
        """,
    )
    assert shown
    assert all(height < 30 and right <= 390 for height, right in shown)
    assert tab.locator(".histogram thead").is_visible()


def test_print_is_as_wide_as_its_paper(browser: Reader, builder: Callable[..., Document]) -> None:
    document = builder()
    families = [f"FA{letter}" for letter in "ABCDEFGHI"]
    document["requirements"] += [
        {"id": f"{name}-1", "family": name, "text": "As the others."} for name in families
    ]
    document["cells"] += [
        document["cells"][0] | {"requirement": f"{name}-1", "backend": backend["id"]}
        for name in families
        for backend in document["backends"][:6]
    ]
    # A4 across, less its margins, in the pixels of CSS.
    tab = browser.page(render(from_document(document)), viewport={"width": 1039, "height": 700})
    tab.emulate_media(media="print")
    wide = "all('.grid-view:not([hidden]) *').map((one) => one.getBoundingClientRect().right)"
    assert act(tab, f"return Math.max(...{wide})") <= 1039
    assert tab.evaluate("document.documentElement.scrollWidth") == 1039


def test_what_is_printed_stays_whole(
    browser: Reader, page: str, builder: Callable[..., Document]
) -> None:
    document = builder()
    maps = [one for one in document["maps"] if one["backend"] == "torch"]
    names = [f"torch:{number}" for number in range(24)]
    torch = next(one for one in document["backends"] if one["id"] == "torch")
    document["backends"] += [torch | {"id": name} for name in names]
    document["maps"] += [one | {"backend": name} for one in maps for name in names]
    tab = browser.page(render(from_document(document)), viewport={"width": 1039, "height": 700})
    act(tab, "await drawn(); await until(() => 'drawn' in curves.dataset);")
    heat = tab.locator("#heat-chart canvas")
    assert heat.bounding_box()["height"] > 700  # type: ignore[index]
    tab.emulate_media(media="print")
    box = heat.bounding_box()
    assert box is not None
    assert box["height"] < 700
    assert box["width"] <= 1039
    # Chromium prints no button again where a table goes on on the next page.
    button = "document.querySelector('.grid-view:not([hidden]) thead button')"
    assert act(tab, f"return getComputedStyle({button}).display") == "contents"
    # A backend's name is broken at its colon only.
    lines = act(
        tab,
        """
        const range = document.createRange();
        return all('#tasks th[scope=row], #backends th[scope=row]').map((one) => {
          range.selectNodeContents(one);
          const tops = [...range.getClientRects()].map(({ top }) => Math.round(top));
          return [one.textContent.split(':').length, new Set(tops).size];
        });
        """,
    )
    assert all(found <= parts for parts, found in lines)


def test_a_printed_chart_says_what_it_shows_and_whose_its_lines_are(
    browser: Reader, page: str
) -> None:
    tab = browser.page(page, "#curves?curve-target=1&curve-without=jax")
    act(tab, "await drawn()")
    tab.emulate_media(media="print")
    shown = "all('#curve-backends label').filter((one) => one.checkVisibility())"
    names = act(tab, f"return {shown}.map((one) => one.textContent)")
    assert names == ["native", "torch", "paddle", "tensorflow", "optax"]
    assert tab.is_visible("#curve-shown")
    assert tab.inner_text("#curve-shown") == "loss, target 1, float32, cpu, logits: |x| ≤ 1000"


def test_forced_colours_keep_bars_and_chosen_options(browser: Reader, page: str) -> None:
    tab = browser.page(page, forced_colors="active")
    act(tab, "await drawn()")
    colours = act(
        tab,
        """
        const fill = (what) => getComputedStyle(document.querySelector(what)).backgroundColor;
        return [fill('.bar .v-AAA'), fill('.bar .v-fails'),
          fill('.segments input:checked + span'), fill('.segments input:not(:checked) + span')];
        """,
    )
    assert len(set(colours)) == 4


def test_letters_stand_beside_every_colour(browser: Reader, page: str) -> None:
    found = browser.open(
        page,
        "return [all('.grid-view:not([hidden]) .counts > span').map((one) => one.textContent),"
        " all('.square').map((one) => one.innerText),"
        " all('.tally, .tallied').map((one) => one.innerText)]",
    )
    marks = r"AAA|AA|A|fails|crashed|timeout|n/a|–"
    for counts in found[0]:
        assert re.fullmatch(rf"\d+ ({marks})", counts)
    for text in (*found[1], *found[2]):
        assert re.search(rf"\d ({marks})", text), text


def test_curves_are_a_table_too(browser: Reader, page: str, document: Document) -> None:
    tab = browser.page(page, "#curves?curve-target=1&curve-without=jax")
    act(tab, "await drawn()")
    words, *rows = act(
        tab,
        "return [document.getElementById('curve-said').textContent, ...all('#curve-table tbody tr')"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))]",
    )
    assert words == "loss, target 1, float32, cpu, logits: |x| ≤ 1000"
    assert [row[0] for row in rows] == ["native", "torch", "paddle", "tensorflow", "optax"]
    wanted = {"backend": "torch", "dtype": "float32", "quantity": "loss", "target": "1"}
    (curve,) = (c for c in document["curves"] if wanted.items() <= c.items())
    points = [(x, ulp) for x, ulp in curve["points"] if abs(x) <= 1000]
    over = [x for x, ulp in points if ulp > 4]
    assert over
    assert rows[0][3:] == ["nowhere", "nowhere"]
    assert rows[1][4].endswith(f"({len(over)} of {len(points)} points)")


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", PALETTE)
def test_curves_stand_out_from_light_and_dark(colour: str) -> None:
    for ground in GROUNDS:
        darker, lighter = sorted((_luminance(colour), _luminance(ground)))
        assert (lighter + 0.05) / (darker + 0.05) >= 3


def test_eighty_backends_look_different() -> None:
    looks = {(PALETTE[n % len(PALETTE)], DASHES[n % len(DASHES)]) for n in range(80)}
    assert len(looks) == 80
    # Native and optax:jit, the first and the thirteenth, share neither.
    assert PALETTE[0] != PALETTE[12 % len(PALETTE)]
    assert DASHES[0] != DASHES[12 % len(DASHES)]

"""The page in a real browser: from a file, without network, no error in its console.

Each test acts in the page as a reader would.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader, act

Document = dict[str, Any]


@pytest.fixture(scope="module")
def page(builder: Callable[..., Document]) -> str:
    return render(from_document(builder()))


def test_page_opens_without_an_error(browser: Reader, page: str) -> None:
    found = browser.open(
        page,
        "await drawn();"
        "return [all('.grid-view:not([hidden]) .square').length, all('#cell-table tr.row').length,"
        " all('#chart svg path').length > 6, document.getElementById('cell-count').textContent,"
        " document.documentElement.scrollWidth <= innerWidth]",
    )
    assert found == [30, 100, True, "480 cells", True]
    assert browser.console == []


def test_an_error_in_the_console_would_be_seen(browser: Reader, page: str) -> None:
    browser.open(page, "console.error('planted'); return null")
    assert any("planted" in line for line in browser.console)
    broken = browser.page(page.replace("const PAGE = 100;", "const PAGE = nothing;"), wait=False)
    broken.wait_for_timeout(500)
    assert any("nothing is not defined" in line for line in browser.console)


def test_page_cannot_reach_a_network(browser: Reader, page: str) -> None:
    found = browser.open(
        page,
        "try { await fetch('http://127.0.0.1:9/'); return 'reached'; }"
        " catch (error) { return String(error); }",
    )
    assert "Failed to fetch" in found
    assert any("Content Security Policy" in line for line in browser.console)


def test_filters_narrow_the_table(browser: Reader, page: str, document: Document) -> None:
    found = browser.open(
        page,
        """
        const counts = [];
        const note = () => counts.push([all('#cell-table tr.row').length,
          document.getElementById('cell-count').textContent]);
        const set = (name, value, event) => {
          const field = document.getElementById(`f-${name}`);
          field.value = value;
          field.dispatchEvent(new Event(event));
          note();
        };
        set('backend', 'torch', 'change');
        set('verdict', 'fails', 'change');
        set('text', 'GRAD gradient float16', 'input');
        document.querySelector('#filters button[type=reset]').click();
        note();
        set('standing', 'worse', 'change');
        return counts;
        """,
    )

    def count(**fields: Any) -> int:
        cells = document["cells"]
        return sum(all(cell[name] == value for name, value in fields.items()) for cell in cells)

    torch, fails = count(backend="torch"), count(backend="torch", verdict="fails")
    assert 0 < fails < torch
    grad = [
        cell
        for cell in document["cells"]
        if cell["backend"] == "torch" and cell["verdict"] == "fails"
        # "bfloat16" contains "float16", as the search does.
        if cell["requirement"].startswith("GRAD") and "float16" in cell["dtype"]
    ]
    assert grad
    assert found == [
        [torch, f"{torch} of 480 cells"],
        [fails, f"{fails} of 480 cells"],
        [len(grad), f"{len(grad)} of 480 cells"],
        [100, "480 cells"],
        [2, "2 of 480 cells"],
    ]
    assert browser.console == []


def test_square_leads_to_its_cells(browser: Reader, page: str, document: Document) -> None:
    found = browser.open(
        page,
        """
        const square = document.querySelector('a.square[href="#cells?backend=jax&family=RED"]');
        square.click();
        await tick();
        return [square.title, all('#cell-table tr.row').map((row) => row.innerText.split('\\t'))];
        """,
    )
    title, rows = found
    cells = [
        c for c in document["cells"] if c["backend"] == "jax" and c["requirement"][:3] == "RED"
    ]
    assert [[row[0].strip(), row[1], row[3], row[4]] for row in rows] == [
        [cell["requirement"], "jax", cell["dtype"], cell["verdict"]] for cell in cells
    ]
    assert sum(int(number) for number in re.findall(r"\d+", title)) == len(cells)


def test_deep_link_opens_the_evidence(browser: Reader, page: str, document: Document) -> None:
    cell = next(c for c in document["cells"] if c["backend"] == "torch" and c["verdict"] == "fails")
    address = "/".join(cell[name] for name in ("requirement", "backend", "device", "dtype"))
    found = browser.open(
        page,
        "return all('tr.evidence').map((row) => [row.textContent,"
        " row.previousSibling.querySelector('button').getAttribute('aria-expanded'),"
        " row.querySelector('pre').textContent])",
        fragment=f"#cell/{address}",
    )
    ((text, expanded, line),) = found
    assert expanded == "true"
    assert line == cell["reproduce"]
    for shown in (
        address,
        cell["reason"],
        cell["detail"],
        "Why: Training meets it <",
        "nan",
        "0x1.62e430p+4",
        "≈ 22.1807098",
        "∞",
    ):
        assert shown in text
    assert browser.console == []


def test_rows_open_and_close_and_sort(browser: Reader, page: str) -> None:
    found = browser.open(
        page,
        """
        const row = document.querySelector('#cell-table tr.row');
        row.click();
        const opened = all('tr.evidence').map((evidence) => evidence.textContent);
        row.click();
        const closed = all('tr.evidence').length;
        const ulp = () => all('#cell-table tr.row td:nth-child(6)').map((cell) => cell.innerText);
        document.querySelector('#cell-table th:nth-child(6) button').click();
        const worst = ulp();
        document.querySelector('#cell-table th:nth-child(6) button').click();
        const decimal = opened[0].includes("≈ 0.99999994");
        return [opened.length, decimal, closed, worst.slice(0, 3), ulp().slice(0, 3)];
        """,
    )
    assert found == [1, True, 0, ["∞", "∞", "∞"], ["", "", ""]]


def test_curves_follow_their_switches(browser: Reader, page: str) -> None:
    found = browser.open(
        page,
        """
        await drawn();
        const shape = (path) => path.getAttribute('d');
        const lines = () => all('#chart path[stroke^="#"]').map(shape).join();
        const first = lines();
        const followed = [first.length > 0];
        const choices = { quantity: 'grad_logits', target: '1', range: 'all', dtype: 'float64' };
        for (const [name, value] of Object.entries(choices)) {
          const earlier = lines();
          document.querySelector(`#curve-${name} input[value="${value}"]`).click();
          await until(() => lines() !== earlier);
          followed.push(lines() !== earlier);
        }
        document.querySelector('#curve-backends input').click();
        await until(() => all('#chart .mark-line path').length === 5);
        const broken = lines().includes('NaN') || lines().includes('Infinity');
        return [followed, all('#chart .mark-line path').length, broken];
        """,
    )
    assert found == [[True] * 5, 5, False]
    assert browser.console == []


def test_findings_of_one_backend_are_shown_and_a_link_opens_one(
    browser: Reader, known: Document
) -> None:
    found = browser.open(
        render(from_document(known)),
        """
        const shown = () => all('details.finding').filter((item) => !item.hidden);
        const opened = all('details.finding[open]').map((item) => item.id);
        const every = shown().length;
        const choice = document.getElementById('finding-backend');
        choice.value = 'torch';
        choice.dispatchEvent(new Event('change'));
        const torch = shown().every((item) => JSON.parse(item.dataset.backends).includes('torch'));
        return [opened, every > shown().length, shown().length, torch];
        """,
        "#finding/torch-loss-cancels",
    )
    assert found == [["finding/torch-loss-cancels"], True, 4, True]
    assert browser.console == []


def test_a_backend_with_blanks_in_its_id_has_its_findings(browser: Reader, known: Document) -> None:
    name = "torch@python=/opt/my  'env'/bin/python"
    text = json.dumps(known).replace('"torch"', json.dumps(name))
    tab = browser.page(render(from_document(json.loads(text))))
    before = tab.locator("details.finding:not([hidden])").count()
    tab.select_option("#finding-backend", name)
    assert 0 < tab.locator("details.finding:not([hidden])").count() == 4 < before
    assert browser.console == []


def test_a_group_of_findings_says_how_many_of_it_are_shown(
    browser: Reader, known: Document
) -> None:
    tab = browser.page(render(from_document(known)))
    summary = tab.locator("#findings > .others > summary")
    whole = summary.inner_text()
    assert int(whole.split()[0]) > 1
    tab.select_option("#finding-backend", "torch")
    assert summary.inner_text() == f"1 of {whole}"
    tab.select_option("#finding-backend", "")
    assert summary.inner_text() == whole


def test_a_cell_leads_to_its_defects_and_their_reports(browser: Reader, known: Document) -> None:
    cell = next(one for one in known["cells"] if len(one.get("defects", ())) == 2)
    address = "/".join(cell[name] for name in ("requirement", "backend", "device", "dtype"))
    tab = browser.page(render(from_document(known)), f"#cell/{address}")
    titles = {one["id"]: (one["title"], one["link"]) for one in known["defects"]}
    found = act(tab, "return all('tr.evidence ul li').map((one) => one.innerText)")
    links = act(tab, "return all('tr.evidence ul a').map((one) => one.getAttribute('href'))")
    told = [titles[name] for name in cell["defects"]]
    assert found == [title + (" upstream" if link else "") for title, link in told]
    assert {link for _, link in told if link} < set(links)
    tab.click(f"tr.evidence a[href='#finding/{cell['defects'][0]}']")
    tab.wait_for_selector(f"details[open][id='finding/{cell['defects'][0]}']")
    assert browser.console == []


def test_timings_are_drawn(browser: Reader, page: str) -> None:
    found = browser.open(
        page,
        """
        document.getElementById('timings').scrollIntoView();
        await until(() => all('#timing-chart .mark-symbol path').length);
        const dots = all('#timing-chart .mark-symbol path').length;
        const words = document.querySelector('#timing-chart').textContent;
        return [dots, words.includes('forward · float32 · 10⁶'), words.includes('limit')];
        """,
    )
    assert found == [8, True, True]
    assert browser.console == []


def test_names_with_separators_and_control_characters_are_drawn(
    browser: Reader, document: Document
) -> None:
    hostile = '\u202egnp\u2028\u2029\0\u200b x" onmouseover=alert(1) y="{{7*7}}${alert(1)}'
    text = json.dumps(document).replace('"torch"', json.dumps(hostile))
    results = from_document(json.loads(text))
    found = browser.open(
        render(results),
        """
        await drawn();
        document.getElementById('timings').scrollIntoView();
        await until(() => all('#timing-chart .mark-symbol path').length);
        return [all('#timing-chart .mark-symbol path').length, all('[onmouseover]').length,
          all('#curve-backends label').length];
        """,
    )
    assert found == [8, 0, 6]
    assert browser.console == []


def test_hostile_text_stays_text(browser: Reader, document: Document) -> None:
    hostile = '</script><img src=x onerror="console.error(1)"><b class="injected">'
    document["cells"][0] |= {"expected": False} | dict.fromkeys(("detail", "reason"), hostile)
    document["requirements"][0]["text"] = hostile
    found = browser.open(
        render(from_document(document)),
        "document.querySelector('#cell-table tr.row').click();"
        "return [all('.injected').length, document.querySelector('tr.evidence').textContent]",
    )
    assert found[0] == 0
    assert found[1].count(hostile) == 3
    assert browser.console == []


def test_a_keystroke_among_twenty_thousand_cells_takes_no_100_milliseconds(
    browser: Reader, builder: Callable[..., Document]
) -> None:
    document = builder(per_family=167, curve_points=10)
    assert len(document["cells"]) > 20_000
    page = browser.page(render(from_document(document)))
    milliseconds = act(
        page,
        """
        const field = document.getElementById('f-text');
        const took = [];
        for (const text of ['torch', 'torch f', 'torch fails', 'torch fails float32', 'float32']) {
          const begun = performance.now();
          field.value = text;
          field.dispatchEvent(new Event('input'));
          document.body.offsetHeight;
          took.push(performance.now() - begun);
          await tick();
        }
        return took;
        """,
    )
    # Of the clock: other processes of the machine may lengthen some.
    assert sorted(milliseconds)[1] < 100


def test_the_page_is_painted_within_a_second(
    browser: Reader, builder: Callable[..., Document]
) -> None:
    text = render(from_document(builder(per_family=167, curve_points=60)))
    assert len(text) > 1_000_000
    script = "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert min(browser.open(text, script) for _ in range(3)) < 1000


def test_a_cell_shows_how_many_results_have_which_error(
    browser: Reader, page: str, document: Document
) -> None:
    cell = next(c for c in document["cells"] if c["dtype"] == "float32" and c["ulp"])
    address = "/".join(cell[name] for name in ("requirement", "backend", "device", "dtype"))
    rows, caption, widths = browser.open(
        page,
        "return [all('.histogram tbody tr').map((row) => row.innerText.split('\\t')"
        ".map((word) => word.trim())), document.querySelector('.histogram caption').textContent,"
        " all('.histogram i').map((bar) => bar.getBoundingClientRect().width)]",
        fragment=f"#cell/{address}",
    )
    counts = cell["ulp"]["histogram"]
    assert [int(re.sub(r"\D", "", row[1])) for row in rows] == counts
    assert [rows[0][0], rows[1][0], rows[-1][0]] == ["at most ¼ ULP", "up to ½ ULP", "up to 16 ULP"]
    assert rows[0][2].startswith("91.5")
    assert caption.startswith("65\u202f530 results by their error")
    assert len(widths) == sum(map(bool, counts))
    assert min(widths) >= 2
    assert widths == sorted(widths, reverse=True)[:4] + widths[4:]
    other = address.replace("float32", "float64")
    act_other = "return all('.histogram').length"
    assert browser.open(page, act_other, fragment=f"#cell/{other}") == 0


def test_largest_errors_are_rounded_up(browser: Reader, page: str) -> None:
    tab = browser.page(page)
    numbers = "[0.500001, 4.0001, 4, 0.99996, 9999.99, 123456, 1.7976931348623157e308, null, 0]"
    shown = ["0.5001", "4.001", "4", "0.99996", "10000", "1.24e5", "1.80e308", "∞", "0"]
    assert act(tab, f"return {numbers}.map(report.atMost)") == shown
    assert act(tab, "return [4.0001, -1234567].map(report.number)") == ["4", "−1.23e6"]

"""The page in a real browser: from a file, without network, no error in its console.

Each test gives a copy of the page a script of its own, which acts as a reader would and writes what
it found into the document; the browser then prints that document. Where there is no browser the
tests skip and say so; where CI is set they fail.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document

Document = dict[str, Any]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Without network: every host name and address is refused.
    "--proxy-server=127.0.0.1:9",
    "--window-size=1400,1000",
    "--enable-logging=stderr",
    "--dump-dom",
)

# What the scripts of the tests work with.
TOOLS = """
const tick = () => new Promise((go) => setTimeout(go, 200));
const all = (what) => [...document.querySelectorAll(what)];
const note = (found) => {
  const box = document.createElement("pre");
  box.id = "found";
  box.textContent = JSON.stringify(found);
  document.body.append(box);
};
"""


class Browser:
    """Opens a page, lets a script act in it, and returns what the script found."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self.console: list[str] = []

    def open(self, page: str, script: str = "return null", fragment: str = "") -> Any:
        """Open ``page`` and run ``script``, the body of an async function, once it is loaded.

        The page's clock is virtual: it jumps to the next timer, and stands still in between.
        """
        hook = (
            "addEventListener('load', async () => { await tick(); "
            f"note(await (async () => {{ {script} }})()); }});"
        )
        return self._open(page, hook, fragment, "--virtual-time-budget=10000")

    def time(self, page: str, script: str) -> Any:
        """Open ``page`` and run ``script``, the body of a function, by the real clock."""
        return self._open(page, f"note((() => {{ {script} }})());", "")

    def _open(self, page: str, hook: str, fragment: str, *options: str) -> Any:
        head, end = page.rsplit("</body>", 1)
        path = self._folder / "report.html"
        script = f"<script>{{ {TOOLS} {hook} }}</script></body>"
        path.write_text(head + script + end, encoding="utf-8")
        profile = self._folder / f"profile-{len(list(self._folder.iterdir()))}"
        profile.mkdir()
        done = subprocess.run(
            [
                self._program,
                *OPTIONS,
                *options,
                f"--user-data-dir={profile}",
                f"{path.as_uri()}{fragment}",
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        self.console = re.findall(r":CONSOLE[:(][^\]]*\] (.*)", done.stderr)
        found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
        assert found, f"the page's script did not end; console: {self.console}"
        return json.loads(unescape(found[1]))


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        message = f"no browser: none of {', '.join(BROWSERS)} is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return Browser(program, tmp_path)


@pytest.fixture(scope="module")
def page(builder: Callable[..., Document]) -> str:
    return render(from_document(builder()))


def test_page_opens_without_an_error(browser: Browser, page: str) -> None:
    found = browser.open(
        page,
        "return [all('.grid-view:not([hidden]) .square').length, all('#cell-table tr.row').length,"
        " all('#chart svg path').length > 6, document.getElementById('cell-count').textContent,"
        " document.documentElement.scrollWidth <= innerWidth]",
    )
    assert found == [30, 100, True, "480 cells", True]
    assert browser.console == []


def test_an_error_in_the_console_would_be_seen(browser: Browser, page: str) -> None:
    browser.open(page, "console.error('planted'); return null")
    assert any("planted" in line for line in browser.console)
    browser.open(page.replace("const PAGE = 100;", "const PAGE = nothing;"))
    assert any("nothing is not defined" in line for line in browser.console)


def test_page_cannot_reach_a_network(browser: Browser, page: str) -> None:
    found = browser.open(
        page,
        "try { await fetch('http://127.0.0.1:9/'); return 'reached'; }"
        " catch (error) { return String(error); }",
    )
    assert "Failed to fetch" in found
    assert any("Content Security Policy" in line for line in browser.console)


def test_filters_narrow_the_table(browser: Browser, page: str, document: Document) -> None:
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


def test_square_leads_to_its_cells(browser: Browser, page: str, document: Document) -> None:
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


def test_deep_link_opens_the_evidence(browser: Browser, page: str, document: Document) -> None:
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
        "nan",
        "0x1.62e430p+4",
        "≈ 22.1807098",
        "∞",
    ):
        assert shown in text
    assert browser.console == []


def test_rows_open_and_close_and_sort(browser: Browser, page: str) -> None:
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


def test_grid_and_curves_follow_their_switches(browser: Browser, page: str) -> None:
    found = browser.open(
        page,
        """
        const views = () => all('.grid-view:not([hidden])').map((view) => view.dataset.dtype);
        const before = views();
        document.querySelector('input[name=grid-dtype][value=float64]').click();
        const shape = (path) => path.getAttribute('d');
        const lines = () => all('#chart path[stroke^="#"]').map(shape).join();
        const first = lines();
        const drawn = [first.length > 0];
        const choices = { quantity: 'grad_logits', target: '1', range: 'all', dtype: 'float64' };
        for (const [name, value] of Object.entries(choices)) {
          const earlier = lines();
          document.querySelector(`#curve-${name} input[value="${value}"]`).click();
          await tick();
          drawn.push(lines() !== earlier);
        }
        document.querySelector('#curve-backends input').click();
        await tick();
        const broken = lines().includes('NaN') || lines().includes('Infinity');
        return [before, views(), drawn, all('#chart .mark-line path').length, broken];
        """,
    )
    assert found == [[""], ["float64"], [True] * 5, 5, False]
    assert browser.console == []


def test_findings_of_one_backend_are_shown_and_a_link_opens_one(
    browser: Browser, known: Document
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
        const torch = shown().every((item) => item.dataset.backends.split(' ').includes('torch'));
        return [opened, every > shown().length, shown().length, torch];
        """,
        "#finding/torch-loss-cancels",
    )
    assert found == [["finding/torch-loss-cancels"], True, 4, True]
    assert browser.console == []


def test_timings_are_drawn(browser: Browser, page: str) -> None:
    found = browser.open(
        page,
        """
        const dots = all('#timing-chart .mark-symbol path').length;
        const words = document.querySelector('#timing-chart').textContent;
        return [dots, words.includes('forward · float32 · 10⁶'), words.includes('limit')];
        """,
    )
    assert found == [8, True, True]
    assert browser.console == []


def test_hostile_text_stays_text(browser: Browser, document: Document) -> None:
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


def test_ten_thousand_cells_stay_quick(browser: Browser, builder: Callable[..., Document]) -> None:
    document = builder(per_family=84, curve_points=10)
    assert len(document["cells"]) > 10_000
    milliseconds = browser.time(
        render(from_document(document)),
        """
        const clock = () => performance.now();
        const field = document.getElementById('f-text');
        const begun = clock();
        field.value = 'torch fails float32';
        field.dispatchEvent(new Event('input'));
        return clock() - begun;
        """,
    )
    assert milliseconds < 500

"""The page: self-contained, escaped, complete, and quick to make."""

import gzip
import json
import re
import time
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.reports import charts, html
from bce_conformance.reports.charts import vega_script
from bce_conformance.reports.grid import MARKS
from bce_conformance.reports.html import LEGEND, render, write
from bce_conformance.reports.packing import packed_cells
from bce_conformance.reports.pages.unmeasured import gaps
from bce_conformance.results.cells import VERDICTS
from bce_conformance.results.reading import from_document

Document = dict[str, Any]
HOSTILE = '</script><b id="injected">&amp;<!--'


class _Page(HTMLParser):
    """The page's tags with their attributes, and the text of its data scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: dict[str, str] = {}
        self._inside: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._inside = attributes.get("id") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data[self._inside] = self.data.get(self._inside, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def values(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(attribute))]


def _unpacked(text: str) -> str:
    return gzip.decompress(b64decode(text)).decode("utf-8")


@pytest.fixture(scope="module")
def page(builder: Callable[..., Document]) -> str:
    return render(from_document(builder()))


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    tags = _Page(page)
    assert tags.values("src") == []
    outward = [href for href in tags.values("href") if not href.startswith(("#", "data:"))]
    assert outward == []
    assert "default-src 'none'" in page
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_every_cell_and_requirement_is_in_the_page(document: Document) -> None:
    results = from_document(document)
    tags = _Page(render(results))
    packed = json.loads(_unpacked(tags.data["cell-data"]))
    assert packed == json.loads(json.dumps(packed_cells(results)))
    for order, cell in enumerate(document["cells"]):
        row = {name: column[order] for name, column in packed["columns"].items()}
        for name in ("requirement", "backend", "device", "dtype", "reason", "detail", "reproduce"):
            assert packed["texts"][row[name]] == cell[name]
        assert packed["verdicts"][row["verdict"]] == cell["verdict"]
        assert packed["texts"][row["standing"]] == ("as known" if cell["expected"] else "worse")
        assert packed["verdicts"][row["known"]] == "AAA"
        assert row["inputs"] == cell["inputs"]
        assert row["defects"] is None
        assert row["exhaustive"] == int(cell["evidence"] == "exhaustive")
        errors = dict(cell["ulp"] or {})
        assert row["histogram"] == errors.pop("histogram", None)
        assert row["ulp"] == ([None if v == "inf" else v for v in errors.values()] or None)
        worst = cell["worst"] and [*cell["worst"].values()]
        read = [v if v is None else packed["texts"][v] for v in row["worst"] or ()]
        assert (worst or []) == read
    ids = tags.values("id")
    assert {f"requirement/{r['id']}" for r in document["requirements"]} <= set(ids)
    assert len(ids) == len(set(ids))


def test_figures_of_errors_are_short_and_never_flatter(document: Document) -> None:
    errors = {"max": 1.7976931348623157e308, "p99": 1 / 3, "mean": 2 / 3}
    document["cells"][0]["ulp"] = errors | {"correctly_rounded": 0.99999999}
    packed = packed_cells(from_document(document))
    assert packed["columns"]["ulp"][0] == [errors["max"], 0.333333, 0.666667, 0.9999999]


@pytest.mark.parametrize(
    ("highest", "shown"),
    [(0.50000014, 0.500001), (4.0000001, 4.00001), (0.99999999, 0.99999999), (0.1, 0.1)],
)
def test_a_largest_error_is_never_rounded_down(
    document: Document, highest: float, shown: float
) -> None:
    document["cells"][0]["ulp"]["max"] = highest
    packed = packed_cells(from_document(document))
    assert packed["columns"]["ulp"][0][0] == shown


def test_every_square_of_the_grid_leads_to_its_cells(page: str) -> None:
    hrefs = _Page(page).values("href")
    squares = [href for href in hrefs if href.startswith("#cells?backend=")]
    assert len(squares) == len(set(squares)) == 6 * 5
    assert "not installed" in page


def test_a_newcomer_is_told_what_is_judged_and_why(page: str, document: Document) -> None:
    head = page[page.index("<header") : page.index("</header")]
    for text in (
        "softplus(−x)",
        "<b>AAA</b>: less than 1 unit in the last place",
        "A ledger keeps",
    ):
        assert text in head
    section = page[page.index('<section id="requirements"') : page.index('<section id="timings"')]
    whys = [r["why"] for r in document["requirements"] if "why" in r]
    assert section.count("<small>Why: ") == len(whys) == 16
    assert section.count("Why: Training meets it &lt;1&gt;.") == 4


def test_head_of_the_page_says_what_was_run(page: str) -> None:
    for text in (
        "51\u202f234\u202f567",
        "bce-conformance run --tier default",
        "AMD EPYC",
        "6d84712",
    ):
        assert text in page
    assert "every float32 logit (thorough)" in page
    assert "3 min 42 s" in page
    assert "2.13.0" in page
    assert "interrupted" not in page


def test_what_is_not_as_known_says_what_was_expected(document: Document) -> None:
    for cell in document["cells"]:
        cell["expected"] = True
    assert 'id="unexpected"' not in render(from_document(document))
    worse, version, stale = document["cells"][1], document["cells"][2], document["cells"][3]
    worse |= {"expected": False, "known": "AAA", "verdict": "timeout"}
    version |= {"better": True, "known": "crashed", "elsewhere": ["version"]}
    stale |= {"better": True, "known": "crashed"}
    page = render(from_document(document))
    section = page[page.index('<section id="unexpected"') : page.index('<section id="matrix"')]
    rows = re.findall(r"<tr><td>.*?</tr>", section)
    found = [re.findall(r"<td>(?:<[^>]*>)?([^<]*)(?:<[^>]*>)?</td>", row) for row in rows]
    dtype = ("bfloat16", "float32", "float64")
    assert [row[3:7] for row in found] == [
        [dtype[0], "AAA", "timeout", "worse"],
        [dtype[1], "crashed", "AAA", "better: another version"],
        [dtype[2], "crashed", "AAA", "better: stale entry"],
    ]
    assert "worse than known: 1; better than known: 1 (1 on another version)" in section


def test_a_run_that_goes_on_says_how_far_it_is(document: Document) -> None:
    document["run"]["interrupted"] = True
    results = from_document(document)
    shown = render(results, so_far_of=4321)
    assert f"So far: {len(results.cells)} of 4\N{NARROW NO-BREAK SPACE}321 cells" in shown
    assert "was interrupted" not in shown


def test_interrupted_run_says_so(document: Document) -> None:
    document["run"]["interrupted"] = True
    assert "The run was interrupted" in render(from_document(document))


def test_no_text_is_read_as_markup(document: Document) -> None:
    document["cells"][0] |= dict.fromkeys(("detail", "reason", "reproduce"), HOSTILE)
    document["cells"][0]["expected"] = False
    document["cells"][1]["device"] = HOSTILE
    document["requirements"][0]["text"] = HOSTILE
    document["backends"][0] |= {"version": HOSTILE, "status": HOSTILE}
    document["run"] |= {"id": HOSTILE, "tier": HOSTILE, "argv": [HOSTILE], "leaves_out": [HOSTILE]}
    document["timings"]["measurements"][0] |= {"series": HOSTILE, "group": HOSTILE}
    document["timings"]["measurements"][2]["status"] = HOSTILE
    document["timings"] |= {"commit": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    for table, field in (("requirements", "id"), ("backends", "id")):
        document[table][1][field] += HOSTILE
        for cell in [*document["cells"], *document["curves"], *document["maps"]]:
            name = table.removesuffix("s")
            if cell.get(name) == document[table][1][field].removesuffix(HOSTILE):
                cell[name] += HOSTILE
    page = render(from_document(document))
    assert "injected" in page
    assert '<b id="injected"' not in page
    assert "injected" not in _Page(page).values("id")
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == page.count("</script>") == 7 + len(html.SCRIPTS)
    assert json.loads(_unpacked(scripts[0]))["columns"]


def test_curves_and_timings_are_left_out_where_there_are_none(document: Document) -> None:
    both = render(from_document(document))
    timed = render(from_document(document | {"curves": []}))
    timings = document.pop("timings")
    curved = render(from_document(document))
    neither = render(from_document(document | {"curves": []}))
    assert ['id="curves"' in page for page in (both, timed, curved, neither)] == [1, 0, 1, 0]
    assert ['id="pareto-table"' in page for page in (both, timed, curved, neither)] == [1, 1, 0, 0]
    # The chart library is most of the page, and only a page with charts carries it.
    assert min(map(len, (both, timed, curved))) - len(neither) > 200_000
    for measurement in timings["measurements"]:
        measurement |= dict.fromkeys(("seconds", "low", "high", "ns_per_element"))
        measurement |= {"rounds": 0, "status": "not reached"}
    unmeasured = render(from_document(document | {"curves": [], "timings": timings}))
    assert 'id="timing-chart"' not in unmeasured
    assert "not reached" in unmeasured


def test_timings_show_figures_and_noise(page: str) -> None:
    section = page[page.index('<section id="timings"') : page.index('<section id="backends"')]
    for text in ("600 µs", "24 %", "forward · float32 · 10⁶", "1.050"):
        assert text in section, text
    assert "crashed: SIGSEGV" in section
    panels = json.loads(_unpacked(_Page(page).data["timing-data"]))
    rows = next(data["values"] for data in panels["data"] if "values" in data)
    assert len(rows) == 8
    assert {row["series"] for row in rows} == {"native", "torch", "native again", "limit"}


def test_infinite_errors_of_curves_are_null(page: str) -> None:
    packed = json.loads(_unpacked(_Page(page).data["curve-data"]))
    pairs = {c["backend"]: (packed["ulps"][c["ulps"]], packed["logits"][c["logits"]])
             for c in packed["curves"] if c["quantity"] == "loss"}  # fmt: skip
    assert {name for name, (ulps, _) in pairs.items() if None in ulps} == {"paddle"}
    assert all(len(ulps) == len(logits) for ulps, logits in pairs.values())
    assert len(packed["ulps"]) < len(packed["curves"])
    assert list(packed["looks"]) == ["native", "torch", "paddle", "tensorflow", "jax", "optax"]


def test_empty_run_renders(builder: Callable[..., Document]) -> None:
    document = builder(per_family=0) | {"curves": []}
    del document["timings"]
    assert "0 requirements" in render(from_document(document))


def test_every_verdict_is_explained() -> None:
    assert tuple(LEGEND) == tuple(MARKS) == VERDICTS


def test_what_was_not_measured_is_told_by_reason(document: Document) -> None:
    lacking = [c for c in document["cells"] if c["verdict"] in ("unsupported", "not measured")]
    assert lacking
    for turn, cell in enumerate(lacking):
        cell |= {"detail": f"refused: unsupported: no way {turn % 2}; and more", "reason": "other"}
    lacking[0] |= {"detail": "", "reason": ""}
    results = from_document(document)
    found = gaps(results)
    assert sum(len(gap.cells) for gap in found) == len(lacking)
    assert {gap.why for gap in found} == {"no way 0", "no way 1", "the run does not say why"}
    page = render(results)
    section = page[page.index('<section id="unmeasured"') : page.index('<section id="requirem')]
    for text in ("no way 1", "every float32 logit (thorough)", "torch:compile: not installed"):
        assert text in section
    assert f"{sum(c['verdict'] == 'unsupported' for c in lacking)} cells are unsupported" in section


def test_write_replaces_the_file(document: Document, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")
    results = from_document(document)
    write(results, path)
    assert path.read_text(encoding="utf-8") == render(results)


def test_where_vega_cannot_be_made_the_page_has_all_but_charts(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = from_document(document)
    assert 'id="curves"' in render(results)
    monkeypatch.setattr(html, "vega_script", lambda: None)
    page = render(results)
    assert 'id="curves"' not in page
    assert 'id="timing-chart"' not in page
    assert all(cell.requirement in page for cell in results.cells)


def test_four_thousand_cells_render_within_five_seconds(builder: Callable[..., Document]) -> None:
    document = builder(per_family=34, curve_points=200)
    results = from_document(document)
    assert len(results.cells) >= 4000
    vega_script.cache_clear()
    # Of the processor, not of the clock: the tests may share their machine.
    begun = time.process_time()
    render(results)
    assert time.process_time() - begun < 5


def test_vega_that_ends_its_process_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "_COMPILE", "{!r} and __import__('os').abort()")
    vega_script.cache_clear()
    assert vega_script() is None
    vega_script.cache_clear()


def test_vega_comes_without_what_compiles_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = charts._by_v8(charts._ALONE)
    whole = charts._by_v8(charts._WHOLE)
    assert alone is not None
    assert whole is not None
    assert len(alone) < 0.7 * len(whole)
    # A version of vl-convert that keeps Vega elsewhere: the page has all of it instead.
    monkeypatch.setattr(charts, "_ALONE", "1 / 0")
    monkeypatch.setattr(charts.cache, "kept_text", lambda _, make: make())
    vega_script.cache_clear()
    assert vega_script() == whole
    vega_script.cache_clear()


def test_the_time_of_an_interruption_is_no_part_of_a_run(document: Document) -> None:
    document["run"] |= {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-02T00:00:00Z"}
    document["run"]["seconds"] = {"measuring": 100.0, "start_up": 25.0}
    assert "2 min 5 s" in render(from_document(document))

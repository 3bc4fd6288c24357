"""Accuracy against speed: nobody beaten is in front, and the page shows it of every workload."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bce_conformance.cli import app
from bce_conformance.reports.figures.pareto import comparisons
from bce_conformance.reports.html import render
from bce_conformance.results.reading import from_document
from tests.reports.browsing import Reader, act

Document = dict[str, Any]
ROWS = "all('#pareto-table tbody tr').map((row) => [...row.cells].map((one) => one.textContent))"


@pytest.fixture
def timed(document: Document) -> Document:
    """Four backends at two workloads; torch is slower than native, jax faster and worse."""
    first = document["timings"]["measurements"]
    seconds = {"native": 6e-4, "torch": 2.7e-3, "jax": 4e-4, "paddle": 5e-3, "limit": 2e-4}
    document["timings"]["measurements"] = [
        one | {"status": "ok", "what": what, "series": series, "rounds": 5}
        | {"seconds": time, "low": time, "high": time, "ns_per_element": 1e3 * time}
        | {"to_limit": time / 2e-4}
        for what in ("forward", "gradient")
        for one, (series, time) in zip([first[0]] * 5, seconds.items(), strict=True)
    ]  # fmt: skip
    return document


def test_nobody_in_front_is_beaten_and_everybody_else_is(timed: Document) -> None:
    found = comparisons(from_document(timed))
    assert [one.title for one in found] == ["gradient · float32 · 10⁶", "forward · float32 · 10⁶"]
    standings = found[0].standings
    assert found[0].limit == pytest.approx(0.2)
    assert [one.backend for one in standings] == ["jax", "native", "torch", "paddle"]
    assert [one.front for one in standings] == [True, True, False, False]
    cells = [c for c in timed["cells"] if (c["backend"], c["dtype"]) == ("torch", "float32")]
    assert (standings[2].met, standings[2].measured) == (
        sum(cell["verdict"] in ("AA", "AAA") for cell in cells),
        len(cells),
    )


def test_what_was_not_measured_counts_neither_way(timed: Document) -> None:
    for cell in timed["cells"]:
        if cell["backend"] == "paddle":
            cell |= {"verdict": "unsupported", "ulp": None, "worst": None}
    assert "paddle" not in [one.backend for one in comparisons(from_document(timed))[0].standings]


def test_timings_stand_beside_cells_of_their_own_kind_of_device(timed: Document) -> None:
    wanted = ("torch", "float32")
    on_cpu = [c for c in timed["cells"] if (c["backend"], c["dtype"]) == wanted]
    timed["cells"] += [c | {"device": "cuda:1", "verdict": "fails", "inputs": 1} for c in on_cpu]
    for one in timed["timings"]["measurements"]:
        if one["what"] == "forward":
            one["device"] = "cuda"
    gradient, forward = comparisons(from_document(timed))
    torch = {one.backend: one for one in gradient.standings}["torch"]
    assert (torch.measured, torch.met > 0) == (len(on_cpu), True)
    assert [(one.backend, one.met, one.measured) for one in forward.standings] == [
        ("torch", 0, len(on_cpu))
    ]


def test_those_who_are_alike_in_both_are_both_in_front(timed: Document) -> None:
    for one in timed["timings"]["measurements"]:
        if one["series"] == "native":
            one["ns_per_element"] = 0.4
    for cell in timed["cells"]:
        cell |= {"verdict": "A", "inputs": 1}
    standings = comparisons(from_document(timed))[0].standings
    assert [one.front for one in standings] == [True, True, False, False]


def test_the_chart_has_every_backend_and_the_limit(browser: Reader, timed: Document) -> None:
    tab = browser.page(render(from_document(timed)), "#timings")
    act(tab, "timings.scrollIntoView(); await until(() => 'drawn' in timings.dataset);")
    marks = act(
        tab,
        "return [all('#pareto-chart .mark-symbol path').length,"
        " all('#pareto-chart .mark-rule.role-mark line').length,"
        " all('#pareto-chart .mark-text.role-mark text').map((one) => one.textContent).sort()]",
    )
    assert marks == [4, 1, ["jax", "memory limit", "native", "paddle", "torch"]]
    rows = act(tab, f"return {ROWS}")
    assert [row[:3] for row in rows[:2]] == [["jax", "0.4", "2"], ["native", "0.6", "3"]]
    assert [row[4] for row in rows] == ["yes", "yes", "", ""]
    tab.select_option("#pareto-workload", "1")
    assert "workload=forward" in tab.evaluate("location.hash")
    tab.go_back()
    assert tab.input_value("#pareto-workload") == "0"
    assert browser.console == []


def test_names_in_the_chart_cover_no_other(browser: Reader, timed: Document) -> None:
    for one in timed["timings"]["measurements"]:
        if one["series"] != "limit":
            one["ns_per_element"] = 0.5
    for cell in timed["cells"]:
        cell |= {"verdict": "A", "inputs": 1}
    tab = browser.page(render(from_document(timed)), "#timings")
    act(tab, "timings.scrollIntoView(); await until(() => 'drawn' in timings.dataset);")
    boxes = act(
        tab,
        "return all('#pareto-chart .mark-text.role-mark text')"
        ".map((one) => one.getBoundingClientRect().toJSON())",
    )
    assert len(boxes) == 5
    for turn, one in enumerate(boxes):
        for other in boxes[turn + 1 :]:
            beside = one["right"] <= other["left"] or other["right"] <= one["left"]
            assert beside or one["bottom"] <= other["top"] or other["bottom"] <= one["top"]


def test_a_run_without_timings_says_how_to_add_them(document: Document) -> None:
    del document["timings"]
    page = render(from_document(document))
    section = page[page.index('<section id="timings"') : page.index('<section id="backends"')]
    assert "bce-conformance bench --out DIR" in section
    assert "--timings OTHER" in section


def test_the_command_brings_in_the_timings_of_another_file(
    document: Document, tmp_path: Path
) -> None:
    run, bench = tmp_path / "run", tmp_path / "bench"
    for folder, kept in ((bench, document), (run, {**document})):
        folder.mkdir()
        if folder == run:
            kept.pop("timings")
        (folder / "results.json").write_text(json.dumps(kept), encoding="utf-8")
    before = (run / "results.json").read_bytes()
    done = CliRunner().invoke(app, ["report", str(run), "--timings", str(bench)])
    assert done.exit_code == 0
    assert 'id="pareto-table"' in (run / "report.html").read_text(encoding="utf-8")
    assert (run / "results.json").read_bytes() == before
    done = CliRunner().invoke(app, ["report", str(bench), "--timings", str(run)])
    assert done.exit_code == 2
    assert "which has none" in done.output

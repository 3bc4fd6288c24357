"""Exports: each format is well-formed, complete and takes hostile text."""

import csv
import io
import json
import math
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from bce_conformance import results as package
from bce_conformance.cli import app
from bce_conformance.commands.report import FormatName
from bce_conformance.reports.exports import badge, digest, junit, tables
from bce_conformance.reports.exports.formats import FORMATS
from bce_conformance.reports.findings import distinct
from bce_conformance.results import writing
from bce_conformance.results.model import COLUMNS
from bce_conformance.results.reading import from_document

Document = dict[str, Any]
HOSTILE = '</script><b>&"\x1b[31m|\\'
# What the schema of Jenkins' JUnit plugin allows, by element.
ALLOWED = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, {"testsuite"}),
    "testsuite": (
        {"name", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"},
        {"properties", "testcase"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"classname", "name", "time"}, {"skipped", "error", "failure", "system-out"}),
    "skipped": ({"message"}, set()),
    "error": ({"message", "type"}, set()),
    "failure": ({"message", "type"}, set()),
    "system-out": (set(), set()),
}


def check(element: ElementTree.Element) -> None:
    """Fail where an element has attributes or children that the usual schema has no place for."""
    attributes, children = ALLOWED[element.tag]
    assert set(element.keys()) <= attributes, element.tag
    for child in element:
        assert child.tag in children, (element.tag, child.tag)
        check(child)


def test_the_command_has_every_format() -> None:
    assert tuple(FormatName) == ("html", *FORMATS)


def test_junit_counts_what_is_worse(document: Document) -> None:
    for cell in document["cells"]:
        cell["expected"] = True
    torch = [cell for cell in document["cells"] if cell["backend"] == "torch"]
    torch[0] |= {"expected": False, "known": "AAA", "verdict": "A"}
    torch[1] |= {"expected": False, "known": "AAA", "verdict": "crashed"}
    torch[2] |= {"verdict": "unsupported", "detail": HOSTILE}
    root = ElementTree.fromstring(junit.text(from_document(document)))
    check(root)
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("480", "1", "1")
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["native", "torch", "paddle", "tensorflow", "jax", "optax"]
    suite = suites["torch"]
    cases = suite.findall("testcase")
    counted = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    found = [len(suite.findall(f"testcase/{tag}")) for tag in ("failure", "error", "skipped")]
    assert counted == [str(len(cases)), *map(str, found)]
    assert found[:2] == [1, 1]
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "expected AAA, found A"
    assert torch[0]["reproduce"] in (failure.text or "")
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == 480
    assert ("torch.cpu", "VAL-1[float16]") in names
    assert "�[31m" in (suite.findall("testcase/skipped")[0].get("message") or "")


def test_csv_has_a_row_a_cell_with_numbers(document: Document) -> None:
    document["cells"][0]["detail"] = HOSTILE + "\nand more"
    rows = list(csv.DictReader(io.StringIO(tables.comma_separated(from_document(document)))))
    assert len(rows) == 480
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["detail"] == HOSTILE + "\nand more"
    for row, cell in zip(rows, document["cells"], strict=True):
        assert (row["requirement"], row["verdict"]) == (cell["requirement"], cell["verdict"])
        if cell["ulp"] is None:
            assert row["ulp_max"] == ""
        else:
            assert float(row["ulp_max"]) == float(cell["ulp"]["max"])
    assert {row["version"] for row in rows if row["backend"] == "torch"} == {"2.13.0"}


def test_markdown_and_latex_have_matrix_and_findings(document: Document) -> None:
    document["cells"][1] |= {"verdict": "fails", "reason": "a | b_c 10⁻⁸ & 100 % \\x <b>"}
    results = from_document(document)
    text = tables.markdown(results)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    number = len(distinct(results))
    assert len(lines) == 2 + 7 + 2 + number
    assert len({re.sub(r"\\.", "", line).count("|") for line in lines[:9]}) == 1
    assert "a \\| b\\_c 10⁻⁸ & 100 % \\\\x &lt;b>" in text
    assert "| torch:compile | not installed |" in text
    latex = tables.latex(results)
    assert latex.count("\\begin{tabular}") == latex.count("\\end{tabular}") == 2
    told = "a \\textbar{} b\\_c 10$^{-}$$^{8}$ \\& 100 \\% \\textbackslash{}x"
    assert told in latex
    rows = [line for line in latex.splitlines() if line.endswith("\\\\")]
    assert len(rows) == 1 + 7 + 1 + number


def test_json_has_what_the_page_shows(document: Document) -> None:
    results = from_document(document)
    found = json.loads(digest.text(results))
    assert sum(found["counts"].values()) == 480
    assert found["matrix"]["native"]["VAL"] == {"worst": "AAA", "counts": {"AAA": 16}}
    assert found["worse"] == {
        "VAL-1/paddle/cpu/float64": "expected AAA, found timeout",
        "GRAD-3/paddle/cpu/float64": "expected AAA, found timeout",
    }
    assert [one["title"] for one in found["findings"]] == [w.text for w, _ in distinct(results)]
    assert found["backends"]["torch:compile"] == "not installed"


def test_a_badge_says_how_a_run_ended(document: Document) -> None:
    def value(changed: Document) -> str:
        root = ElementTree.fromstring(badge.text(from_document(changed)))
        title = root.find("{http://www.w3.org/2000/svg}title")
        assert title is not None
        assert title.text
        assert root.get("aria-label") == title.text
        return title.text

    assert value(document) == "bce-conformance: 6 backends, 2 worse than known"
    native = [cell for cell in document["cells"] if cell["backend"] == "native"]
    alone = document | {"cells": native}
    assert value(alone) == "bce-conformance: native AAA"
    native[0]["verdict"] = "fails"
    assert value(alone) == "bce-conformance: native fails"
    for cell in document["cells"]:
        cell["expected"] = True
    assert value(document) == "bce-conformance: 6 backends, as known"
    assert value(document | {"cells": []}) == "bce-conformance: not measured"
    interrupted = document | {"run": document["run"] | {"interrupted": True}}
    assert value(interrupted) == "bce-conformance: interrupted"


@pytest.mark.parametrize("name", FORMATS)
def test_hostile_text_and_empty_runs_are_taken(
    name: str, builder: Callable[..., Document], document: Document
) -> None:
    empty = from_document(builder(per_family=0) | {"cells": [], "curves": []})
    assert FORMATS[name].text(empty)
    document["backends"][1]["id"] += HOSTILE
    for entry in [*document["cells"], *document["curves"], *document["maps"]]:
        if entry["backend"] == "torch":
            entry["backend"] += HOSTILE
    for cell in document["cells"]:
        cell |= dict.fromkeys(("reason", "detail", "reproduce"), HOSTILE)
    document["run"]["commit"] = HOSTILE
    results = from_document(document)
    text = FORMATS[name].text(results)
    assert text == FORMATS[name].text(results)
    if name in ("junit", "badge"):
        ElementTree.fromstring(text)
    if name == "latex":
        assert "|" not in text.replace("\\textbar{}", "").split("\n", 1)[1]


def test_the_command_writes_what_is_asked_for(document: Document, tmp_path: Path) -> None:
    writing.write(from_document(document), tmp_path / "results.json")
    arguments = ["report", str(tmp_path), "--format", "junit", "--format=badge"]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert done.output == f"junit: {tmp_path / 'junit.xml'}\nbadge: {tmp_path / 'badge.svg'}\n"
    again = CliRunner().invoke(app, ["report", str(tmp_path / "results.json"), *arguments[2:]])
    assert "".join(again.output.split()) == "".join(done.output.split())
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "junit.xml", "badge.svg"}
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--format", "xml"])
    assert done.exit_code == 2
    (tmp_path / "cells.csv").mkdir()
    done = CliRunner().invoke(app, ["report", str(tmp_path), "--format", "csv"])
    assert done.exit_code == 2
    assert "cannot be written to" in done.output


def test_a_frame_has_the_rows(
    document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing.write(from_document(document), tmp_path / "results.json")
    found = package.read(tmp_path)
    assert found == package.read(tmp_path / "results.json")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas; rows"):
        found.to_frame()
    pandas = types.ModuleType("pandas")
    pandas.DataFrame = lambda rows, columns: (rows, columns)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    rows, columns = found.to_frame()
    assert columns == list(COLUMNS)
    assert [list(row) for row in rows] == [columns] * 480
    assert any(math.isinf(row["ulp_max"]) for row in rows if row["ulp_max"] is not None)
    assert all(row["ulp_max"] is None or isinstance(row["ulp_max"], float) for row in rows)

"""Findings: by defect, by harm, alike in the summary, the page and the command."""

import json
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from rich.console import Console
from typer.testing import CliRunner

from bce_conformance.cli import app
from bce_conformance.conformance.findings.reading import defects
from bce_conformance.reports.findings import distinct, findings
from bce_conformance.reports.html import render
from bce_conformance.reports.summary import summary
from bce_conformance.results import writing
from bce_conformance.results.reading import ResultsError, from_document, read

Document = dict[str, Any]
GRADIENT, LOSS, MEAN = "torch-gradient-saturates", "torch-loss-cancels", "torch-mean-overflows"


def test_the_most_harmful_come_first(known: Document) -> None:
    found = findings(from_document(known))["torch"]
    assert [one.defect and one.defect.id for one in found] == [GRADIENT, LOSS, MEAN, None]
    gradient, loss, mean, rounding = found
    assert gradient.words.startswith("only A in 1 cell, up to 0.5 ULP: The gradient for")
    assert loss.evidence == "met with others in 2 cells"
    assert (len(mean.cells), len(mean.shared)) == (3, 2)
    assert mean.evidence.startswith("fails in 3 cells")
    assert rounding.text == "rounding"
    told = "at x = 22.1807098, y = 0, p = 3: returned 0.99999994, exact -1"
    assert gradient.worst_input == told
    assert told in render(from_document(known))


def test_an_error_is_up_to_no_less_than_it_is(known: Document) -> None:
    cell = next(cell for cell in known["cells"] if cell["backend"] == "torch")
    cell["ulp"]["max"] = 4.0001
    found = findings(from_document(known))["torch"]
    assert found[0].evidence == "only A in 1 cell, up to 4.01 ULP"


def test_what_is_neither_known_nor_expected_comes_before_all(known: Document) -> None:
    torch = [cell for cell in known["cells"] if cell["backend"] == "torch"]
    torch[7] |= {"verdict": "A", "expected": False}
    first, second, *_ = findings(from_document(known))["torch"]
    assert (first.defect, first.cells[0].id) == (None, from_document(known).cells[87].id)
    assert second.defect
    assert second.defect.id == GRADIENT


def test_a_defect_of_two_backends_is_one_finding(known: Document) -> None:
    before = len(distinct(from_document(known)))
    compiled = known["backends"][-1]["id"]
    assert compiled == "torch:compile"
    cell = next(cell for cell in known["cells"] if cell["backend"] == "torch")
    known["cells"].append(cell | {"backend": compiled})
    optax = next(cell for cell in known["cells"] if cell["backend"] == "optax")
    optax |= {"verdict": "A", "defects": [GRADIENT]}
    found = distinct(from_document(known))
    assert len(found) == before
    assert list(found[0][1]) == ["torch", "optax", compiled]


def test_the_page_begins_with_the_findings(known: Document) -> None:
    page = render(from_document(known))
    section = page[page.index('<section id="findings"') : page.index('<section id="matrix"')]
    assert (
        page.index('<section id="findings"') < page.index("<section", page.index("<main") + 1) + 9
    )
    gradient = defects()[GRADIENT]
    for text in (gradient.title, gradient.computed, gradient.right, gradient.explain):
        assert str(escape(text)) in section
    assert str(escape(gradient.script)) in section
    for defect in (gradient, defects()["torch-mean-overflows"]):
        assert f'<a href="{defect.link}" rel="noreferrer">' in section
    assert "torch 2.13.0: only A in 1 cell, up to 0.5 ULP, such as" in section
    texts = [one.text for found in findings(from_document(known)).values() for one in found]
    assert all(str(escape(text)) in section for text in texts)
    native = "data-backends='[\"native\"]'"
    assert (native in section) == bool(findings(from_document(known))["native"])


def test_no_text_of_a_defect_is_read_as_markup(known: Document) -> None:
    hostile = '</script><b id="injected">'
    for field in ("title", "computed", "right", "source", "explain", "expected", "script"):
        known["defects"][0][field] = hostile
    page = render(from_document(known))
    assert '<b id="injected"' not in page
    assert str(escape(hostile)) in page
    known["defects"][0]["link"] = "javascript:alert(1)"
    with pytest.raises(ResultsError, match=r"defects\[0\]\.link"):
        from_document(known)


def test_a_cell_names_known_defects_only(known: Document) -> None:
    known["cells"][0]["defects"] = ["torch-nothing"]
    with pytest.raises(ResultsError, match=r"cells\[0\]\.defects\[0\]: 'torch-nothing' is not"):
        from_document(known)
    known["cells"][0]["defects"] = []
    known["defects"].append(known["defects"][0])
    with pytest.raises(ResultsError, match=r"defects\[3\]: has the same id as defects\[0\]"):
        from_document(known)


def test_defects_are_written_as_they_were_read(known: Document, tmp_path: Path) -> None:
    results = from_document(known)
    assert results.defects[0] == defects()[GRADIENT]
    writing.write(results, tmp_path / "results.json")
    assert read(tmp_path / "results.json") == results


def test_the_command_lists_those_of_a_run(known: Document, tmp_path: Path) -> None:
    writing.write(from_document(known), tmp_path / "results.json")
    arguments = ["findings", str(tmp_path), "--backend", "torch", "--json"]
    done = CliRunner().invoke(app, arguments)
    found = json.loads(done.output)
    assert [one.get("id") for one in found] == [GRADIENT, LOSS, MEAN, None]
    assert found[0]["evidence"] == {"torch": "only A in 1 cell, up to 0.5 ULP"}
    assert found[0]["reproduce"].startswith("bce-conformance reproduce VAL-1/torch/cpu/")
    done = CliRunner().invoke(app, ["findings", str(tmp_path)])
    assert done.output.startswith(f"{GRADIENT}, harm 192\n  The gradient for a positive")
    assert "  torch: only A in 1 cell" in done.output
    done = CliRunner().invoke(app, ["findings", str(tmp_path), "--backend", "mxnet"])
    assert (done.exit_code, "which is not in the run; it has native, torch" in done.output) == (
        2,
        True,
    )


def test_long_words_stay_within_80_columns(known: Document, tmp_path: Path) -> None:
    word = "float32" * 30
    for cell in known["cells"]:
        if cell["backend"] == "jax":
            cell |= {"verdict": "fails", "reason": f"not {word} at all", "defects": []}
    (tmp_path / "results.json").write_text(json.dumps(known), encoding="utf-8")
    done = CliRunner().invoke(app, ["findings", str(tmp_path), "--backend", "jax"])
    shown = Console(width=80, color_system=None, force_terminal=False)
    with shown.capture() as capture:
        shown.print(summary(from_document(known)), soft_wrap=True)
    assert done.exit_code == 0
    for text in (done.output, capture.get()):
        prose = [line for line in text.splitlines() if "bce-conformance" not in line]
        assert word in "".join("".join(prose).split())
        assert max(map(len, prose)) <= 80


def test_of_what_nobody_has_judged_the_usual_comes_first(known: Document) -> None:
    torch = [c for c in known["cells"] if (c["backend"], c["dtype"]) == ("torch", "float32")]
    own = {"expected": False, "defects": [], "reason": ""}
    unusual = next(cell for cell in torch if cell["requirement"].startswith("INF-"))
    unusual |= own | {"verdict": "fails"}
    usual = next(cell for cell in torch if cell["requirement"] == "GRAD-3")
    usual |= own | {"verdict": "A"}
    first, second, *_ = findings(from_document(known))["torch"]
    assert [one.worst.verdict for one in (first, second)] == ["A", "fails"]
    assert first.worst.requirement == "GRAD-3"


def test_a_listed_command_names_the_folder_of_its_run(known: Document, tmp_path: Path) -> None:
    writing.write(from_document(known), tmp_path / "results.json")
    entries = json.loads(
        CliRunner().invoke(app, ["findings", "list", str(tmp_path), "--json"]).stdout
    )
    assert all(f" --out {tmp_path}" in entry["reproduce"] for entry in entries)

"""The grid counts every cell once; the summary names what is not as expected."""

from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console, RenderableType

from bce_conformance.conformance.cells import VERDICTS, Cell
from bce_conformance.reports.grid import families, grid, square
from bce_conformance.reports.results import from_document
from bce_conformance.reports.summary import SHOWN, STYLES, summary, unexpected_cells

Document = dict[str, Any]


def _text(renderable: RenderableType, width: int = 160) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def _cell(verdict: str, expected: bool = True) -> Cell:
    blank: Any = {"reason": "", "inputs": 1, "evidence": "searched", "ulp": None, "worst": None}
    key: Any = {"requirement": "VAL-1", "backend": "torch", "device": "cpu", "dtype": "float32"}
    return Cell(**key, verdict=verdict, expected=expected, **blank, detail="", reproduce="")


def test_every_cell_is_in_exactly_one_square(document: Document) -> None:
    results = from_document(document)
    squares = grid(results)
    assert sum(one.total for one in squares.values()) == len(results.cells)
    assert families(results) == ("VAL", "INF", "GRAD", "BRD", "RED")
    by_dtype = [grid(results, dtype=dtype) for dtype in results.backends[0].dtypes]
    for key, one in squares.items():
        assert one.total == sum(part[key].total for part in by_dtype)
    assert grid(results, device="cuda") == {}


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (["AAA", "AA"], "AA"),
        (["A", "AAA", "fails"], "fails"),
        (["timeout", "fails"], "timeout"),
        (["AAA", "unsupported", "not measured"], "AAA"),
        (["unsupported", "not measured"], "not measured"),
        (["unsupported"], "unsupported"),
        ([], "not measured"),
    ],
)
def test_a_square_is_as_good_as_its_worst_measured_cell(verdicts: list[str], worst: str) -> None:
    assert square([_cell(verdict) for verdict in verdicts]).worst == worst


def test_every_verdict_has_a_style() -> None:
    assert tuple(STYLES) == VERDICTS


def test_summary_names_unexpected_cells_and_absent_backends(document: Document) -> None:
    results = from_document(document)
    text = _text(summary(results))
    assert [cell.requirement for cell in unexpected_cells(results)] == ["VAL-1", "GRAD-3"]
    assert "not as expected: 2" in text
    assert "2 not as expected" in text
    assert "GRAD-3" in text
    assert "not installed" in text
    assert "480 cells" in text
    assert "51,234,567 inputs tried, tier default" in text
    assert "interrupted" not in text


def test_summary_says_when_all_is_as_expected_and_when_interrupted(document: Document) -> None:
    for cell in document["cells"]:
        cell["expected"] = True
    document["run"]["interrupted"] = True
    text = _text(summary(from_document(document)))
    assert "every cell is as expected" in text
    assert "not as expected" not in text
    assert "interrupted" in text


def test_more_than_the_shown_are_counted(document: Document) -> None:
    for cell in document["cells"][: SHOWN + 7]:
        cell["expected"] = False
    text = _text(summary(from_document(document)))
    assert "and 9 more" in text  # 37 here, and the two that the document has anyway


def test_brackets_of_a_detail_are_text(document: Document) -> None:
    document["cells"][0] |= {"expected": False, "detail": "shape [bold]x[/bold] [/]"}
    assert "[bold]x[/bold] [/]" in _text(summary(from_document(document)))


def test_a_narrow_terminal_shortens_details_only(document: Document) -> None:
    document["cells"][0] |= {"expected": False, "detail": "a long story " * 20}
    lines = _text(summary(from_document(document)), width=80).splitlines()
    (line,) = [line for line in lines if "a long story" in line]
    assert line.startswith("│ VAL-1 native cpu float16  │ AAA     │ a long story a long story")
    assert "…" in line


def test_summary_of_an_empty_run(builder: Callable[..., Document]) -> None:
    document = builder(per_family=0)
    text = _text(summary(from_document(document | {"cells": [], "curves": []})))
    assert "0 cells" in text


def test_timings_are_summed_up(document: Document) -> None:
    text = _text(summary(from_document(document)))
    assert "timings of 2026-11-21 23:00: 10 measurements; goals: 1 met, 1 missed" in text
    document["timings"] |= {"interrupted": True, "goals": []}
    assert "10 measurements; interrupted" in _text(summary(from_document(document)))

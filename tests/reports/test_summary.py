"""The grid counts every cell once; the summary reads well and names what is not as known."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from bce_conformance.reports.findings import findings
from bce_conformance.reports.grid import FAMILIES, families, grid, square
from bce_conformance.reports.summary import SHOWN, STYLES, folded, summary
from bce_conformance.results.cells import VERDICTS, Cell
from bce_conformance.results.reading import from_document

Document = dict[str, Any]


def _text(renderable: RenderableType, width: int = 160) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable, soft_wrap=True)
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


def test_summary_names_what_is_worse_and_absent_backends(document: Document) -> None:
    for cell in document["cells"]:
        cell["known"] = "AA" if not cell["expected"] else "AAA"
    text = _text(summary(from_document(document), Path("out")))
    assert "worse than known: 2\n" in text
    assert "ledger check out\n" in text
    assert "VAL-1/paddle/cpu/float64: expected AA, found timeout\n" in text
    assert "GRAD-3/paddle/cpu/float64: expected AA, found timeout\n" in text
    assert text.rstrip().splitlines()[-1] == (
        "next: bce-conformance reproduce VAL-1/paddle/cpu/float64 --out out"
    )
    assert re.search(r"^torch:compile +not installed$", text, re.MULTILINE)
    assert "480 cells" in text
    assert "51,234,567 inputs tried, tier default" in " ".join(text.split())
    assert "interrupted" not in text


def test_better_cells_are_told_apart(document: Document) -> None:
    for cell in document["cells"]:
        cell["expected"] = True
    known: Any = {"better": True, "known": "A"}
    for cell, where in zip(
        document["cells"],
        (["version"], ["version"], ["instruction set"], ["version", "instruction set"], []),
        strict=False,
    ):
        cell |= known | {"elsewhere": where}
    text = " ".join(_text(summary(from_document(document), Path("out"))).split())
    assert "worse than known" not in text
    assert (
        "better than known: 4 (2 on another version, 1 on another instruction set, "
        "1 on another version and instruction set)"
    ) in text
    assert "better where the ledger was measured, so that its entry is stale: 1" in text
    assert "VAL-1/native/cpu/float16: expected A, found AAA" in text
    assert "next: bce-conformance ledger update out" in text


@pytest.mark.parametrize(
    ("stale", "update"),
    [("native", "ledger update out\n"), ("mine:Own", "ledger update out --ledger own.toml\n")],
)
def test_commands_about_a_run_have_its_ledger(document: Document, stale: str, update: str) -> None:
    document["run"]["argv"] = ["bce-conformance", "run", "--ledger=own.toml", "--claims", "AA"]
    for cell in document["cells"]:
        cell["expected"] = True
    document = json.loads(json.dumps(document).replace('"native"', json.dumps(stale)))
    document["cells"][0] |= {"better": True, "known": "A", "elsewhere": []}
    text = _text(summary(from_document(document), Path("out")))
    assert f"next: bce-conformance {update}" in text
    document["cells"][0] |= {"expected": False, "better": False}
    text = _text(summary(from_document(document), Path("out")))
    assert "ledger check out --ledger own.toml --claims AA\n" in text
    assert text.rstrip().endswith("--out out --ledger own.toml --claims AA")


def test_the_benchmark_is_for_the_folder_of_the_run(document: Document) -> None:
    for cell in document["cells"]:
        cell["expected"] = True
    document["run"] |= {"tier": "thorough"}
    document.pop("timings", None)
    text = _text(summary(from_document(document), Path("big runs")))
    assert "next: bce-conformance bench --out 'big runs'\n" in text
    text = _text(summary(from_document(document), Path("reports/out")))
    assert "next: bce-conformance bench\n" in text


def test_summary_says_when_all_is_as_known_and_when_interrupted(document: Document) -> None:
    for cell in document["cells"]:
        cell["expected"] = True
    text = _text(summary(from_document(document)))
    assert "every cell is as known" in text
    assert "next: bce-conformance run --tier=thorough\n" in text
    assert "interrupted" not in text
    document["run"]["interrupted"] = True
    text = _text(summary(from_document(document)))
    assert "interrupted" in text
    assert "next: bce-conformance run --tier default --resume\n" in text


@pytest.mark.parametrize("option", ["--resume", "--overwrite"])
def test_the_next_tier_is_no_resumption_and_overwrites_nothing(
    document: Document, option: str
) -> None:
    for cell in document["cells"]:
        cell["expected"] = True
    document["run"]["argv"] = ["bce-conformance", "run", "--out", "there", option]
    text = _text(summary(from_document(document)))
    assert "next: bce-conformance run --out there --tier=thorough\n" in text


def test_more_than_the_shown_are_counted(document: Document) -> None:
    for cell in document["cells"][: SHOWN + 7]:
        cell["expected"] = False
    text = _text(summary(from_document(document)))
    assert "  and 9 more\n" in text  # 17 here, and the two that the document has anyway


def test_what_fails_comes_first_and_what_is_not_taken_is_one_line(document: Document) -> None:
    torch = [cell for cell in document["cells"] if cell["backend"] == "torch"]
    for cell in document["cells"]:
        cell["expected"] = True
    for cell in torch[: SHOWN + 3]:
        cell |= {"expected": False, "verdict": "unsupported", "detail": "takes no float16 logits"}
    refused = "class refused: unsupported: its adapter has no interface; and more"
    torch[SHOWN + 3] |= {"expected": False, "verdict": "unsupported", "detail": refused}
    torch[SHOWN + 4] |= {"expected": False, "verdict": "A"}
    torch[SHOWN + 5] |= {"expected": False, "verdict": "fails"}
    text = _text(summary(from_document(document)))
    named = re.findall(r"^  \S+: expected AAA, found (.+)$", text, re.MULTILINE)
    assert named == ["fails", "A"]
    first, one = torch[0]["requirement"], torch[SHOWN + 3]["requirement"]
    cells = f"{SHOWN + 3} cells, such as of {first}"
    assert f"  torch: unsupported in {cells}: takes no float16 logits\n" in text
    assert f"  torch: unsupported in a cell of {one}: its adapter has no interface\n" in text
    assert "more\n" not in text
    assert f"next: bce-conformance reproduce {torch[SHOWN + 5]['requirement']}/torch/cpu/" in text


def test_the_worst_two_findings_are_named(document: Document) -> None:
    """By verdict, then number of cells, then error; a mechanism is one finding over its cells."""
    torch = [cell for cell in document["cells"] if cell["backend"] == "torch"]
    for cell in torch:
        cell |= {"verdict": "AAA", "reason": ""}
    fields = ("verdict", "reason", "ulp")
    ulp = {"p99": 1.0, "mean": 1.0, "correctly_rounded": 0.5}
    for cell, *values in (
        (torch[0], "AA", "many.", 1e9),
        (torch[1], "A", "twice. Not here", 10.0),
        (torch[2], "A", "twice. Not here", 20.0),
        (torch[3], "A", "once", 30.0),
        (torch[4], "A", "", 40.0),
        (torch[5], "fails", "bad", 2.0),
        (torch[6], "AA", "many.", 2.0),
        (torch[7], "AA", "many.", 2.0),
    ):
        cell |= dict(zip(fields, values, strict=True)) | {"ulp": ulp | {"max": values[2]}}
    results = from_document(document)
    found = findings(results)
    assert [one.words for one in found["torch"]] == [
        "fails in 1 cell, up to 2 ULP: bad",
        "only A in 2 cells, up to 20 ULP: twice.",
        f"only A in 1 cell, up to 40 ULP: falls short of VAL-2: {results.requirements[1].text}",
        "only A in 1 cell, up to 30 ULP: once",
        "only AA in 3 cells, up to 1e+09 ULP: many.",
    ]
    assert found["native"] == []
    text = _text(summary(results))
    assert "native: AAA wherever measured\n" in text
    short = [c for c in results.cells if c.verdict not in ("AAA", "unsupported", "not measured")]
    assert sum(len(one.cells) for all_ in found.values() for one in all_) == len(short)
    start = text.index("torch: 2 of 5 findings")
    assert text[start:].splitlines()[1:5] == [
        "  fails in 1 cell, up to 2 ULP: bad",
        "    bce-conformance reproduce VAL-2/torch/cpu/bfloat16",
        "  only A in 2 cells, up to 20 ULP: twice.",
        "    bce-conformance reproduce VAL-1/torch/cpu/float32",
    ]


LOCATIONS = ("", ":compile", "@isa=x86-64-v3", ":compile@isa=x86-64-v3")
ALL_FAMILIES = tuple(FAMILIES)


def _large(document: Document) -> Document:
    """20 backends and all families, every word that a line may hold as long as it gets."""
    frameworks = ("torch", "tensorflow", "jax", "paddle", "optax")
    backends = [framework + location for framework in frameworks for location in LOCATIONS]
    template, cell = document["backends"][0], document["cells"][0]
    document["backends"] = [template | {"id": name} for name in backends]
    document["requirements"] = [
        {"id": f"{family}-1", "family": family, "text": "It is so. " * 40}
        for family in ALL_FAMILIES
    ]
    document["cells"] = [
        cell
        | {"requirement": f"{family}-1", "backend": name, "dtype": dtype, "verdict": "fails"}
        | {"reason": f"{family} of {name}: " + "an unhurried explanation " * 6}
        | {"expected": dtype != "float16", "known": "AA"}
        for name in backends
        for family in ALL_FAMILIES
        for dtype in ("float16", "bfloat16", "float32")
    ]
    return document | {"curves": [], "maps": []}


def test_a_large_run_fits_80_columns_and_a_few_screens(document: Document) -> None:
    text = _text(summary(from_document(_large(document)), Path("reports/out")), width=80)
    lines = text.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert len(lines) <= 160  # four screens
    # Nothing is cut: what was broken into lines reads the same when they are joined.
    whole = re.sub(r"\s+", " ", text)
    assert "only" not in whole
    for name in ("VAL of torch: an unhurried", "reproduce VAL-1/paddle:compile@isa=x86-64-v3/cpu/"):
        assert name in whole
    assert lines[0].split() == list(ALL_FAMILIES)
    at = next(i for i, line in enumerate(lines) if re.match(r"tensorflow +F! +F!", line))
    assert lines[at + 1].split() == ["0", "AAA,", "0", "AA,", "0", "A,", "42", "<A"]


def test_with_one_family_less_the_numbers_stand_beside(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ALL_FAMILIES", ALL_FAMILIES[:-1])
    text = _text(summary(from_document(_large(document)), Path("reports/out")), width=80)
    lines = text.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert lines[0].split() == [*ALL_FAMILIES, "AAA", "AA", "A", "<A"]
    assert re.search(r"^tensorflow +F! +F!", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("backend", "lines"),
    [
        ("tensorflow:xla", ["tensorflow:xla"]),
        ("torch@isa=x86-64-v3", ["torch", "@isa=x86-64-v3"]),
        ("tensorflow:xla@isa=x86-64-v3", ["tensorflow:xla", "@isa=x86-64-v3"]),
        ("torch@python=/opt/some/where/else/bin/python", ["torch@python", "…", "/bin/python"]),
    ],
)
def test_names_are_folded_where_their_parts_meet(backend: str, lines: list[str]) -> None:
    assert folded(backend, 14) == lines


def test_brackets_of_a_reason_are_text(document: Document) -> None:
    document["cells"][80] |= {"verdict": "crashed", "reason": "shape [bold]x[/bold] [/]"}
    assert "[bold]x[/bold] [/]" in _text(summary(from_document(document)))


def test_summary_of_an_empty_run(builder: Callable[..., Document]) -> None:
    document = builder(per_family=0)
    text = _text(summary(from_document(document | {"cells": [], "curves": []})))
    assert "0 cells" in text


def test_timings_are_summed_up(document: Document) -> None:
    text = _text(summary(from_document(document)))
    assert "timings of 2026-11-21 23:00: 10 measurements\n" in text
    document["timings"]["interrupted"] = True
    assert "10 measurements; interrupted" in _text(summary(from_document(document)))


def test_no_word_is_broken_to_fit(document: Document) -> None:
    path = "torch@python=/opt/" + "a-rather-long-folder/" * 4 + "bin/python"
    document["backends"][0]["id"] = path
    for cell in document["cells"][:80]:
        cell["backend"] = path
    for cell in document["cells"]:
        cell["expected"] = True
    document["cells"][0] |= {"expected": False, "verdict": "A"}
    text = _text(summary(from_document(document | {"curves": [], "maps": []})), width=80)
    assert f"  VAL-1/{path}/cpu/float16:\n" in text
    assert f"next: bce-conformance reproduce VAL-1/{path}/cpu/float16\n" in text

"""The page of a history: cells over releases, what moved first, nothing read as markup."""

import copy
from pathlib import Path
from typing import Any

import pytest

from bce_conformance.reports.pages.history import counts, render, rows, write
from tests.reports.browsing import Reader
from tests.reports.test_accessible import violations

HISTORY: dict[str, Any] = {
    "backend": "optax",
    "tier": "quick",
    "releases": [
        {"release": "0.2.0", "left_out": None, "measured": True, "started": "2026-11-29T03:00:00Z"},
        {"release": "0.2.1", "left_out": "pip: no wheel <b>", "measured": False},
        {"release": "0.2.2", "left_out": None, "measured": True, "instruction_set": "x86-64-v4"},
        {"release": "0.2.3", "left_out": None, "measured": False},
        {"release": "0.2.4", "left_out": None, "measured": True},
    ],
    "cells": [
        {
            "cell": f"{name}/optax/cpu/float32",
            "by_release": {
                release: {"verdict": verdict, "ulp_max": ulp}
                for release, (verdict, ulp) in zip(("0.2.0", "0.2.2", "0.2.4"), seen, strict=True)
            },
        }
        for name, seen in {
            "VAL-1": [("AAA", 0.5)] * 3,
            "GRAD-3": [("A", "inf"), ("AA", 3.25), ("AA", 3.25)],
            "<i>VAL-2": [("AA", 2.0), ("AA", 2.0), ("fails", None)],
        }.items()
    ],
    "moves": [
        {
            "release": release,
            "before": before,
            "or": between,
            "cell": f"{name}/optax/cpu/float32",
            "moved": moved,
            "distance": "error × 12; worst after at x = 20, y = 1",
        }
        for release, before, between, name, moved in (
            ("0.2.2", "0.2.0", ["0.2.1"], "GRAD-3", "better"),
            ("0.2.4", "0.2.2", [], "<i>VAL-2", "worse"),
        )
    ],
}


def test_what_became_worse_comes_first_and_what_stayed_last() -> None:
    found = rows(HISTORY)
    assert [row.cell.split("/")[0] for row in found] == [["<i>VAL-2"][0], "GRAD-3", "VAL-1"]
    assert [row.moved for row in found] == [{"0.2.4": "worse"}, {"0.2.2": "better"}, {}]
    assert counts(HISTORY)["0.2.4"] == {"AAA": 1, "AA": 1, "fails": 1}


def test_the_page_has_every_cell_and_release_and_no_markup_of_theirs() -> None:
    page = render(HISTORY)
    assert page == render(copy.deepcopy(HISTORY))
    assert "<i>" not in page
    assert "no wheel <b>" not in page
    for text in (
        *("&lt;i&gt;VAL-2", "GRAD-3/optax", "0.2.1: pip: no wheel", "∞ ULP", "3.25 ULP"),
        *("or 0.2.1, which could not be measured", "1 releases were not measured", "tier quick"),
    ):
        assert text in page, text
    assert "<script" not in page


def test_a_document_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="document has no 'moves'"):
        render({"backend": "optax", "releases": [], "cells": []})
    damaged = copy.deepcopy(HISTORY)
    damaged["cells"][0]["by_release"]["0.2.2"]["verdict"] = "fine"
    with pytest.raises(ValueError, match=r"VAL-1/optax/cpu/float32 in 0\.2\.2: 'fine' is not one"):
        write(damaged, tmp_path / "history.html")
    assert not (tmp_path / "history.html").exists()


@pytest.mark.parametrize("width", [390, 1400])
def test_axe_finds_no_violation(width: int, browser: Reader) -> None:
    options = {"viewport": {"width": width, "height": 800}}
    tab = browser.page(render(HISTORY), wait=False, **options)
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") == width

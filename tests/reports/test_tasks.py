"""Tasks are called no safer than their worst cell, and rest on requirements that there are."""

from dataclasses import replace
from typing import Any

import pytest

from bce_conformance.conformance.specification import requirements
from bce_conformance.reports.html import render
from bce_conformance.reports.tasks import ANSWERS, Task, answer, answers, tasks
from bce_conformance.results.cells import DTYPES, VERDICTS
from bce_conformance.results.reading import from_document

Document = dict[str, Any]


def test_tasks_rest_on_requirements_and_formats_that_there_are() -> None:
    known = set(requirements())
    assert len(tasks()) == 6
    for task in tasks():
        assert set(task.requirements) <= known
        assert len(set(task.requirements)) == len(task.requirements) >= 3
        assert set(task.dtypes) <= set(DTYPES)
    assert tuple(ANSWERS) == VERDICTS


@pytest.mark.parametrize(
    ("verdicts", "word", "met"),
    [
        (["AAA", "AA"], "safe", 2),
        (["AAA", "unsupported"], "safe", 1),
        (["AAA", "not measured"], "safe so far", 1),
        (["AA", "absent", "absent"], "safe so far", 1),
        (["A", "absent"], "with care", 0),
        (["AAA", "A", "unsupported"], "with care", 1),
        (["AAA", "fails", "not measured"], "not safe", 1),
        (["AAA", "timeout", "fails"], "not safe", 1),
        (["unsupported", "unsupported"], "not offered", 0),
        (["unsupported", "not measured"], "not measured", 0),
        ([], "not measured", 0),
    ],
)
def test_a_task_is_as_safe_as_its_worst_cell(
    verdicts: list[str], word: str, met: int, document: Document
) -> None:
    cell = from_document(document).cells[0]
    names = tuple(f"VAL-{number}" for number, _ in enumerate(verdicts))
    cells = [
        replace(cell, requirement=name, verdict=verdict)
        for name, verdict in zip(names, verdicts, strict=True)
        if verdict != "absent"
    ]
    found = answer(Task("", "", (cell.dtype,), names), cells)
    assert (found.word, found.met) == (word, met)
    assert found.measured + found.lacking == len(verdicts)


def test_only_cells_of_the_task_s_requirements_and_formats_count(document: Document) -> None:
    for cell in document["cells"]:
        cell |= {"verdict": "AAA", "inputs": max(1, cell["inputs"])}
    at = {(c["requirement"], c["backend"], c["dtype"]): c for c in document["cells"]}
    at["VAL-1", "torch", "float64"]["verdict"] = "fails"
    at["GRAD-2", "jax", "float32"]["verdict"] = "A"
    found = answers(from_document(document))
    assert found["torch"]["hard targets"].word == "safe so far"
    assert found["jax"]["hard targets"].word == "with care"
    assert found["jax"]["hard targets"].worst is not None
    assert found["jax"]["soft targets"].word == "safe so far"
    assert (found["jax"]["soft targets"].measured, found["jax"]["soft targets"].lacking) == (2, 5)
    page = render(from_document(document))
    section = page[page.index('<section id="tasks"') : page.index('<section id="matrix"')]
    assert "not measured or offered" in section
    assert 'href="#cell/GRAD-2/jax/cpu/float32"' in section


def test_a_run_without_a_task_s_cells_has_no_such_section(document: Document) -> None:
    document["cells"] = [c for c in document["cells"] if c["requirement"] == "VAL-8"]
    document["cells"] += [c | {"requirement": "INF-2"} for c in document["cells"][:1]]
    assert 'id="tasks"' not in render(from_document(document))

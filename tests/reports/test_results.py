"""The reader accepts what the format allows, refuses everything else, and says where."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from bce_conformance.backends import calls
from bce_conformance.results import cells, writing
from bce_conformance.results.cells import VERDICTS
from bce_conformance.results.reading import SCHEMA_PATH, ResultsError, from_document, read, validate

Document = dict[str, Any]
Damage = Callable[[Document], object]


def _set(*path: Any) -> Damage:
    """The damage of putting the last of ``path`` where the others lead."""
    *steps, last, value = path

    def damage(document: Document) -> None:
        target: Any = document
        for step in steps:
            target = target[step]
        target[last] = value

    return damage


def _drop(*path: Any) -> Damage:
    *steps, last = path

    def damage(document: Document) -> None:
        target: Any = document
        for step in steps:
            target = target[step]
        del target[last]

    return damage


def test_schema_is_itself_valid_and_describes_every_field() -> None:
    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    jsonschema_rs.meta.validate(schema)

    def undescribed(node: Any, where: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        missing = []
        for table in ("properties", "$defs"):
            for name, field in node.get(table, {}).items():
                here = f"{where}.{name}"
                described = "description" in field or "$ref" in field
                missing += [] if described else [here]
                missing += undescribed(field, here)
        return missing + undescribed(node.get("items"), f"{where}[]")

    # The two conditional sub-schemas restate fields; everything else stands on its own.
    assert undescribed(schema, "") == []
    assert schema["$defs"]["verdict"]["enum"] == list(VERDICTS)


def test_realistic_document_is_read_back_as_written(document: Document, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    results = read(path)
    assert {cell.verdict for cell in results.cells} == set(VERDICTS)
    assert len(results.cells) == len(document["cells"])
    for cell, entry in zip(results.cells, document["cells"], strict=True):
        assert cell.place == tuple(entry[k] for k in ("requirement", "backend", "device", "dtype"))
        assert (cell.ulp is None) == (entry["ulp"] is None)
        assert (cell.worst is None) == (entry["worst"] is None)
    failing = next(cell for cell in results.cells if cell.verdict == "fails")
    assert failing.ulp is not None
    assert math.isinf(failing.ulp.max)
    assert failing.worst is not None
    assert (failing.worst.weight, failing.worst.pos_weight) == (None, "0x1.8p+1")
    assert results.run.host.cores == 2
    assert results.backends[0].devices[0].kind == "cpu"
    assert any(math.isinf(ulp) for curve in results.curves for _, ulp in curve.points)
    assert results.run.leaves_out == ("every float32 logit (thorough)",)


def test_what_is_written_is_what_was_read(document: Document) -> None:
    """To read and to write adds what was absent and has a value nonetheless; the rest stays."""
    results = from_document(document)
    again = writing.document(results)
    assert from_document(again) == results
    assert writing.document(from_document(again)) == again
    for name, entries in document.items():
        if isinstance(entries, list):
            written = [entry.items() for entry in again[name]]
            assert all(a.items() <= b for a, b in zip(entries, written, strict=True)), name


def test_what_was_not_recorded_is_not_written(document: Document) -> None:
    del document["timings"], document["run"]["seed"]
    written = writing.document(from_document(document))
    assert "timings" not in written
    assert "seed" not in written["run"]
    assert "seconds" not in written["run"]


def test_a_command_line_that_is_no_utf_8_is_written_out(document: Document, tmp_path: Path) -> None:
    results = from_document(document)
    argv = ("run", "--out", "/tmp/ü" + os.fsdecode(b"\xff"))
    writing.write(replace(results, run=replace(results.run, argv=argv)), tmp_path / "r.json")
    assert read(tmp_path / "r.json").run.argv == ("run", "--out", "/tmp/ü\\udcff")


def test_goals_that_earlier_versions_wrote_are_left_out(document: Document) -> None:
    goal = {"goal": "µs", "bound": 5.0, "at_most": True, "figure": None, "verdict": "not measured"}
    document["timings"]["goals"] = [goal]
    written = writing.document(from_document(document))
    assert len(written["timings"]["measurements"]) == 10
    assert "goals" not in written["timings"]


def test_formats_and_operands_are_those_of_the_schema_and_of_the_backends() -> None:
    definitions = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))["$defs"]
    assert definitions["dtype"]["enum"] == list(cells.DTYPES) == list(calls.DTYPES)
    assert (*calls.OPERANDS, "cotangent", "tangent") == cells.OPERANDS
    fields = definitions["witness"]["properties"]
    assert [name for name in fields if name in cells.OPERANDS] == list(cells.OPERANDS)


def test_optional_fields_have_documented_values_when_absent(document: Document) -> None:
    for name in ("curves", "timings"):
        del document[name]
    for name in ("interrupted", "inputs", "seed", "leaves_out"):
        del document["run"][name]
    results = from_document(document)
    assert results.curves == ()
    assert results.timings is None
    assert results.run.interrupted is False
    assert results.run.inputs == sum(cell["inputs"] for cell in document["cells"])
    assert results.run.seed is None
    assert results.run.leaves_out == ()


DAMAGES = {
    "verdict": (_set("cells", 12, "verdict", "AAAA"), "cells[12].verdict: 'AAAA' is not one of"),
    "missing": (_drop("cells", 3, "reason"), 'cells[3]: "reason" is a required property'),
    "misspelt": (_set("cells", 3, "verdicts", "AA"), "cells[3]: Additional properties"),
    "nested": (_set("cells", 0, "ulp", "max", "huge"), "cells[0].ulp.max: "),
    "negative": (_set("cells", 0, "ulp", "p99", -1), "cells[0].ulp.p99: "),
    "overflow": (_set("cells", 0, "ulp", "p99", math.inf), "cells[0].ulp.p99: "),
    "share": (_set("cells", 0, "ulp", "correctly_rounded", 1.5), "cells[0].ulp.correctly_rounded"),
    "hex": (_set("cells", 0, "worst", "logit", "1.5"), "cells[0].worst.logit: "),
    "got": (_set("cells", 0, "worst", "got", None), "cells[0].worst.got: "),
    "inputs": (_set("cells", 0, "inputs", 0), "cells[0].inputs: "),
    "fraction": (_set("cells", 0, "inputs", 1.5), "cells[0].inputs: "),
    "bool": (_set("cells", 0, "expected", "yes"), "cells[0].expected: "),
    "dtype": (_set("cells", 0, "dtype", "float8"), "cells[0].dtype: 'float8' is not one of"),
    "evidence": (_set("cells", 0, "evidence", "seen"), "cells[0].evidence: 'seen' is not one of"),
    "date": (_set("run", "started", "yesterday"), "run.started: "),
    "moment": (_set("run", "finished", "2026-02-30T00:00:00Z"), "run.finished: '2026-02-30"),
    "host": (_drop("run", "host", "cpu"), 'run.host: "cpu" is a required property'),
    "device": (_set("backends", 1, "devices", 0, "kind", ""), "backends[1].devices[0].kind: "),
    "family": (_set("requirements", 2, "family", 7), "requirements[2].family: "),
    "top": (_drop("cells"), 'the document: "cells" is a required property'),
    "point": (_set("curves", 1, "points", 4, [0.0]), "curves[1].points[4]: "),
    "logit": (_set("curves", 1, "points", 4, 0, "inf"), "curves[1].points[4][0]: "),
    "order": (_set("curves", 1, "points", 4, 0, 1e300), "curves[1].points: "),
    "timing": (_set("timings", "measurements", 0, "size", []), "timings.measurements[0].size: "),
    "no time": (
        _set("timings", "measurements", 0, "seconds", None),
        "timings.measurements[0].seconds: ",
    ),
    "timed": (
        _set("timings", "measurements", 2, "seconds", 1.0),
        "timings.measurements[2].seconds: ",
    ),
    "instant": (
        _set("timings", "measurements", 0, "seconds", 0.0),
        "timings.measurements[0].seconds: ",
    ),
    "timed twice": (
        _set("timings", "measurements", 1, "series", "native"),
        "timings.measurements[1]: has the same group",
    ),
    "timed when": (_set("timings", "started", "2026-02-30T00:00:00Z"), "timings.started: "),
    "timed where": (_drop("timings", "host"), 'timings: "host" is a required property'),
    "version": (_set("schema", 2), "schema: 2 is not a known version; accepted is 1"),
    "no version": (_drop("schema"), 'the document: "schema" is a required property'),
    "true version": (_set("schema", True), "schema: True is not a known version; accepted is 1"),
    "stranger": (_set("cells", 5, "backend", "mxnet"), "cells[5].backend: 'mxnet' is not the id"),
    "unknown": (_set("cells", 5, "requirement", "V-0"), "cells[5].requirement: 'V-0' is not"),
    "map of": (_set("maps", 0, "backend", "mxnet"), "maps[0].backend: 'mxnet' is not"),
    "edges": (_set("maps", 0, "targets", 1, 0.0), "maps[0].targets: edges are not in ascending"),
    "rows": (_set("maps", 0, "ulps", 0, [1.0]), "maps[0].ulps: has other than 3 rows of 4"),
    "nan": (_set("maps", 0, "ulps", 0, 0, "nan"), "maps[0].ulps[0][0]: "),
    "curve of": (_set("curves", 0, "backend", "mxnet"), "curves[0].backend: 'mxnet' is not"),
    "twice": (lambda d: d["cells"].insert(1, d["cells"][0]), "cells[1]: has the same requirement"),
    "same id": (_set("backends", 1, "id", "native"), "backends[1]: has the same id as backends[0]"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_refused_with_its_place(name: str, document: Document) -> None:
    validate(document)
    damage, message = DAMAGES[name]
    damage(document)
    with pytest.raises(ResultsError) as caught:
        validate(document)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_what_is_not_an_object_is_refused(document: object) -> None:
    with pytest.raises(ResultsError, match=r"the document: .* is not of type"):
        validate(document)


def test_several_problems_are_counted(document: Document) -> None:
    document["cells"][2]["evidence"] = "felt"
    document["cells"][7]["evidence"] = "none"
    with pytest.raises(ResultsError, match=r"^cells\[2\]\.evidence: .* \(and 1 more\)$"):
        validate(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 1,\n "run": {"id"', "not JSON at line 2, column "),
        ("", "not JSON at line 1, column 1: "),
        ('{"schema": NaN}', "line 1, column 12: NaN is no finite number"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", 'the document: "'),
    ],
)
def test_damaged_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ResultsError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_every_truncation_is_refused(document: Document, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    whole = json.dumps({**document, "cells": document["cells"][:2], "curves": []})
    path.write_text(whole, encoding="utf-8")
    read(path)
    for length in range(0, len(whole), 97):
        path.write_text(whole[:length], encoding="utf-8")
        with pytest.raises(ResultsError, match="not JSON at line"):
            read(path)


def test_missing_and_binary_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"none\.json: cannot be read: No such file"):
        read(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"{\xff")
    with pytest.raises(ResultsError, match=r"binary\.json: not UTF-8 at byte 1"):
        read(tmp_path / "binary.json")

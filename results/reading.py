"""Reading: a results.json, checked and typed.

Guarantees that what it returns is a valid results.json (``schema.json`` beside this file is the
format and its documentation), that ids refer to something and cells are unique; everything else
raises ``ResultsError``, which says where. It never repairs, and it never writes.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema_rs

from .cells import DTYPES, OPERANDS, Cell, UlpStatistics, Witness, Worst
from .files import place_of, read_text
from .model import (
    VERSION,
    BackendEntry,
    Curve,
    Defect,
    Device,
    ErrorMap,
    Harm,
    Host,
    Requirement,
    Results,
    Run,
    Subnormals,
    Timing,
    Timings,
)

SCHEMA_PATH = Path(__file__).with_name("schema.json")
DIGITS = 4300
"""Of an integer: Python reads no more of them."""

_SEED: list[str | int] = ["run", "seed"]  # the only integer that may have any size
_OF_A_DRAW = ("pool", "dtype", "draw", "seed")
_OF_AN_ELEMENT = ("pool", "dtype")
# What names a measurement within a session: the workload, and what it was measured in turns with.
_WORKLOAD = ("size", "dtype", "what", "regime", "broadcasting", "reduction", "device", "threads")
_TIMED = ("group", "series", *_WORKLOAD, "cache")


class ResultsError(ValueError):
    """A document that is not a valid ``results.json``; the message says which and where."""


def read(path: str | Path) -> Results:
    """Read and check a ``results.json``.

    Args:
        path: the file, or the folder that it is in.

    Returns:
        Its content, typed.

    Raises:
        ResultsError: the file cannot be read, is not JSON, or is not valid; names file and place.
    """
    path = Path(path)
    path = path / "results.json" if path.is_dir() else path
    try:
        return from_document(parsed(read_text(path)))
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ResultsError(f"{path}: not JSON at {place}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise ResultsError(f"{path}: not UTF-8 at byte {error.start}") from None
    except (RecursionError, MemoryError):
        raise ResultsError(f"{path}: nested too deeply to be a results.json") from None
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from None


def parsed(text: str) -> Any:
    """What ``json.loads`` makes of a results.json, if all of it can be worked with.

    Raises:
        ResultsError: a number is not finite, or an integer is beyond float64 or has more digits
            than Python reads, or a text has half a surrogate pair; says where.
        json.JSONDecodeError: it is no JSON.
    """
    found: list[str] = []  # tokens that are no numbers to work with

    def number(token: str) -> float:
        value = float(token)
        if math.isinf(value):
            found.append(token)
        return value

    def constant(token: str) -> float:
        found.append(token)
        return math.nan

    try:
        document = json.loads(text, parse_float=number, parse_constant=constant)
    except json.JSONDecodeError:
        raise
    except ValueError:
        long = next(one for one in re.findall(r"\d+", text) if len(one) > DIGITS)
        raise ResultsError(
            f"{place_of(long, text)}: an integer has {len(long)} digits; at most {DIGITS} are read"
        ) from None
    for token in found:
        raise ResultsError(
            f"{place_of(token, text)}: {token} is no finite number; an infinite one is the string "
            "'inf'"
        )
    if re.search(rf"\d{{{sys.float_info.max_10_exp + 1}}}", text):
        for where, node in _every(document, []):
            if isinstance(node, int) and abs(node) > sys.float_info.max and where != _SEED:
                raise ResultsError(
                    f"{place(where)}: an integer is beyond float64; an infinite error is the "
                    "string 'inf'"
                )
    if re.search(r"\\u[dD][89a-fA-F]", text):
        for half in _halves(document):
            raise ResultsError(f"{half}: has half of a surrogate pair, which is no character")
    return document


def _halves(document: Any) -> Iterator[str]:
    """Where texts have half a surrogate pair."""
    for path, node in _every(document, []):
        if isinstance(node, str) and not node.isascii() and re.search("[\ud800-\udfff]", node):
            yield place(path)


def _every(node: Any, path: list[str | int]) -> Iterator[tuple[list[str | int], Any]]:
    """Each thing in a document, the names of objects too, and the path to it."""
    yield path, node
    if isinstance(node, dict):
        for name, one in node.items():
            yield [*path, "a name"], name
            yield from _every(one, [*path, name])
    if isinstance(node, list):
        for index, one in enumerate(node):
            yield from _every(one, [*path, index])


def validate(document: Any) -> None:
    """Check a document against the schema and its cross-references.

    Args:
        document: what ``json.loads`` made of a ``results.json``.

    Raises:
        ResultsError: the first thing that is wrong, where it is, and how many more there are.
    """
    problems = [*_version_problems(document)] or [*_schema_problems(document)]
    if not problems:
        problems = [*_reference_problems(document)]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ResultsError(problems[0] + more)


def from_document(document: Any) -> Results:
    """Check a document and return it typed.

    Args:
        document: what ``json.loads`` made of a ``results.json``.

    Returns:
        Its content.

    Raises:
        ResultsError: it is not valid; says where.
    """
    validate(document)
    return Results(
        run=_run(document["run"], document["cells"]),
        backends=tuple(_backend(entry) for entry in document["backends"]),
        requirements=tuple(Requirement(**entry) for entry in document["requirements"]),
        cells=tuple(map(cell, document["cells"])),
        curves=tuple(_curve(entry) for entry in document.get("curves", ())),
        timings=_timings(document["timings"]) if "timings" in document else None,
        defects=tuple(map(_defect, document.get("defects", ()))),
        maps=tuple(map(_map, document.get("maps", ()))),
    )


def timings_in(path: Path) -> Timings | None:
    """The timings in a results.json that is about to be written anew; None where it has none."""
    try:
        return read(path).timings
    except ResultsError:
        return None


def cell(entry: Mapping[str, Any]) -> Cell:
    """A cell of a document that is valid."""
    ulp, worst, shown = entry["ulp"], entry["worst"], entry.get("witness")
    return Cell(
        **{
            **entry,
            "ulp": _errors(ulp) if ulp else None,
            "worst": Worst(**worst) if worst else None,
            "witness": witness(shown) if shown else None,
            **{name: tuple(entry.get(name, ())) for name in ("elsewhere", "defects")},
        }
    )


def _errors(entry: Mapping[str, Any]) -> UlpStatistics:
    numbers = {name: float(value) for name, value in entry.items() if name != "histogram"}
    return UlpStatistics(**numbers, histogram=tuple(entry.get("histogram", ())))


def witness(entry: Mapping[str, Any]) -> Witness:
    """A witness; the operands of an element are fields of their own.

    Raises:
        ValueError: a field is unknown, missing or no number.
    """
    given = dict(entry)
    element = tuple((n, given.pop(n)) for n in OPERANDS if n in given)
    if set(given) != set(_OF_AN_ELEMENT if element else _OF_A_DRAW):
        raise ValueError(f"the fields are {sorted(entry)}; a draw has {sorted(_OF_A_DRAW)}")
    if given["dtype"] not in DTYPES:
        raise ValueError(f"dtype is {given['dtype']!r}; accepted are {DTYPES}")
    for name, value in element:
        try:
            float.fromhex(value)
        except (TypeError, ValueError):
            raise ValueError(f"{name} is {value!r}, not a number in hex") from None
    return Witness(**given, element=element)


def _run(run: dict[str, Any], cells: list[dict[str, Any]]) -> Run:
    optional = {
        "interrupted": False,
        "inputs": sum(cell["inputs"] for cell in cells),
        "seed": None,
        "leaves_out": (),
        "seconds": None,
    }
    merged = {**optional, **run}
    merged["host"] = Host(**run["host"])
    for name in ("argv", "leaves_out"):
        merged[name] = tuple(merged[name])
    return Run(**merged)


def _timings(entry: dict[str, Any]) -> Timings:
    merged = {
        **entry,
        "argv": tuple(entry["argv"]),
        "host": Host(**entry["host"]),
        "measurements": tuple(Timing(**one) for one in entry["measurements"]),
    }
    merged.pop("goals", None)  # as earlier versions wrote them
    return Timings(**merged)


def _backend(entry: dict[str, Any]) -> BackendEntry:
    lists = {name: tuple(entry[name]) for name in ("dtypes", "composed")}
    lists["devices"] = tuple(Device(**device) for device in entry["devices"])
    lists["notes"] = tuple(entry.get("notes", ()))
    lists["subnormals"] = tuple(Subnormals(**one) for one in entry.get("subnormals", ()))
    return BackendEntry(**{**entry, **lists})


def _defect(entry: dict[str, Any]) -> Defect:
    lists = {name: tuple(entry[name]) for name in ("backends", "dtypes")}
    return Defect(**{**entry, **lists, "harm": Harm(**entry["harm"])})


def _curve(entry: dict[str, Any]) -> Curve:
    points = tuple((float(logit), float(ulp)) for logit, ulp in entry["points"])
    return Curve(**{**entry, "points": points})


def _map(entry: dict[str, Any]) -> ErrorMap:
    ulps = tuple(tuple(None if ulp is None else float(ulp) for ulp in row) for row in entry["ulps"])
    edges = {name: tuple(map(float, entry[name])) for name in ("logits", "targets")}
    return ErrorMap(**{**entry, **edges, "ulps": ulps})


@lru_cache(maxsize=1)
def _validator() -> Any:
    return jsonschema_rs.validator_for(json.loads(SCHEMA_PATH.read_text(encoding="utf-8")))


def _version_problems(document: Any) -> Iterator[str]:
    version = document.get("schema") if isinstance(document, dict) else VERSION
    # True == 1 in Python, but not in JSON.
    if version is not None and (version != VERSION or isinstance(version, bool)):
        yield f"schema: {version!r} is not a known version; accepted is {VERSION}"


def _schema_problems(document: Any) -> Iterator[str]:
    for error in _validator().iter_errors(document):
        where = place(error.instance_path)
        options = getattr(error.kind, "options", None)
        if options is None:
            yield f"{where}: {error.message}"
        else:
            yield f"{where}: {error.instance!r} is not one of {list(options)}"


def place(path: list[str | int]) -> str:
    """Write a path into a document as one reads it: ``cells[12].verdict``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the document"


def _reference_problems(document: dict[str, Any]) -> Iterator[str]:
    for part in ("run", "timings"):
        for name in ("started", "finished") if part in document else ():
            try:
                datetime.fromisoformat(document[part][name])
            except ValueError as error:
                yield f"{part}.{name}: {document[part][name]!r} is no moment: {error}"
    ids: dict[str, set[str]] = {}
    for table in ("backends", "requirements", "defects"):
        ids[table] = {entry["id"] for entry in document.get(table, ())}
        yield from _repeated(table, [entry["id"] for entry in document.get(table, ())], "id")
    for index, cell in enumerate(document["cells"]):
        for name in ("requirement", "backend"):
            if cell[name] not in ids[f"{name}s"]:
                yield f"cells[{index}].{name}: {cell[name]!r} is not the id of one of {name}s"
        for number, name in enumerate(cell.get("defects", ())):
            if name not in ids["defects"]:
                yield f"cells[{index}].defects[{number}]: {name!r} is not the id of one of defects"
    names = ("requirement", "backend", "device", "dtype")
    keys = [tuple(cell[name] for name in names) for cell in document["cells"]]
    yield from _repeated("cells", keys, " × ".join(names))
    for index, curve in enumerate(document.get("curves", ())):
        if curve["backend"] not in ids["backends"]:
            yield f"curves[{index}].backend: {curve['backend']!r} is not the id of one of backends"
        logits = [point[0] for point in curve["points"]]
        if logits != sorted(logits):
            yield f"curves[{index}].points: logits are not in ascending order"
    for index, one in enumerate(document.get("maps", ())):
        yield from _map_problems(f"maps[{index}]", one, ids["backends"])
    yield from _timing_problems(document.get("timings", {}))


def _map_problems(where: str, one: dict[str, Any], backends: set[str]) -> Iterator[str]:
    if one["backend"] not in backends:
        yield f"{where}.backend: {one['backend']!r} is not the id of one of backends"
    for name in ("logits", "targets"):
        if any(lower >= upper for lower, upper in pairwise(one[name])):
            yield f"{where}.{name}: edges are not in ascending order"
    rows, columns = len(one["targets"]) - 1, len(one["logits"]) - 1
    if len(one["ulps"]) != rows or any(len(row) != columns for row in one["ulps"]):
        yield f"{where}.ulps: has other than {rows} rows of {columns}, one between two edges each"


def _timing_problems(timings: dict[str, Any]) -> Iterator[str]:
    defaults = {field.name: field.default for field in fields(Timing)}
    keys = [
        tuple(entry.get(name, defaults[name]) for name in _TIMED)
        for entry in timings.get("measurements", ())
    ]
    yield from _repeated("timings.measurements", keys, " × ".join(_TIMED))


def _repeated(table: str, keys: list[Any], what: str) -> Iterator[str]:
    first: dict[Any, int] = {}
    for index, key in enumerate(keys):
        if key in first:
            yield f"{table}[{index}]: has the same {what} as {table}[{first[key]}]: {key!r}"
        first.setdefault(key, index)

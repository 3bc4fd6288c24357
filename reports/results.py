"""Results: the document that a run writes, checked and typed on reading.

Guarantees that what it returns is a valid ``results.json`` (``results.schema.json`` beside this
file is the format and its documentation), that ids refer to something and cells are unique;
everything else raises ``ResultsError``, which says where. It never repairs, and it never writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import jsonschema_rs

from bce_conformance.backends.workload import Workload
from bce_conformance.conformance.cells import Cell
from bce_conformance.conformance.subnormals import Flushes
from bce_conformance.timing.goals import Verdict
from bce_conformance.timing.records import Timing

SCHEMA_VERSION = 1
SCHEMA_PATH = Path(__file__).with_name("results.schema.json")


class ResultsError(ValueError):
    """A document that is not a valid ``results.json``; the message says which and where."""


@dataclass(frozen=True)
class Host:
    """The machine of a run; ``memory_bytes`` is 0 where the system does not tell.

    ``instruction_set`` is the highest that its processor has; empty where it was not recorded.
    """

    cpu: str
    cores: int
    memory_bytes: int
    os: str
    python: str
    instruction_set: str = ""


@dataclass(frozen=True)
class Run:
    """What was run, when, where, and on which commit.

    ``inputs`` is the number of input elements tried in the whole run; ``seed`` is None where the
    run did not state one; ``leaves_out`` says what a larger tier tries and this one does not;
    ``seconds`` has those of ``start_up`` and of ``measuring``, None where they were not recorded.
    """

    id: str
    started: str
    finished: str
    tier: str
    argv: tuple[str, ...]
    commit: str
    host: Host
    interrupted: bool
    inputs: int
    seed: int | None
    leaves_out: tuple[str, ...]
    seconds: Mapping[str, float] | None


@dataclass(frozen=True)
class Device:
    """One device: its kind, such as ``cpu``, and the name that the framework gives it."""

    kind: str
    name: str


@dataclass(frozen=True)
class Subnormals:
    """Whether subnormal operands and results count as zero on one device in one format."""

    device: str
    dtype: str
    inputs: bool | None
    results: bool | None

    def __str__(self) -> str:
        return f"{self.dtype} on {self.device}: {Flushes(self.inputs, self.results)}"


@dataclass(frozen=True)
class BackendEntry:
    """One backend; ``status`` is ``"ok"`` or the reason why it could not be measured.

    ``instruction_set`` is that which its code for the CPU was made for; empty where unknown.
    """

    id: str
    framework: str
    version: str
    variant: str
    devices: tuple[Device, ...]
    dtypes: tuple[str, ...]
    composed: tuple[str, ...]
    status: str
    subnormals: tuple[Subnormals, ...] = ()
    instruction_set: str = ""


@dataclass(frozen=True)
class Requirement:
    """One numbered sentence of the specification."""

    id: str
    family: str
    text: str


@dataclass(frozen=True)
class Curve:
    """ULP error (possibly ``inf``) over ascending finite logits."""

    backend: str
    device: str
    dtype: str
    quantity: str
    target: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Timings:
    """What a session of the benchmark measured, when, where, and on which commit.

    ``others`` is how many processors others kept busy meanwhile; None where it was not recorded.
    """

    started: str
    finished: str
    interrupted: bool
    argv: tuple[str, ...]
    commit: str
    host: Host
    rounds: int
    versions: Mapping[str, str]
    measurements: tuple[Timing, ...]
    goals: tuple[Verdict, ...]
    others: float | None = None


@dataclass(frozen=True)
class Results:
    """One run: what was measured, of whom, against which requirements."""

    run: Run
    backends: tuple[BackendEntry, ...]
    requirements: tuple[Requirement, ...]
    cells: tuple[Cell, ...]
    curves: tuple[Curve, ...]
    timings: Timings | None


def read(path: str | Path) -> Results:
    """Read and check a ``results.json``.

    Args:
        path: the file.

    Returns:
        Its content, typed.

    Raises:
        ResultsError: the file cannot be read, is not JSON, or is not valid; names file and place.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_constant)
        return from_document(document)
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ResultsError(f"{path}: not JSON at {place}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise ResultsError(f"{path}: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ResultsError(f"{path}: nested too deeply to be a results.json") from None
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from None


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
        cells=tuple(map(Cell.from_json, document["cells"])),
        curves=tuple(_curve(entry) for entry in document.get("curves", ())),
        timings=_timings(document["timings"]) if "timings" in document else None,
    )


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
    goals = ({k: v for k, v in goal.items() if k != "verdict"} for goal in entry["goals"])
    merged = {
        **entry,
        "argv": tuple(entry["argv"]),
        "host": Host(**entry["host"]),
        "measurements": tuple(Timing(**one) for one in entry["measurements"]),
        "goals": tuple(Verdict(**goal) for goal in goals),
    }
    return Timings(**merged)


def _backend(entry: dict[str, Any]) -> BackendEntry:
    lists = {name: tuple(entry[name]) for name in ("dtypes", "composed")}
    lists["devices"] = tuple(Device(**device) for device in entry["devices"])
    lists["subnormals"] = tuple(Subnormals(**one) for one in entry.get("subnormals", ()))
    return BackendEntry(**{**entry, **lists})


def _curve(entry: dict[str, Any]) -> Curve:
    points = tuple((float(logit), float(ulp)) for logit, ulp in entry["points"])
    return Curve(**{**entry, "points": points})


def _no_constant(name: str) -> NoReturn:
    raise ResultsError(f"{name} is not JSON; an infinite number is the string 'inf'")


@lru_cache(maxsize=1)
def _validator() -> Any:
    return jsonschema_rs.validator_for(json.loads(SCHEMA_PATH.read_text(encoding="utf-8")))


def _version_problems(document: Any) -> Iterator[str]:
    version = document.get("schema") if isinstance(document, dict) else SCHEMA_VERSION
    # True == 1 in Python, but not in JSON.
    if version is not None and (version != SCHEMA_VERSION or isinstance(version, bool)):
        yield f"schema: {version!r} is not a known version; accepted is {SCHEMA_VERSION}"


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
    for table in ("backends", "requirements"):
        yield from _repeated(table, [entry["id"] for entry in document[table]], "id")
        ids[table] = {entry["id"] for entry in document[table]}
    for index, cell in enumerate(document["cells"]):
        for name in ("requirement", "backend"):
            if cell[name] not in ids[f"{name}s"]:
                yield f"cells[{index}].{name}: {cell[name]!r} is not the id of one of {name}s"
    names = ("requirement", "backend", "device", "dtype")
    keys = [tuple(cell[name] for name in names) for cell in document["cells"]]
    yield from _repeated("cells", keys, " × ".join(names))
    for index, curve in enumerate(document.get("curves", ())):
        if curve["backend"] not in ids["backends"]:
            yield f"curves[{index}].backend: {curve['backend']!r} is not the id of one of backends"
        logits = [point[0] for point in curve["points"]]
        if logits != sorted(logits):
            yield f"curves[{index}].points: logits are not in ascending order"
    yield from _timing_problems(document.get("timings", {}))


def _timing_problems(timings: dict[str, Any]) -> Iterator[str]:
    workload = fields(Workload)
    names = ("group", "series", *(field.name for field in workload))
    keys = [
        (entry["group"], entry["series"], *(entry.get(f.name, f.default) for f in workload))
        for entry in timings.get("measurements", ())
    ]
    yield from _repeated("timings.measurements", keys, " × ".join(names))
    for index, goal in enumerate(timings.get("goals", ())):
        entry = {name: value for name, value in goal.items() if name != "verdict"}
        verdict = Verdict(**entry).verdict
        if verdict != goal["verdict"]:
            yield f"timings.goals[{index}].verdict: {goal['verdict']!r}, but the goal is {verdict}"


def _repeated(table: str, keys: list[Any], what: str) -> Iterator[str]:
    first: dict[Any, int] = {}
    for index, key in enumerate(keys):
        if key in first:
            yield f"{table}[{index}]: has the same {what} as {table}[{first[key]}]: {key!r}"
        first.setdefault(key, index)

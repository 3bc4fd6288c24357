"""``bce-conformance backends``: which there are, and what each offers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    BackendSpec,
    builtin_backends,
    entry_point_backends,
    installed,
    resolve,
)
from bce_conformance.backends.calls import DTYPES
from bce_conformance.conformance.judging import flush_probe
from bce_conformance.conformance.memory import most_workers, usable
from bce_conformance.conformance.running.processes import NOT_INSTALLED
from bce_conformance.reference import format_of
from bce_conformance.terminal.console import console, errors, misuse, print_json

from .options import AsJson, backend_ids


def backends(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[BACKEND]...", autocompletion=backend_ids, show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the backends, or those named, and what each offers.

    Of each whether it is installed, its version, devices and formats, what its adapter composes of
    other operations, what it does with subnormal numbers, and its instruction set.
    """
    try:
        chosen = [resolve(name) for name in names or ()]
    except ValueError as error:
        misuse(str(error))
    chosen = chosen or [*builtin_backends(), *entry_point_backends()]
    at_once = min(os.cpu_count() or 1, most_workers(usable(), own=0))
    with (
        errors.status(f"starting {len(chosen)} backends"),
        ThreadPoolExecutor(at_once) as threads,
    ):
        found = list(threads.map(_described, chosen))
    if as_json:
        print_json(found)
    else:
        print_listed(found)


def print_listed(found: list[dict[str, Any]]) -> None:
    """Print a line a backend, which 80 columns hold, and below them what some have in common.

    Args:
        found: of each backend its id and status, and where that is ``ok`` what it says of itself.
    """
    table = Table(
        *(Column(name, no_wrap=True) for name in ("backend", "version", "formats")), box=None
    )
    running = [entry["id"] for entry in found if entry["status"] == "ok"]
    notes: dict[str, list[str]] = {}  # what is said of one or more backends
    failed = []
    for entry in found:
        if entry["status"] == "ok":
            table.add_row(entry["id"], entry["version"], _formats(entry["dtypes"]))
            for note in _notes(entry):
                notes.setdefault(note, []).append(entry["id"])
        elif entry["status"] == NOT_INSTALLED:
            table.add_row(entry["id"], NOT_INSTALLED, style="dim")
        else:
            table.add_row(entry["id"], "does not start", style="red")
            failed.append(f"{entry['id']}: {entry['status']}")
    console.print(table)
    for line in failed:
        console.print(line)
    for note, ids in notes.items():
        console.print(f"{note}: {'all' if ids == running else ', '.join(ids)}")


def _formats(dtypes: Sequence[str]) -> str:
    """Formats in words: all of them are one."""
    return "all four" if set(dtypes) == set(DTYPES) else ", ".join(dtypes)


def _notes(entry: dict[str, Any]) -> Iterator[str]:
    """What else a backend says of itself, and what it does with subnormal numbers."""
    yield from (f"on {d['kind']} ({d['name']})" for d in entry["devices"])
    yield f"instruction set {entry['instruction_set']}"
    yield f"subnormal numbers of {entry['flushes']}"
    if entry["composed"]:
        yield f"composed by the adapter, {', '.join(entry['composed'])}"
    yield from entry["notes"]


def _described(spec: BackendSpec) -> dict[str, Any]:
    """What a backend says of itself, or in ``status`` why it does not."""
    if not installed(spec):
        return {"id": spec.id, "status": NOT_INSTALLED}
    with BackendProcess(spec) as process:
        info = process.info()
        if not isinstance(info, BackendInfo):
            return {"id": spec.id, "status": str(info)}
        flushes = _flushes(process)
    return {**asdict(info), "id": spec.id, "status": "ok", "flushes": flushes}


def _flushes(process: BackendProcess) -> str:
    """What a backend does with subnormal numbers on each of its devices, in each format."""
    info = process.info()
    assert isinstance(info, BackendInfo)
    found: dict[str, list[str]] = {}
    for device in info.devices:
        for dtype in info.dtypes:
            outcome = process.evaluate(flush_probe.probe(format_of(dtype), device.kind))
            text = f"{flush_probe.read(outcome, format_of(dtype))} on {device.kind}"
            found.setdefault(text, []).append(dtype)
    return "; ".join(f"{', '.join(dtypes)} {text}" for text, dtypes in found.items())

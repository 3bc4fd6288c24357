"""``bce-conformance backends``: which there are, and what each offers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    BackendSpec,
    builtin_backends,
    entry_point_backends,
    installed,
)
from bce_conformance.conformance.judging import flush_probe
from bce_conformance.conformance.running.processes import NOT_INSTALLED
from bce_conformance.reference import format_of
from bce_conformance.terminal.console import console, errors, print_json

from .options import AsJson


def backends(as_json: AsJson = False) -> None:
    """List the backends and what each offers.

    Of each whether it is installed, its version, devices and formats, what its adapter composes of
    other operations, what it does with subnormal numbers, and its instruction set.
    """
    found = map(_described, (*builtin_backends(), *entry_point_backends()))
    if as_json:
        print_json(list(found))
        return
    names = ("backend", "version", "devices", "formats", "composed by the adapter", "subnormals")
    table = Table(*names, "instruction set")
    for entry in found:
        if entry["status"] == "ok":
            devices = ", ".join(f"{d['kind']} ({d['name']})" for d in entry["devices"])
            lists = (", ".join(entry[name]) for name in ("dtypes", "composed"))
            cells = (entry["version"], devices, *lists, entry["flushes"], entry["instruction_set"])
            table.add_row(entry["id"], *cells)
        else:
            style = "dim" if entry["status"] == NOT_INSTALLED else "red"
            table.add_row(entry["id"], entry["status"], style=style)
    console.print(table)


def _described(spec: BackendSpec) -> dict[str, Any]:
    """What a backend says of itself, or in ``status`` why it does not."""
    if not installed(spec):
        return {"id": spec.id, "status": NOT_INSTALLED}
    with errors.status(f"starting {spec.id}"), BackendProcess(spec) as process:
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

"""``bce-conformance backends``: which there are, and what each offers."""

from __future__ import annotations

from rich.table import Table

from bce_conformance.backends import (
    BackendInfo,
    BackendProcess,
    builtin_backends,
    entry_point_backends,
    installed,
)
from bce_conformance.conformance.judging import flush_probe
from bce_conformance.conformance.running.processes import NOT_INSTALLED
from bce_conformance.reference import format_of
from bce_conformance.terminal.console import console, errors


def backends() -> None:
    """List the backends: installed or not, version, devices, formats, what is composed."""
    names = ("backend", "version", "devices", "formats", "composed by the adapter", "subnormals")
    table = Table(*names, "instruction set")
    for spec in (*builtin_backends(), *entry_point_backends()):
        if not installed(spec):
            table.add_row(spec.id, NOT_INSTALLED, style="dim")
            continue
        with errors.status(f"starting {spec.id}"), BackendProcess(spec) as process:
            info = process.info()
            flushes = _flushes(process) if isinstance(info, BackendInfo) else ""
        if isinstance(info, BackendInfo):
            devices = ", ".join(f"{device.kind} ({device.name})" for device in info.devices)
            lists = (", ".join(names) for names in (info.dtypes, info.composed))
            table.add_row(spec.id, info.version, devices, *lists, flushes, info.instruction_set)
        else:
            table.add_row(spec.id, str(info), style="red")
    console.print(table)


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

"""Writing: what was measured as JSON, and files whole or not at all.

Guarantees that ``reading`` makes of a document what it was made of. This is the only place where a
type of the model becomes JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from .cells import UlpStatistics, Witness
from .model import VERSION, Results


def document(results: Results) -> dict[str, Any]:
    r"""A whole results.json; what was not recorded is left out.

    A byte of a command line that is no UTF-8 is written out, as ``\udcff``.
    """
    found = {"schema": VERSION, **plain(results)}
    found["run"] = {name: value for name, value in found["run"].items() if value is not None}
    return {name: value for name, value in found.items() if value is not None}


def plain(value: Any) -> Any:
    """A value of the model as JSON has it."""
    if isinstance(value, Witness):
        return witness(value)
    if isinstance(value, UlpStatistics) and not value.histogram:
        return {name: one for name, one in _fields(value).items() if name != "histogram"}
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(one) for one in value]
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    return number(value) if isinstance(value, float) else value


def witness(value: Witness) -> dict[str, Any]:
    """A witness; the operands of an element are fields of their own."""
    found = _fields(value)
    del found["element"]
    if value.element:
        return {name: found[name] for name in ("pool", "dtype")} | dict(value.element)
    return found


def number(value: float) -> float | str:
    """A number that JSON can hold: infinity and NaN become the strings ``inf`` and ``nan``."""
    return value if value - value == 0 else str(float(value))


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: plain(getattr(value, field.name)) for field in fields(value)}


def write(results: Results, path: Path) -> None:
    """Write a results.json whole or not at all.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    text = json.dumps(document(results), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(text, path)


def write_text(text: str, path: Path) -> None:
    """Write a file whole or not at all, on the disk when this returns.

    Raises:
        OSError: it cannot be written; what was there before is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

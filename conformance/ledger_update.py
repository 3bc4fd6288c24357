"""Brings ledger files up to date with a run, and keeps the reasons that people wrote.

A new deviation gets the reason of the same requirement in another format if there is one, else the
reason ``unexplained``, which has no text: the ledger is not valid until somebody wrote down why.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bce_conformance.backends.calls import DTYPES

from .specification import requirements

UNEXPLAINED = "unexplained"

Document = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What a run found of one cell; ``backend`` with its variant."""

    requirement: str
    backend: str
    dtype: str
    verdict: str


def update(folder: Path, cells: Iterable[Found]) -> list[Path]:
    """Rewrite the ledger file of each framework that the cells are about.

    Entries of cells that were not measured, and of backends that are not among the cells, stay.

    Returns:
        The files that changed.
    """
    by_framework: dict[str, list[Found]] = {}
    for cell in cells:
        by_framework.setdefault(cell.backend.partition(":")[0], []).append(cell)
    return [
        path
        for framework, found in sorted(by_framework.items())
        if _rewrite(path := folder / f"{framework}.toml", found)
    ]


def _rewrite(path: Path, found: list[Found]) -> bool:
    before = path.read_text("utf-8") if path.exists() else ""
    document = tomllib.loads(before)
    known = dict(_known(document))
    for cell in found:
        key = (cell.backend.partition(":")[2], cell.requirement, cell.dtype)
        if cell.verdict == "AAA":
            known.pop(key, None)
        elif cell.verdict != "not measured":
            known[key] = (cell.verdict, _reason(known, key))
    after = _toml(document.get("reasons", {}), known)
    if not known:
        path.unlink(missing_ok=True)
    elif after != before:
        path.write_text(after, "utf-8")
    return after != before


Key = tuple[str, str, str]


def _known(document: Document) -> Iterable[tuple[Key, tuple[str, str]]]:
    for entry in document.get("deviation", []):
        for dtype in entry["dtypes"]:
            key = (entry.get("variant", ""), entry["requirement"], dtype)
            yield key, (entry["level"], entry["reason"])


def _reason(known: Mapping[Key, tuple[str, str]], key: Key) -> str:
    """The reason that the cell has, or that of the same requirement in another format."""
    if key in known:
        return known[key][1]
    variant, requirement, _ = key
    kin = [known[k][1] for k in known if k[:2] == (variant, requirement)]
    return kin[0] if kin else UNEXPLAINED


def _toml(reasons: Mapping[str, Mapping[str, str]], known: Mapping[Key, tuple[str, str]]) -> str:
    """The file: the reasons that are in use, then the deviations in the specification's order."""
    used = [name for name in reasons if name in {reason for _, reason in known.values()}]
    lines = []
    for name in used + ([UNEXPLAINED] if UNEXPLAINED not in reasons else []):
        if name == UNEXPLAINED and UNEXPLAINED not in {reason for _, reason in known.values()}:
            continue
        lines.append(f"[reasons.{name}]")
        for field, text in reasons.get(name, {"text": ""}).items():
            lines.append(f"{field} = {_string(text)}")
        lines.append("")
    for (variant, requirement, level, reason), dtypes in _groups(known).items():
        lines += ["[[deviation]]", f'requirement = "{requirement}"']
        lines += [f'variant = "{variant}"'] if variant else []
        lines += [f"dtypes = [{', '.join(map(_string, dtypes))}]", f'level = "{level}"']
        lines += [f'reason = "{reason}"', ""]
    return "\n".join(lines)


def _groups(known: Mapping[Key, tuple[str, str]]) -> dict[tuple[str, str, str, str], list[str]]:
    """Entries that differ in their format only, together."""
    order = {requirement: number for number, requirement in enumerate(requirements())}
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for key in sorted(known, key=lambda k: (k[0], order[k[1]], DTYPES.index(k[2]))):
        variant, requirement, dtype = key
        level, reason = known[key]
        groups.setdefault((variant, requirement, level, reason), []).append(dtype)
    return groups


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

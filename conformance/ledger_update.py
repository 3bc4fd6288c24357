"""Brings ledger files up to date with a run, and keeps the reasons that people wrote.

A new deviation gets the reason of the same requirement in another format if there is one, else the
reason ``unexplained``, which has no text: the ledger is not valid until somebody wrote down why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bce_conformance.backends import builtin_backends, resolve
from bce_conformance.backends.calls import DTYPES

from .cells import is_better
from .ledger import CPU, MADE_WITH, LedgerError, load, public, tries_less, witnesses
from .specification import requirements
from .tiers import TIERS
from .witness import Witness

UNEXPLAINED = "unexplained"

Document = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What a run found of one cell.

    ``backend`` with its variant, ``version`` its framework's, ``tier`` the run's; ``witness`` is
    what showed the verdict, where the draws that every run has did not.
    """

    requirement: str
    backend: str
    dtype: str
    verdict: str
    version: str
    tier: str
    device: str = CPU
    witness: Witness | None = None


@dataclass(frozen=True)
class Moved:
    """One cell whose entry changes; ``before`` and ``after`` are verdicts, AAA without an entry."""

    requirement: str
    backend: str
    dtype: str
    before: str
    after: str
    reason: str
    device: str = CPU


@dataclass(frozen=True)
class Entry:
    """What a file says of one cell: verdict, name of the reason, versions, tier."""

    level: str
    reason: str
    measured: tuple[str, ...]
    tier: str = MADE_WITH[0]


def update(
    folder: Path, files: Sequence[Path], cells: Iterable[Found]
) -> tuple[list[Path], list[Moved]]:
    """Rewrite the ledger files that the cells are about.

    Entries of cells that were not measured, and of backends that are not among the cells, stay; so
    do those that a tier that tries less than theirs has missed. The witnesses of deviations are
    added to those that there are.

    Args:
        folder: the suite's own ledger; it is left alone where ``files`` are given.
        files: ledgers of others; one that does not exist is for the only backend of the cells that
            is not built in.
        cells: what a run found.

    Returns:
        The files that changed, and the cells whose entry moved.

    Raises:
        LedgerError: a file is not TOML, or does not say which backend it is about.
    """
    found = list(cells)
    changed: list[Path] = []
    moved: list[Moved] = []
    for path, backend in _files(folder, files, found):
        mine = [cell for cell in found if _variant(cell.backend, backend) is not None]
        moves, rewritten = _rewrite(path, backend, mine)
        moved += moves
        changed += [path] * rewritten
    return changed, moved


def _files(
    folder: Path, files: Sequence[Path], found: Sequence[Found]
) -> Iterable[tuple[Path, str]]:
    """Each file with the backend that it is about."""
    frameworks = sorted({spec.id.partition(":")[0] for spec in builtin_backends()})
    if not files:
        yield from ((folder / f"{name}.toml", name) for name in frameworks)
    for path in files:
        if path.exists():
            yield path, load(path).get("backend", path.stem)
            continue
        ids = {cell.backend.partition("@")[0] for cell in found}
        others = sorted(name for name in ids if name.partition(":")[0] not in frameworks)
        if len(others) != 1:
            raise LedgerError(
                f"{path.name} does not exist, and the run has {len(others)} backends that are not "
                f'built in{": " if others else ""}{", ".join(others)}; write backend = "…" into it'
            )
        yield path, others[0]


def _variant(backend: str, ledger: str) -> str | None:
    """The variant of a backend within the ledger of another; None where it is not one of its."""
    name = backend.partition("@")[0]
    if name == ledger:
        return ""
    return name.removeprefix(f"{ledger}:") if name.startswith(f"{ledger}:") else None


def _rewrite(path: Path, backend: str, found: Sequence[Found]) -> tuple[list[Moved], bool]:
    before = path.read_text("utf-8") if path.exists() else ""
    document = load(path) if before else {}
    known = dict(_known(document))
    moves = []
    shown = list(witnesses(document, path))
    for cell in found:
        if cell.verdict == "not measured":
            continue
        variant, device = _variant(cell.backend, backend) or "", cell.device.partition(":")[0]
        key = (variant, cell.requirement, device, cell.dtype)
        old = known.get(key)
        new = _entry(known, key, cell)
        if new is None:
            known.pop(key, None)
        else:
            known[key] = new
            shown += [cell.witness] if cell.witness and cell.witness not in shown else []
        levels = old.level if old else "AAA", new.level if new else "AAA"
        if levels[0] != levels[1]:
            reason = (new or old or Entry("", "", ())).reason
            place = cell.requirement, cell.backend, cell.dtype
            moves.append(Moved(*place, *levels, reason, cell.device))
    name = backend if backend != path.stem else ""
    after = _toml(name, document.get("reasons", {}), known, shown)
    if after == before or not (known or before):
        return moves, False
    if known or name:
        path.write_text(after, "utf-8")
    else:
        path.unlink()
    return moves, True


Key = tuple[str, str, str, str]  # variant, requirement, device, format


def _known(document: Document) -> Iterable[tuple[Key, Entry]]:
    for entry in document.get("deviation", []):
        measured = tuple(entry.get("measured", document.get("measured", [])))
        for dtype in entry["dtypes"]:
            variant, device = entry.get("variant", ""), entry.get("device", CPU)
            key = (variant, entry["requirement"], device, dtype)
            tier = entry.get("tier", MADE_WITH[0])
            yield key, Entry(entry["level"], entry["reason"], measured, tier)


def _entry(known: Mapping[Key, Entry], key: Key, cell: Found) -> Entry | None:
    """The entry that a cell needs: its own, or that of the same requirement in another format."""
    old = known.get(key)
    if old is not None and tries_less(cell.tier, old.tier) and is_better(cell.verdict, old.level):
        return old
    if cell.verdict == "AAA":
        return None
    version = public(cell.version)
    tier = _found_by(cell)
    if old is not None and old.level == cell.verdict:
        measured = tuple(sorted({*old.measured, version}))
        # A smaller tier that finds it without a witness need not find it again: the tier stays.
        return Entry(old.level, old.reason, measured, tier if cell.witness else old.tier)
    kin = [known[k].reason for k in known if k[:2] == key[:2]]
    reason = old.reason if old else kin[0] if kin else UNEXPLAINED
    return Entry(cell.verdict, reason, (version,), tier)


def _found_by(cell: Found) -> str:
    """The smallest tier that finds a cell's deviation again: the default one if it has a witness.

    Provided that the default tier tries the cell at all.
    """
    if cell.witness is None:
        return cell.tier
    default, requirement = TIERS[MADE_WITH[0]], requirements()[cell.requirement]
    tries_it = default.tries(requirement, resolve(cell.backend), cell.dtype)
    return default.name if tries_it else cell.tier


def _toml(
    backend: str,
    reasons: Mapping[str, Mapping[str, str]],
    known: Mapping[Key, Entry],
    shown: Sequence[Witness],
) -> str:
    """The file: versions, reasons that are in use, deviations in SPEC.md's order, witnesses."""
    versions = Counter(entry.measured for entry in known.values()).most_common(1)
    measured = versions[0][0] if versions else ()
    lines = [f"backend = {_string(backend)}"] if backend else []
    lines += [f"measured = {_list(measured)}"] if measured else []
    lines += [""] if lines else []
    in_use = {entry.reason for entry in known.values()}
    for name in [*reasons, *({UNEXPLAINED} - set(reasons))]:
        if name in in_use:
            lines.append(f"[reasons.{name}]")
            fields = reasons.get(name, {"text": ""})
            lines += [f"{field} = {_string(text)}" for field, text in fields.items()]
            lines.append("")
    for (variant, requirement, device, entry), dtypes in _groups(known).items():
        lines += ["[[deviation]]", f'requirement = "{requirement}"']
        lines += [f'variant = "{variant}"'] if variant else []
        lines += [f'device = "{device}"'] if device != CPU else []
        lines += [f'tier = "{entry.tier}"'] if entry.tier != MADE_WITH[0] else []
        lines += [f"dtypes = {_list(dtypes)}", f'level = "{entry.level}"']
        lines += [f'reason = "{entry.reason}"']
        lines += [f"measured = {_list(entry.measured)}"] if entry.measured != measured else []
        lines.append("")
    for witness in sorted(shown, key=str):
        lines.append("[[witness]]")
        for name, value in witness.as_json().items():
            lines.append(f"{name} = {_string(value) if isinstance(value, str) else value}")
        lines.append("")
    return "\n".join(lines)


def _groups(known: Mapping[Key, Entry]) -> dict[tuple[str, str, str, Entry], list[str]]:
    """Entries that differ in their format only, together."""
    order = {requirement: number for number, requirement in enumerate(requirements())}
    groups: dict[tuple[str, str, str, Entry], list[str]] = {}
    for key in sorted(known, key=lambda k: (k[0], order[k[1]], k[2], DTYPES.index(k[3]))):
        variant, requirement, device, dtype = key
        groups.setdefault((variant, requirement, device, known[key]), []).append(dtype)
    return groups


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_string, texts))}]"


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

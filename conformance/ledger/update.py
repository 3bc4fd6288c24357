"""Brings ledger files up to date with a run, and keeps the reasons that people wrote.

A new deviation gets the reason of the same requirement in another format if there is one, else the
reason ``unexplained``, which has no text: the ledger is not valid until somebody wrote down why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bce_conformance.backends import builtin_backends, resolve
from bce_conformance.backends.calls import DTYPES
from bce_conformance.conformance.specification import requirements
from bce_conformance.conformance.tiers import TIERS
from bce_conformance.results import writing
from bce_conformance.results.cells import VERDICTS, Witness, is_better

from .read import CPU, MADE_WITH, LedgerError, load, nearest, public, tries_less, witnesses

UNEXPLAINED = "unexplained"

Document = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What a run found of one cell.

    ``backend`` with its variant, ``version`` its framework's, ``tier`` the run's;
    ``instruction_set`` that of the backend's code; ``witness`` is what showed the verdict, where
    the draws that every run has did not.
    """

    requirement: str
    backend: str
    dtype: str
    verdict: str
    version: str
    tier: str
    device: str = CPU
    witness: Witness | None = None
    instruction_set: str = ""

    @property
    def where(self) -> str:
        """The instruction set that the verdict is about; empty on other devices than the CPU."""
        return self.instruction_set if self.device.partition(":")[0] == CPU else ""


@dataclass(frozen=True)
class Moved:
    """One cell whose entry changes; ``before`` and ``after`` are verdicts, AAA without an entry.

    ``instruction_set`` is that which the entry is about.
    """

    requirement: str
    backend: str
    dtype: str
    before: str
    after: str
    reason: str
    device: str = CPU
    instruction_set: str = ""


@dataclass(frozen=True)
class Entry:
    """What a file says of one cell on an instruction set: verdict, reason, versions, tier."""

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
    sets = tuple(document.get("instruction_sets", ()))
    moves = []
    shown = list(witnesses(document, path))
    for cell in found:
        if cell.verdict == "not measured":
            continue
        key = _key(cell, backend)
        old = known.get(key) or _taken_as(known, key, sets)
        if old and is_better(cell.verdict, old.level) and tries_less(cell.tier, old.tier):
            continue  # it may have missed what the entry's tier finds
        new = _entry(known, key, old, cell)
        if new is None:
            known.pop(key, None)
        else:
            known[key] = new
            shown += [cell.witness] if cell.witness and cell.witness not in shown else []
        levels = old.level if old else "AAA", new.level if new else "AAA"
        if levels[0] != levels[1]:
            reason = (new or old or Entry("", "", ())).reason
            place = cell.requirement, cell.backend, cell.dtype
            moves.append(Moved(*place, *levels, reason, cell.device, cell.where))
    sets = tuple(sorted({*sets, *_measured_sets(known, found, backend)}))
    name = backend if backend != path.stem else ""
    after = _toml(name, document.get("reasons", {}), _recorded(known), sets, shown)
    if after == before or not (known or before):
        return moves, False
    if known or name or sets:
        path.write_text(after, "utf-8")
    else:
        path.unlink()
    return moves, True


class Key(NamedTuple):
    """One cell of a file on one instruction set; empty where that was not written down."""

    variant: str
    requirement: str
    device: str
    dtype: str
    instruction_set: str


def _key(cell: Found, backend: str) -> Key:
    variant, device = _variant(cell.backend, backend) or "", cell.device.partition(":")[0]
    return Key(variant, cell.requirement, device, cell.dtype, cell.where)


def _known(document: Document) -> Iterable[tuple[Key, Entry]]:
    """What a file says of each cell on each instruction set."""
    for entry in document.get("deviation", []):
        measured = tuple(entry.get("measured", document.get("measured", [])))
        device = entry.get("device", CPU)
        sets = entry.get("instruction_sets", document.get("instruction_sets", []))
        for dtype in entry["dtypes"]:
            for set_ in (sets if device == CPU else []) or [""]:
                key = Key(entry.get("variant", ""), entry["requirement"], device, dtype, set_)
                tier = entry.get("tier", MADE_WITH[0])
                yield key, Entry(entry["level"], entry["reason"], measured, tier)


def _elsewhere(known: Mapping[Key, Entry], key: Key) -> list[Key]:
    """The cell of a key on other instruction sets."""
    return [other for other in known if other[:4] == key[:4] and other != key]


def _taken_as(known: Mapping[Key, Entry], key: Key, sets: Sequence[str]) -> Entry | None:
    """The entry that a cell without one of its own goes by, as ``Ledger.deviation`` has it."""
    elsewhere = _elsewhere(known, key)
    near = nearest(
        key.instruction_set, {*sets, *(other.instruction_set for other in elsewhere)} - {""}
    )
    tried = key.instruction_set in sets
    others = [
        known[other]
        for other in elsewhere
        if known[other].tier != MADE_WITH[0]
        or not (tried or (other.instruction_set and other.instruction_set not in near))
    ]
    return max(others, key=lambda entry: VERDICTS.index(entry.level), default=None)


def _entry(known: Mapping[Key, Entry], key: Key, old: Entry | None, cell: Found) -> Entry | None:
    """The entry that a cell needs: its own, or that of the same requirement in another format."""
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


def _measured_sets(known: Mapping[Key, Entry], found: Sequence[Found], backend: str) -> set[str]:
    """The instruction sets on which a run has measured all that the default tier finds."""
    needed = {
        key[:4] for key, entry in known.items() if key.device == CPU and entry.tier == MADE_WITH[0]
    }
    measured: dict[str, set[tuple[str, ...]]] = {}
    for cell in found:
        if cell.where and cell.verdict != "not measured":
            measured.setdefault(cell.where, set()).add(_key(cell, backend)[:4])
    return {where for where, cells in measured.items() if needed <= cells}


def _recorded(known: Mapping[Key, Entry]) -> dict[Key, Entry]:
    """The entries, less those of no known instruction set that add nothing to the others."""
    return {
        key: entry
        for key, entry in known.items()
        if key.instruction_set
        or key.device != CPU
        or entry.level not in {known[other].level for other in _elsewhere(known, key)}
    }


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
    sets: tuple[str, ...],
    shown: Sequence[Witness],
) -> str:
    """The file: versions, reasons that are in use, deviations in SPEC.md's order, witnesses."""
    versions = Counter(entry.measured for entry in known.values()).most_common(1)
    measured = versions[0][0] if versions else ()
    lines = [f"backend = {_string(backend)}"] if backend else []
    lines += [f"measured = {_list(measured)}"] if measured else []
    lines += [f"instruction_sets = {_list(sets)}"] if sets else []
    lines += [""] if lines else []
    in_use = {entry.reason for entry in known.values()}
    for name in [*reasons, *({UNEXPLAINED} - set(reasons))]:
        if name in in_use:
            lines.append(f"[reasons.{name}]")
            fields = reasons.get(name, {"text": ""})
            lines += [f"{field} = {_string(text)}" for field, text in fields.items()]
            lines.append("")
    for group, dtypes in _groups(known).items():
        lines += [*_deviation_lines(group, dtypes, measured, sets), ""]
    for witness in sorted(shown, key=str):
        lines.append("[[witness]]")
        for name, value in writing.witness(witness).items():
            lines.append(f"{name} = {_string(value) if isinstance(value, str) else value}")
        lines.append("")
    return "\n".join(lines)


class _Group(NamedTuple):
    """What entries have in common that are written as one."""

    variant: str
    requirement: str
    device: str
    sets: tuple[str, ...]
    entry: Entry


def _deviation_lines(
    group: _Group, dtypes: Sequence[str], measured: tuple[str, ...], sets: tuple[str, ...]
) -> Iterator[str]:
    entry = group.entry
    yield "[[deviation]]"
    yield f'requirement = "{group.requirement}"'
    if group.variant:
        yield f'variant = "{group.variant}"'
    if group.device != CPU:
        yield f'device = "{group.device}"'
    if entry.tier != MADE_WITH[0]:
        yield f'tier = "{entry.tier}"'
    yield f"dtypes = {_list(dtypes)}"
    yield f'level = "{entry.level}"'
    yield f'reason = "{entry.reason}"'
    if entry.measured != measured:
        yield f"measured = {_list(entry.measured)}"
    if group.device == CPU and group.sets != sets:
        yield f"instruction_sets = {_list(group.sets)}"


def _groups(known: Mapping[Key, Entry]) -> dict[_Group, list[str]]:
    """Entries that differ in their format only, together."""
    order = {requirement: number for number, requirement in enumerate(requirements())}
    sets: dict[tuple[str, str, str, str, Entry], list[str]] = {}
    for key in sorted(known, key=lambda k: (k[0], order[k[1]], k[2], DTYPES.index(k[3]), k[4])):
        alike = (*key[:4], known[key])
        sets.setdefault(alike, []).extend([key.instruction_set] * bool(key.instruction_set))
    groups: dict[_Group, list[str]] = {}
    for (variant, requirement, device, dtype, entry), names in sets.items():
        group = _Group(variant, requirement, device, tuple(names), entry)
        groups.setdefault(group, []).append(dtype)
    return groups


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_string, texts))}]"


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

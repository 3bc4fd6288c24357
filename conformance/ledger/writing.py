"""Writing: the one text of a ledger file, made for reading and for diffs.

Guarantees that ``reading`` makes of the text what it was made of, and that the text does not depend
on the order in which deviations are given. Mechanisms keep their order. Comments of people are not
kept: what they have to say belongs into the text of a mechanism.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import tomlkit
from tomlkit.items import AoT, Array, InlineTable, Table

from bce_conformance.backends.calls import DTYPES
from bce_conformance.conformance.specification import requirements
from bce_conformance.results import writing
from bce_conformance.results.cells import VERDICTS, Witness

from .families import shortened
from .model import CPU, MADE_WITH, Deviation, LedgerFile

WIDTH = 100
INDENT = " " * 4
HEADER = (
    "Known deviations by mechanism; `bce-conformance ledger update` writes this file. Where a",
    "deviation names no versions or instruction sets, it was measured on these; those of the",
    "thorough tier that name no instruction sets were measured on some that were not recorded.",
)
CORPUS_HEADER = (
    "Inputs with large errors, by pool; `bce-conformance hunt` adds to this file. To try them, and",
    "enter what they show: `bce-conformance run --ledger FILE`, then `ledger update`.",
)


class _Entry(NamedTuple):
    """Cells that are written as one: each requirement × each backend × each dtype."""

    mechanism: str
    backends: tuple[str, ...]
    tier: str
    device: str
    dtypes: tuple[str, ...]
    versions: tuple[str, ...]
    instruction_sets: tuple[str, ...]
    level: str
    requirements: tuple[str, ...]

    @property
    def order(self) -> tuple[object, ...]:
        """Where it stands in its mechanism; no requirement moves it."""
        return (
            self.backends,
            MADE_WITH.index(self.tier),
            self.device != CPU,
            self.device,
            [DTYPES.index(dtype) for dtype in self.dtypes],
            self.versions,
            self.instruction_sets,
            VERDICTS.index(self.level),
        )


def text(file: LedgerFile, name: str) -> str:
    """The text of a ledger file.

    Args:
        file: what it says.
        name: the file's, without its ending; the backend is written down where it is another.
    """
    document = tomlkit.document()
    for line in CORPUS_HEADER if file.is_corpus else HEADER:
        document.add(tomlkit.comment(line))
    if file.backend != name:
        document["backend"] = file.backend
    if file.versions:
        document["versions"] = _array(file.versions)
    if file.measured:
        table = tomlkit.table()
        for name, those in sorted(file.measured.items()):
            table[name] = _on_lines([shortened(those)])
        document["measured"] = table
    entries = _entries(file.deviations)
    mechanisms = tomlkit.table(is_super_table=True)
    for mechanism in file.mechanisms:
        table = tomlkit.table()
        table["text"] = mechanism.text
        if mechanism.link:
            table["link"] = mechanism.link
        if mechanism.defects:
            table["defects"] = _array(mechanism.defects)
        table["deviation"] = _deviations(
            [entry for entry in entries if entry.mechanism == mechanism.name], file
        )
        mechanisms[mechanism.name] = table
    document["mechanism"] = mechanisms
    document["witness"] = _witnesses(file.witnesses)
    return tomlkit.dumps(document).rstrip() + "\n"


def _entries(deviations: Iterable[Deviation]) -> list[_Entry]:
    """The deviations, those together that have all but one thing in common."""
    entries = [
        _Entry(
            deviation.mechanism.name,
            (deviation.place.backend,),
            deviation.tier,
            deviation.place.device,
            (deviation.place.dtype,),
            deviation.versions,
            deviation.instruction_sets,
            deviation.level,
            (deviation.place.requirement,),
        )
        for deviation in deviations
    ]
    for field in ("instruction_sets", "dtypes", "backends", "requirements"):
        entries = _joined(entries, field)
    return sorted(entries, key=lambda entry: entry.order)


def _joined(entries: Iterable[_Entry], field: str) -> list[_Entry]:
    """The entries that differ in one field only, as one."""
    found: dict[tuple[_Entry, bool], set[str]] = {}
    for entry in entries:
        values = getattr(entry, field)
        # No instruction sets, not recorded, is something else than some.
        alike = _with(entry, field, ()), bool(values)
        found.setdefault(alike, set()).update(values)
    return [_with(entry, field, _in_order(field, values)) for (entry, _), values in found.items()]


def _with(entry: _Entry, field: str, values: tuple[str, ...]) -> _Entry:
    changed: dict[str, Any] = {field: values}
    return entry._replace(**changed)


def _in_order(field: str, values: set[str]) -> tuple[str, ...]:
    orders = {"dtypes": DTYPES, "requirements": tuple(requirements())}
    order = orders.get(field)
    return tuple(sorted(values, key=order.index if order else None))


def _deviations(entries: Iterable[_Entry], file: LedgerFile) -> AoT:
    """The entries of a mechanism; those that differ in the level only are one table."""
    tables = tomlkit.aot()
    for _, alike in groupby(entries, lambda entry: entry.order[:-1]):
        by_level = list(alike)
        table = _conditions(by_level[0], file)
        for entry in by_level:
            table[entry.level] = _requirements(entry.requirements, len(entry.level))
        tables.append(table)
    return tables


def _conditions(entry: _Entry, file: LedgerFile) -> Table:
    """Where an entry was measured, and how as far as that is not as usual."""
    table = tomlkit.table()
    table["backends"] = _array(entry.backends)
    table["dtypes"] = _array(entry.dtypes)
    if entry.device != CPU:
        table["device"] = entry.device
    if entry.tier != MADE_WITH[0]:
        table["tier"] = entry.tier
    if entry.versions != file.versions:
        table["versions"] = _array(entry.versions)
    if entry.device == CPU and entry.instruction_sets != file.usual_sets(entry.tier):
        table["instruction_sets"] = _array(entry.instruction_sets)
    return table


def _requirements(those: Sequence[str], key: int) -> Array:
    """On one line behind a key of that length, or where they do not fit some lines a family."""
    if key + len(f" = {list(those)}") <= WIDTH:
        return _array(those)
    families = groupby(those, lambda name: name.partition("-")[0])
    return _on_lines(family for _, family in families)


def _on_lines(groups: Iterable[Iterable[str]]) -> Array:
    """Each group on lines of its own, as many names a line as fit."""
    array = tomlkit.array()
    for group in groups:
        for line in _lines(group):
            array.add_line(*line, indent=INDENT)
    array.add_line(indent="")
    return array


def _lines(names: Iterable[str]) -> Iterator[list[str]]:
    """As many names a line as fit."""
    line: list[str] = []
    for name in names:
        if line and len(INDENT) + len(str([*line, name])) > WIDTH:
            yield line
            line = []
        line.append(name)
    yield line


def _witnesses(witnesses: Iterable[Witness]) -> Table:
    """The witnesses by pool and dtype, one a line."""
    pools = tomlkit.table(is_super_table=True)
    for witness in sorted(witnesses, key=str):
        fields = writing.witness(witness)
        pool = pools.setdefault(fields.pop("pool"), tomlkit.table())
        inputs = pool.setdefault(fields.pop("dtype"), tomlkit.array())
        inputs.add_line(_inline(fields), indent=INDENT)
    for pool in pools.values():
        for inputs in pool.values():
            inputs.add_line(indent="")
    return pools


def _inline(fields: dict[str, object]) -> InlineTable:
    table = tomlkit.inline_table()
    table.update(fields)
    return table


def _array(values: Iterable[str]) -> Array:
    array = tomlkit.array()
    array.extend(values)
    return array

"""Reading: ledger files, checked and typed.

A file is about one framework, or one backend of somebody's own, with its variants. It says under
which versions and instruction sets it was measured, and then, mechanism by mechanism, which
requirements that mechanism costs which level::

    backend = "my_package.my_module:MyBackend"  # may be left out where it is the file's name
    versions = ["2.13.0"]

    [measured]                              # by instruction set; VAL-1 to VAL-13 are VAL-1:13
    "x86-64-v3/amd" = ["VAL-1:13", "INF-1"]
    "x86-64-v4/intel" = ["VAL-1:13", "INF-1:7"]

    [mechanism.cancellation]
    text = "computes (1 − y)·x + softplus(−x), which cancels at x ≪ 0, y = 0"
    link = "https://…"                      # where there is an upstream issue
    defects = ["torch-loss-cancels"]        # where it is one, or several together

    [[mechanism.cancellation.deviation]]    # each requirement × each backend × each dtype
    backends = ["torch", "torch:compile"]
    dtypes = ["float32", "float64"]
    device = "cuda"                         # where it is not the CPU
    tier = "thorough"                       # where the default one does not find it
    versions = ["2.12.0", "2.13.0"]         # where they are not those of the file
    instruction_sets = ["x86-64-v4/intel"]  # likewise; empty where they were not recorded
    A = ["VAL-1", "VAL-2", "BRD-1"]         # the requirements by the level that is reached
    fails = ["INF-7"]

    [witness."test_values.tiny_logits"]     # inputs that show deviations, by pool and dtype
    float64 = [{ logits = "-0x1.0p-54", targets = "0x1.8p-1" }, { draw = "6", seed = 1 }]

The instruction sets of the file are those that the default tier has measured all cells on, each
with its requirements: on the others, such as those that came later, what was found on the nearest
instruction set is known. A deviation of the thorough tier does not take them: where it names none,
they were not recorded.
What only the draws of some seeds show, or a search, is kept as a witness, which every run tries.
A file of witnesses alone is a corpus: a run that is given it tries them, and finds out what they
show.
A version is compared without its local part: 2.13.0+cpu is 2.13.0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

from bce_conformance.backends.calls import DTYPES
from bce_conformance.backends.names import nearest
from bce_conformance.conformance.findings.reading import defects
from bce_conformance.conformance.specification import requirements
from bce_conformance.results.cells import Place, Verdict, Witness
from bce_conformance.results.reading import witness as read_witness

from .claims import Claims
from .families import expanded
from .model import CPU, MADE_WITH, Deviation, LedgerError, LedgerFile, Mechanism
from .standing import Ledger

LEDGER = Path(__file__).parent
KNOWN_LEVELS: tuple[Verdict, ...] = tuple(
    verdict for verdict in get_args(Verdict) if verdict not in ("AAA", "not measured")
)

_NEEDED = ("backends", "dtypes")
_CONDITIONS = ("device", "tier", "versions", "instruction_sets")

Table = Mapping[str, Any]


def read(files: Iterable[Path] = (), folder: Path = LEDGER, claims: Claims | None = None) -> Ledger:
    """The suite's own ledger files and those of others, which win for the backends they name.

    Files with nothing but witnesses, such as a hunt writes, win over none: their inputs are tried.
    One of ``files`` that does not exist yet is an empty ledger, to be filled by an update.
    ``claims`` hold for the cells of other backends than built-in ones that no file has.

    Raises:
        LedgerError: a file is not valid, or two of ``files`` are about one backend.
    """
    every = [read_file(path) for path in files if path.exists()]
    theirs = [file for file in every if not file.is_corpus]
    names = [file.backend for file in theirs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LedgerError(f"two ledger files are about {', '.join(twice)}")
    ours = own(folder)
    found = [witness for file in every if file.is_corpus for witness in file.witnesses]
    return Ledger([*(file for file in ours if file.backend not in names), *theirs], claims, found)


def own(folder: Path = LEDGER) -> list[LedgerFile]:
    """The files of the suite's own ledger, by their names.

    Raises:
        LedgerError: one is not valid.
    """
    return [read_file(path) for path in sorted(folder.glob("*.toml"))]


def read_file(path: Path) -> LedgerFile:
    """Read one ledger file.

    Raises:
        LedgerError: the file is not there or not valid, or a mechanism is not explained yet; the
            message names the file and the entry.
    """
    file = read_draft(path)
    for mechanism in file.mechanisms:
        if not mechanism.text:
            raise LedgerError(f"{path.name}, mechanism {mechanism.name}: text is empty: say why")
    return file


def read_draft(path: Path) -> LedgerFile:
    """Read a ledger file in which mechanisms may still wait for their explanation.

    Raises:
        LedgerError: the file is not there or not valid; the message names the file and the entry.
    """
    document = _load(path)
    where = path.name
    fields = {"backend", "versions", "measured", "mechanism", "witness"}
    _require_fields(where, document, fields)
    head = LedgerFile(
        _text(where, document, "backend", path.stem),
        versions=_strings(where, document, "versions"),
        measured=_measured_on(where, document.get("measured", {})),
    )
    found = {
        _mechanism(f"{where}, mechanism {name}", name, table): table["deviation"]
        for name, table in _tables(where, document, "mechanism").items()
    }
    return replace(
        head,
        mechanisms=tuple(found),
        deviations=tuple(
            deviation
            for mechanism, entries in found.items()
            for number, entry in enumerate(entries, start=1)
            for deviation in _deviations(
                f"{where}, mechanism {mechanism.name}, deviation {number}", entry, mechanism, head
            )
        ),
        witnesses=tuple(_witnesses(where, _tables(where, document, "witness"))),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LedgerError(f"{path.name}: {error}") from error


def _mechanism(where: str, name: str, table: Table) -> Mechanism:
    _require_fields(where, table, {"text", "link", "defects", "deviation"}, {"text", "deviation"})
    named = _strings(where, table, "defects")
    for defect in named:
        if defect not in defects():
            raise LedgerError(
                f"{where}: defects: {defect!r} is unknown; {nearest(defect, defects())}"
            )
    _require_list(f"{where}: deviation", table["deviation"])
    return Mechanism(name, _text(where, table, "text"), _text(where, table, "link"), named)


def _deviations(
    where: str, entry: Table, mechanism: Mechanism, head: LedgerFile
) -> Iterator[Deviation]:
    """The deviations of all cells that an entry stands for."""
    _require_fields(where, entry, {*_NEEDED, *_CONDITIONS, *KNOWN_LEVELS}, _NEEDED)
    backends, dtypes = (_strings(where, entry, field) for field in _NEEDED)
    if not backends or not all(map(head.is_about, backends)):
        raise LedgerError(f"{where}: backends {list(backends)}: the file is about {head.backend}")
    if not dtypes or set(dtypes) - set(DTYPES):
        raise LedgerError(f"{where}: dtypes {list(dtypes)}: accepted are {DTYPES}")
    levels = [level for level in KNOWN_LEVELS if level in entry]
    if not levels:
        raise LedgerError(f"{where}: no level; accepted are {list(KNOWN_LEVELS)}")
    device, measured = _text(where, entry, "device", CPU), _measured(where, entry, head)
    for level in levels:
        named = _requirements(where, entry, level)
        for backend, dtype, requirement in product(backends, dtypes, named):
            place = Place(requirement, backend, device, dtype)
            yield Deviation(place, level, mechanism, *measured)


def _measured(
    where: str, entry: Table, head: LedgerFile
) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """On which versions, in which tier and on which instruction sets an entry was measured."""
    tier = entry.get("tier", MADE_WITH[0])
    if tier not in MADE_WITH:
        raise LedgerError(f"{where}: tier {tier!r}: accepted are {list(MADE_WITH)}")
    versions = _strings(where, entry, "versions", head.versions)
    if not versions:
        raise LedgerError(f"{where}: versions: neither the entry nor the file names any")
    sets = _strings(where, entry, "instruction_sets", head.usual_sets(tier))
    return versions, tier, sets if entry.get("device", CPU) == CPU else ()


def _requirements(where: str, entry: Table, level: str) -> tuple[str, ...]:
    named = _strings(where, entry, level)
    if not named:
        raise LedgerError(f"{where}: {level} names no requirement")
    for requirement in named:
        if requirement not in requirements():
            raise LedgerError(f"{where}: {level}: requirement {requirement!r} is not in SPEC.md")
    return named


def _measured_on(where: str, table: Any) -> dict[str, tuple[str, ...]]:
    """The requirements by instruction set, of which a family's stand as its first and last."""
    if not isinstance(table, Mapping):
        raise LedgerError(f"{where}: measured {table!r}: accepted is a table by instruction set")
    spans = {name: _strings(where, table, name) for name in table}
    try:
        return {name: expanded(those) for name, those in spans.items()}
    except ValueError as error:
        raise LedgerError(f"{where}: measured: {error}") from error


def _witnesses(where: str, pools: Mapping[str, Table]) -> Iterator[Witness]:
    for pool, by_dtype in pools.items():
        for dtype, inputs in by_dtype.items():
            for number, fields in enumerate(_require_list(f"{where}: witness", inputs), start=1):
                try:
                    yield read_witness({"pool": pool, "dtype": dtype, **fields})
                except ValueError as error:
                    its = f"{where}, witness {number} of {pool} in {dtype}"
                    raise LedgerError(f"{its}: {error}") from error


def _require_fields(
    where: str, table: Table, known: Collection[str], needed: Collection[str] = ()
) -> None:
    if not isinstance(table, Mapping):
        raise LedgerError(f"{where}: is {table!r}; accepted is a table with {sorted(known)}")
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise LedgerError(f"{where}: unknown fields {unknown}; accepted are {sorted(known)}")
    missing = sorted(set(needed) - set(table))
    if missing:
        raise LedgerError(f"{where}: no field {missing}")


def _require_list(where: str, value: Any) -> list[Table]:
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise LedgerError(f"{where} is {value!r}; accepted is a list of tables")
    return value


def _tables(where: str, document: Table, field: str) -> Mapping[str, Table]:
    """The tables of a field by their names; none where it is left out."""
    value = document.get(field, {})
    if not isinstance(value, Mapping) or not all(isinstance(t, Mapping) for t in value.values()):
        raise LedgerError(f"{where}: {field} is {value!r}; accepted is a table of tables")
    return value


def _text(where: str, table: Table, field: str, otherwise: str = "") -> str:
    value = table.get(field, otherwise)
    if not isinstance(value, str):
        raise LedgerError(f"{where}: {field} is {value!r}; accepted is a text")
    return value


def _strings(
    where: str, table: Table, field: str, otherwise: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """A list of strings, or what holds where the field is left out."""
    value = table.get(field, otherwise)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise LedgerError(f"{where}: {field} {value!r}: accepted is a list of strings")
    return tuple(value)

"""Reading: the defects of the frameworks, one TOML file a framework.

A file says how the framework is imported, and then, defect by defect, what is wrong::

    framework = "torch"
    imports = "import torch"
    version = "torch {torch.__version__}"    # as an f-string

    [torch-gradient-saturates]          # named by the framework, and in a few words
    title = "The gradient for a positive … is exactly 0."   # from a user's view
    operation = "binary_cross_entropy_with_logits, backward"
    computed = "σ(x) − y"               # the formula that is computed
    right = "−σ(−x) where y = 1"        # the one that would be right
    source = "aten/src/ATen/native/Loss.cpp"     # where the former stands
    link = "https://…"                  # the upstream report, where one is known
    backends = ["torch"]
    dtypes = ["float32"]
    requirement = "GRAD-1"              # that shows it
    inputs = "training"                 # a grade of harm.toml
    dtype = "float64"                   # of the result that is compared, where it is not float32
    explain = "--logit=20 --target=1 --quantity=grad_logits"   # where a call shows it
    expected = "-2.06115361819020358143086212947e-9"           # digits of the exact value, or words
    returned = "0.0"                    # what came back
    code = "got = …"                    # leaves what came back in got

The exact digits are those of the reference (a test compares them). A mechanism of the ledger names
the defects that it is (``conformance/ledger``).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bce_conformance.results.cells import DTYPES
from bce_conformance.results.model import Defect

from .harm import harm
from .reproduction import script

FOLDER = Path(__file__).parent
_QUANTITY = re.compile(r"""--quantity=(\w+)|"quantities": \["(\w+)""")
_HEAD = {"framework", "imports", "version"}
_LISTS = ("backends", "dtypes")
_NEEDED = (
    *("title", "operation", "computed", "right", "source", "requirement"),
    *("inputs", "expected", "returned", "code"),
)
_OPTIONAL = ("link", "explain", "dtype")


class DefectError(ValueError):
    """A file that does not say what a file of defects says; names file and defect."""


@cache
def defects() -> Mapping[str, Defect]:
    """All known defects by their id, the most harmful first."""
    files = (path for path in sorted(FOLDER.glob("*.toml")) if path.name != "harm.toml")
    return {defect.id: defect for defect in ranked(d for path in files for d in read(path))}


def ranked(found: Iterable[Defect]) -> list[Defect]:
    """Defects, the most harmful first; of equal harm, in the order of their ids."""
    return sorted(found, key=lambda defect: (-defect.harm.score, defect.id))


def read(path: Path) -> list[Defect]:
    """The defects of one file.

    Raises:
        DefectError: the file is not valid; the message names the defect.
    """
    document = tomllib.loads(path.read_text("utf-8"))
    missing = sorted(_HEAD - set(document))
    if missing:
        raise DefectError(f"{path.name}: no field {missing}; it is needed at the head")
    head = {name: document.pop(name) for name in sorted(_HEAD)}
    return [_defect(path.name, name, table, head) for name, table in document.items()]


def _defect(file: str, name: str, table: Mapping[str, Any], head: Mapping[str, str]) -> Defect:
    where = f"{file}, {name}"
    _require(where, table)
    if not name.startswith(f"{head['framework']}-"):
        raise DefectError(f"{where}: the name does not begin with {head['framework']}-")
    explain = table.get("explain", "").strip()
    asked = _QUANTITY.search(explain)
    quantity = next(filter(None, asked.groups())) if asked else ""
    try:
        graded = harm(table["inputs"], quantity, table["expected"], table["returned"])
    except ValueError as error:
        raise DefectError(f"{where}: {error}") from error
    text = {field: table[field] for field in _NEEDED if field not in ("inputs", "code")}
    return Defect(
        id=name,
        framework=head["framework"],
        backends=tuple(table["backends"]),
        dtypes=tuple(table["dtypes"]),
        link=table.get("link", ""),
        harm=graded,
        explain=f"bce-conformance explain {table['backends'][0]} {explain}" if explain else "",
        script=script(
            table["title"],
            head["imports"],
            head["version"],
            table["code"],
            table["expected"],
            table.get("dtype", "float32"),
        ),
        **text,
    )


def _require(where: str, table: Mapping[str, Any]) -> None:
    unknown = sorted(set(table) - {*_NEEDED, *_OPTIONAL, *_LISTS})
    missing = sorted({*_NEEDED, *_LISTS} - set(table))
    if unknown or missing:
        raise DefectError(f"{where}: unknown fields {unknown}, missing fields {missing}")
    for field, value in table.items():
        if not (isinstance(value, list) if field in _LISTS else isinstance(value, str)):
            kind = "a list of strings" if field in _LISTS else "a string"
            raise DefectError(f"{where}: {field} is {value!r}; accepted is {kind}")
    for dtype in (*table["dtypes"], table.get("dtype", "float32")):
        if dtype not in DTYPES:
            raise DefectError(f"{where}: dtype {dtype!r}; accepted are {', '.join(DTYPES)}")

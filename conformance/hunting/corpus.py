"""Corpora: what hunts have caught, as witnesses in a file of the ledger's form.

A run with ``--ledger FILE`` tries them in the pools that could have drawn them. Where one shows a
worse level than every run would, it is the cell's witness, and ``ledger update`` enters it: from
then on every run tries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bce_conformance.conformance.checks.numbers import test_gradients as gradients
from bce_conformance.conformance.checks.numbers import test_values as values
from bce_conformance.conformance.inputs.inputs import Inputs
from bce_conformance.conformance.inputs.sampler import POOL_SIZE, Builder, Sampler
from bce_conformance.conformance.ledger import writing
from bce_conformance.conformance.ledger.model import LedgerError, LedgerFile
from bce_conformance.conformance.ledger.reading import read_draft
from bce_conformance.reference import Format
from bce_conformance.results.cells import Witness
from bce_conformance.results.writing import write_text

from .hunt import Catch

# By quantity: the builders of the checks that judge it element by element, the narrowest first.
_HARD = (values.moderate, values.negative_tail, values.positive_tail)
_SOFT = (values.soft_targets, values.nearly_hard_targets)
_WEIGHTED = (gradients.weighted_moderate, gradients.weighted_extreme, values.any_weights)
POOLS: Mapping[str, tuple[Builder, ...]] = {
    "loss": (
        *(*_HARD, values.certain_and_wrong, values.tiny_logits, *_SOFT, values.huge_logits),
        *(values.weighted, values.any_weights),
    ),
    "grad_logits": (*_HARD, gradients.extreme, *_SOFT, *_WEIGHTED),
    "grad_targets": (gradients.unweighted, *_WEIGHTED),
    "grad_weight": _WEIGHTED,
    "grad_pos_weight": _WEIGHTED,
}
_BANDS = np.array([0.0, 1e-300, 0.1, 0.9, 1.0])  # of targets: 0, near 0, between, near 1, 1


@cache
def _drawn(builder: Builder, format_: Format) -> Inputs:
    return builder(Sampler(format_, f"{builder.name}, fixed 0", 0, POOL_SIZE))


def _kinds(inputs: Inputs) -> NDArray[np.int64]:
    """The kind of each element: the signs of its operands, and the band of its target."""
    kinds = np.searchsorted(_BANDS, inputs.targets.astype(np.float64), side="right")
    for name, operand in inputs.rows().items():
        if name != "targets":
            kinds = 2 * kinds + np.signbit(operand)
    return np.asarray(kinds, np.int64)


def admits(builder: Builder, element: Mapping[str, float], format_: Format) -> bool:
    """Whether a builder could have drawn an element.

    It could if it draws elements of its kind, with these operands, and each operand has a magnitude
    between the least and the largest that is drawn: a search near its pool stays within the same.
    """
    drawn = _drawn(builder, format_)
    rows = drawn.rows()
    if list(rows) != list(element):
        return False
    single: dict[str, Any] = {n: np.array([v], format_.dtype) for n, v in element.items()}
    one = replace(drawn, **single)
    if not np.isin(_kinds(one), _kinds(drawn))[0]:
        return False
    sizes = {name: np.abs(row.astype(np.float64)) for name, row in rows.items()}
    return all(sizes[n].min() <= abs(value) <= sizes[n].max() for n, value in element.items())


def witness_of(caught: Catch, format_: Format) -> Witness | None:
    """The witness of a catch, in the first pool that could have drawn it; None where none could."""
    element = {name: float.fromhex(value) for name, value in caught.element}
    for builder in POOLS[caught.quantity]:
        if admits(builder, element, format_):
            return Witness(builder.name, format_.name, element=caught.element)
    return None


def before(path: Path, backend: str) -> LedgerFile:
    """What a corpus has; where there is no file, nothing.

    Raises:
        LedgerError: the file is there, and is no corpus of this backend.
        OSError: it cannot be read.
    """
    found = read_draft(path) if path.exists() else LedgerFile(backend)
    if found.backend != backend or not (found.is_corpus or found == LedgerFile(backend)):
        raise LedgerError(f"{path} is no corpus of {backend}: name another folder with --out")
    return found


def add(path: Path, backend: str, caught: Iterable[Catch], format_: Format) -> Sequence[Catch]:
    """Add what was caught to a corpus, which is made where there is none.

    Args:
        path: the file, such as ``torch.toml``.
        backend: whose hunt it was.
        caught: what it caught.
        format_: the format of all operands.

    Returns:
        What no pool could have drawn: it is not in the file.

    Raises:
        LedgerError: the file is there, and is no corpus of this backend.
        OSError: it cannot be written.
    """
    known = before(path, backend)
    found = [(one, witness_of(one, format_)) for one in caught]
    new = [witness for _, witness in found if witness is not None]
    after = replace(known, witnesses=tuple(dict.fromkeys([*known.witnesses, *new])))
    if after.witnesses:
        write_text(writing.text(after, path.stem), path)
    return [one for one, witness in found if witness is None]

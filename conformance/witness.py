"""Witnesses: inputs that show a deviation which the draws that every run has do not show.

A level that only the draws of one seed meet, or a search, is found by chance. The ledger keeps what
showed it, and from then on every run tries it, so that every run finds the deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bce_conformance.backends.calls import DTYPES, OPERANDS

ROW_OPERANDS = (*OPERANDS, "cotangent", "tangent")
_FIELDS = ("pool", "dtype", "draw", "seed")


@dataclass(frozen=True)
class Witness:
    """One element of a pool, or one draw whose elements are summed.

    Attributes:
        pool: the name of the builder that draws it.
        dtype: the format of the logits.
        draw: the name of the draw; empty for an element.
        seed: that of the draw.
        element: operand → value in hex, of an element; empty for a draw.
    """

    pool: str
    dtype: str
    draw: str = ""
    seed: int = 0
    element: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields of a document; the operands of an element are fields of their own."""
        fields = asdict(self)
        element = dict(fields.pop("element"))
        if element:
            return {name: fields[name] for name in ("pool", "dtype")} | element
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Witness:
        """Read what ``as_json`` wrote.

        Raises:
            ValueError: a field is unknown, missing or no number.
        """
        given = dict(fields)
        element = tuple((n, given.pop(n)) for n in ROW_OPERANDS if n in given)
        needed = ("pool", "dtype") if element else _FIELDS
        if set(given) != set(needed):
            raise ValueError(f"the fields are {sorted(fields)}; a draw has {sorted(_FIELDS)}")
        if given["dtype"] not in DTYPES:
            raise ValueError(f"dtype is {given['dtype']!r}; accepted are {DTYPES}")
        for name, value in element:
            try:
                float.fromhex(value)
            except (TypeError, ValueError):
                raise ValueError(f"{name} is {value!r}, not a number in hex") from None
        return cls(**given, element=element)

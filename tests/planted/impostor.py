"""An implementation that is wrong where some levels meet, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

from bce_conformance.backends.adapters.native import NativeAdapter
from bce_conformance.backends.calls import Failure, LossCall, LossResult
from bce_conformance.conformance.space.factors import FACTORS

from .levels import levels_of
from .plants import Impostor, wrong

VARIABLE = "BCE_CONFORMANCE_PLANTED"  # what it does wrong: ``kind;factor=level;factor=level``
FACTORY = f"{__name__}:PlantedAdapter"


def written(impostor: Impostor) -> str:
    """An impostor as the process reads it."""
    met = (f"{FACTORS[f].name}={FACTORS[f].names[v]}" for f, v in impostor.levels)
    return ";".join([impostor.kind, *met])


class PlantedAdapter(NativeAdapter):
    """Native, but wrong where the levels meet that ``VARIABLE`` names."""

    framework = "planted"
    extensions: ClassVar[tuple[str, ...]] = (*NativeAdapter.extensions, "autograd", "mode")

    def bind(self, call: LossCall) -> Callable[[], dict[str, Any]]:
        """Return native's thunk; remember the call."""
        self._call = call
        return super().bind(call)

    def fetch(self, raw: dict[str, Any]) -> LossResult:
        """Return native's result, or a wrong one."""
        right = super().fetch(raw)
        kind, *met = os.environ[VARIABLE].split(";")
        levels = levels_of(self._call)
        if not all(levels[name] == level for name, _, level in (m.partition("=") for m in met)):
            return right
        impostor = Impostor(_numbers(met), kind)
        found = wrong(right, kind, impostor.random())
        if isinstance(found, Failure):
            raise RuntimeError(found.detail)
        return found


def _numbers(met: list[str]) -> tuple[tuple[int, int], ...]:
    """Levels by number, from ``factor=level``."""
    number = {f.name: i for i, f in enumerate(FACTORS)}
    pairs = (each.split("=") for each in met)
    return tuple((number[name], FACTORS[number[name]].names.index(v)) for name, v in pairs)

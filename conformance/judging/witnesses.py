"""Witnesses: which input shows a level that only this run's seed or search has found."""

from __future__ import annotations

import numpy as np

from bce_conformance.conformance.inputs.inputs import Inputs, hex_of
from bce_conformance.results.cells import Level, Witness

from .judge import Judgement


class Witnesses:
    """Tells whether a level depends on this run's seed or search, and which input to record.

    It takes in all that is judged of a cell.
    """

    def __init__(self) -> None:
        self._lasting = Level.AAA  # what the elements and draws show that every run has
        self._least: tuple[Level, float] | None = None
        self._witness: Witness | None = None

    def add(self, inputs: Inputs, judgement: Judgement) -> None:
        """Take in what was judged of inputs: of an element of a row, or of a draw as a whole."""
        source = inputs.source
        if source is None or not (source.draw or judgement.levels.size == inputs.logits.size):
            self.lasts(judgement.level)
            return
        lasting = np.broadcast_to(source.lasting, judgement.levels.shape)
        if lasting.any():
            self.lasts(Level(int(judgement.levels[lasting].min())))
        index = judgement.worst()  # if every run has it, so has it the level: no witness of it
        rank = Level(int(judgement.levels[index])), -float(judgement.ulp[index])
        if self._least is None or rank < self._least:
            self._least, self._witness = rank, _witness_of(inputs, index)

    def lasts(self, level: Level) -> None:
        """Take in what every run shows, or what has no element or draw for a witness."""
        self._lasting = min(self._lasting, level)

    def witness(self) -> Witness | None:
        """What shows the level, where nothing shows it that every run has; else None."""
        if self._least is None or self._least[0] >= self._lasting:
            return None
        return self._witness


def _witness_of(inputs: Inputs, index: int) -> Witness:
    source = inputs.source
    assert source is not None
    if source.draw:
        return Witness(source.pool, inputs.format.name, source.draw, source.seed)
    element = ((name, hex_of(values[index])) for name, values in inputs.rows().items())
    return Witness(source.pool, inputs.format.name, element=tuple(element))
